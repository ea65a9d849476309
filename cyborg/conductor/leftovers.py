"""Releasing ARQs that Nova has left behind.

Nova leaves an ARQ bound, for example, when a server is deleted before it has a host. Such an
ARQ is known by three things, twice, a grace period apart: its instance has no allocation on
its provider; Nova does not know the instance, or has no task running on it; and the instance
is not on the ARQ's host. If Placement or Nova cannot be asked, nothing is done.

As long as it is without allocation its handle counts as reserved in Placement, so that no
server is sent to it in vain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from oslo_log import log

from cyborg.clients.nova import Nova
from cyborg.clients.placement import Placement
from cyborg.conductor import providers, releasing
from cyborg.conductor.doubts import Doubts
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import Unit, run
from cyborg.db import leftovers as rows
from cyborg.domain.errors import Conflict
from cyborg.domain.leftovers import (
    Action,
    HeldRequest,
    KnownServer,
    action,
    has_allocation,
    suspicion_of,
)
from cyborg.domain.model import ProviderJobKind
from cyborg.domain.states import Suspicion

LOG = log.getLogger(__name__)

#: Providers whose ARQs are read at a time.
PAGE = 100

#: So many questions one after the other to which no proper answer came: it is not what was asked.
IN_A_ROW = 10


def compare(env: Environment) -> int:
    """Look at every ARQ that holds a device; return how many were released.

    One call to Placement for each provider in use, one to Nova for each ARQ without allocation.

    :raises ServiceUnavailable: Placement, Nova or the database cannot be asked; what had been
        looked at before is done.
    """
    if env.placement is None or env.nova is None:
        return 0
    look = _Look(env, env.placement, env.nova)
    after = ""
    while True:
        with env.database.reader() as connection:
            page = rows.providers_in_use(connection, after, PAGE)
            grace = env.conf.conductor.leftover_grace_period
            held = rows.held_requests(connection, page, grace) if page else []
        if not page:
            look.end()
            return look.released
        by_provider: dict[str, list[HeldRequest]] = defaultdict(list)
        for request in held:
            by_provider[request.provider_uuid].append(request)
        for uuid, requests in by_provider.items():
            look.at(uuid, requests)
        after = page[-1]


class _Look:
    """One look at all that is held. What gets no proper answer is left out."""

    def __init__(self, env: Environment, placement: Placement, nova: Nova) -> None:
        self._env = env
        self._placement = placement
        self._nova = nova
        self._of_placement = Doubts(IN_A_ROW)
        self._of_nova = Doubts(IN_A_ROW)
        self.released = 0

    def at(self, provider_uuid: str, requests: Iterable[HeldRequest]) -> None:
        """Look at what is held of one provider."""
        consumers = None
        with self._of_placement.about(f"provider={provider_uuid}"):
            consumers = self._placement.consumers(provider_uuid)
        if consumers is None:
            # Placement has lost the provider, and with it what it knew of its allocations.
            return
        for request in requests:
            if has_allocation(request, consumers):
                self._act(request, Suspicion.NONE)
                continue
            seen = None
            with self._of_nova.about(f"arq={request.uuid}"):
                seen = _suspicion(self._nova, request)
            if seen is not None:
                self._act(request, seen)

    def end(self) -> None:
        """End the look.

        :raises ServiceUnavailable: Placement or Nova has answered nothing properly.
        """
        self._of_placement.end()
        self._of_nova.end()

    def _act(self, request: HeldRequest, seen: Suspicion) -> None:
        self.released += _act(self._env, request, seen)


def _suspicion(nova: Nova, request: HeldRequest) -> Suspicion:
    server = nova.server(request.instance_uuid)
    if server is None:
        return suspicion_of(request, None)
    return suspicion_of(request, KnownServer(server.task_state is not None, server.hostname))


def _act(env: Environment, request: HeldRequest, seen: Suspicion) -> bool:
    """Do what follows; return whether the ARQ was released."""
    what = action(request, seen)
    if what is Action.RECORD:
        _record(env, request, seen)
    return what is Action.RELEASE and _release(env, request)


def _release(env: Environment, request: HeldRequest) -> bool:
    try:
        releasing.delete(env, [request.uuid], {request.uuid: request.generation})
    except Conflict as error:
        LOG.info("left over no more arq=%s: %s", request.uuid, error)
        return False
    LOG.warning(
        "left-over arq released arq=%s instance=%s host=%s provider=%s",
        request.uuid,
        request.instance_uuid,
        request.hostname,
        request.provider_uuid,
    )
    return True


def _record(env: Environment, request: HeldRequest, seen: Suspicion) -> None:
    suspected = seen is not Suspicion.NONE
    reserved_anew = suspected is not (request.suspicion is not Suspicion.NONE)

    def work(unit: Unit) -> bool:
        changed = rows.set_suspicion(unit.connection, request.uuid, request.generation, seen)
        if changed and reserved_anew:
            marked = {request.provider_uuid: request.hostname}
            providers.mark(unit, marked, ProviderJobKind.INVENTORY)
        return changed

    if run(env, work) and reserved_anew:
        LOG.warning(
            "arq %s arq=%s instance=%s host=%s provider=%s bound_by_service=%s",
            "without allocation" if suspected else "needed after all",
            request.uuid,
            request.instance_uuid,
            request.hostname,
            request.provider_uuid,
            request.bound_by_service,
        )
