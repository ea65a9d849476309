"""Who has devices: what Placement has allocated, and what Nova says of the servers.

What becomes of an ARQ without allocation is decided as everywhere, in
:mod:`cyborg.domain.leftovers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cyborg.clients.nova import CellUnavailable, Nova, Server
from cyborg.conductor.audit.disagreement import About, Disagreement, Kind, Seen
from cyborg.conductor.audit.limits import Limits
from cyborg.conductor.audit.placement import FoundHost
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.facts import Facts, RequestFact
from cyborg.domain.leftovers import HeldRequest, KnownServer, suspicion_of
from cyborg.domain.states import BINDABLE, RELEASING, Suspicion


class Unknown(Exception):
    """Nova cannot say now."""


@dataclass(slots=True)
class Servers:
    """What Nova says, each server asked for once."""

    nova: Nova | None
    #: Why something of it is not known.
    error: str | None = None
    _known: dict[str, Server | None] = field(default_factory=dict)
    _is_away: bool = False

    def of(self, uuid: str) -> Server | None:
        """Return a server; None if Nova does not know it.

        :raises Unknown: Nova, or the server's cell, does not answer, or there is no Nova.
        """
        if self.nova is None or self._is_away:
            raise Unknown
        if uuid not in self._known:
            try:
                self._known[uuid] = self.nova.server(uuid)
            except ServiceUnavailable as error:
                self.error = str(error)
                # The other cells may well answer.
                self._is_away = not isinstance(error, CellUnavailable)
                raise Unknown from error
        return self._known[uuid]


def of_allocations(
    facts: Facts, hosts: Iterable[FoundHost], servers: Servers, limits: Limits
) -> Iterator[Disagreement]:
    """Each allocation stands for an ARQ, and each ARQ that a service has bound has one."""
    consumers: dict[str, frozenset[str]] = {}
    instances = {(request.device_rp_uuid, request.instance_uuid) for request in _held(facts)}
    for host in hosts:
        for uuid, found in host.providers.items():
            consumers[uuid] = found.consumers
            for consumer in sorted(found.consumers):
                if (uuid, consumer) not in instances and not _is_busy(servers, consumer):
                    yield _unused(host, found.provider.name, uuid, consumer)
    for request in _held(facts):
        provider = request.device_rp_uuid or ""
        if not request.bound_by_service or request.state in RELEASING:
            continue
        if provider in consumers and request.instance_uuid not in consumers[provider]:
            yield from _without_allocation(request, servers, limits)


def of_servers(
    facts: Facts, servers: Servers, consumers: Mapping[str, frozenset[str]] | None
) -> Iterator[Disagreement]:
    """Each ARQ's server is there, on its host.

    :param consumers: of each provider; None: Placement was not asked. Of an ARQ without
        allocation :func:`of_allocations` has said all.
    """
    for request in _held(facts):
        instance = request.instance_uuid
        if not request.bound_by_service or request.state in RELEASING or instance is None:
            continue
        if consumers is not None and instance not in consumers.get(
            request.device_rp_uuid or "", frozenset()
        ):
            continue
        try:
            server = servers.of(instance)
        except Unknown:
            continue
        if server is None:
            words = f"belongs to server {instance}, which Nova does not know"
            yield _about(Kind.SERVER_GONE, request, words)
        elif server.task_state is None and server.hostname != request.hostname:
            where = server.hostname or "no host"
            words = f"is for host {request.hostname}, and its server {instance} is on {where}"
            yield _about(Kind.SERVER_ELSEWHERE, request, words)


def _held(facts: Facts) -> list[RequestFact]:
    return [each for each in facts.requests.values() if each.state not in BINDABLE]


def _is_busy(servers: Servers, uuid: str) -> bool:
    """Return whether something goes on with who has an allocation: its ARQ is still to come, or
    the allocation is about to go."""
    try:
        server = servers.of(uuid)
    except Unknown:
        # Where there is no Nova, nothing ever goes on.
        return servers.nova is not None
    return server is not None and server.task_state is not None


def _unused(host: FoundHost, name: str, uuid: str, consumer: str) -> Disagreement:
    return Disagreement(
        Kind.ALLOCATION_WITHOUT_REQUEST,
        About.PROVIDER,
        uuid,
        host.name,
        f"{consumer} has an allocation on resource provider {name} ({uuid}), and no accelerator "
        "request there.",
    )


def _without_allocation(
    request: RequestFact, servers: Servers, limits: Limits
) -> Iterator[Disagreement]:
    if request.bound_for is None or request.bound_for <= limits.grace:
        return
    words = f"belongs to server {request.instance_uuid}, which has no allocation for it"
    if servers.nova is None:
        yield _about(Kind.REQUEST_WITHOUT_ALLOCATION, request, words)
        return
    try:
        server = servers.of(request.instance_uuid or "")
    except Unknown:
        return
    known = None if server is None else KnownServer(server.task_state is not None, server.hostname)
    seen = suspicion_of(_as_held(request), known)
    if seen is Suspicion.DOUBTFUL:
        words += " and is on that host: it keeps the device"
        yield _about(Kind.REQUEST_WITHOUT_ALLOCATION, request, words)
    elif seen is Suspicion.GRACE:
        words += " and is not there"
        yield _about(Kind.REQUEST_WITHOUT_ALLOCATION, request, words, healable=True)


def _as_held(request: RequestFact) -> HeldRequest:
    return HeldRequest(
        uuid=request.uuid,
        instance_uuid=request.instance_uuid or "",
        provider_uuid=request.device_rp_uuid or "",
        hostname=request.hostname or "",
        bound_by_service=request.bound_by_service,
        generation=request.generation,
        suspicion=Suspicion.NONE,
    )


def _about(kind: Kind, request: RequestFact, words: str, *, healable: bool = False) -> Disagreement:
    return Disagreement(
        kind,
        About.REQUEST,
        request.uuid,
        request.hostname,
        f"Accelerator request {request.uuid} {words}.",
        healable=healable,
        request=Seen(request.id, request.generation),
    )
