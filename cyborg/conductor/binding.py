"""Binding ARQs to an instance: handles are taken, all or none.

Nothing to prepare: the ARQs are Bound, and the event for Nova is written, in one
transaction. Something to prepare: they are BindStarted and a job is written; the agent's
answer ends it (:mod:`cyborg.conductor.finishing`).

An ARQ belongs to the project of its instance. Who that is was remembered at the instance's
first bind; where it was not, the caller is the owner, except an administrator, who may be
doing something with anybody's server: then Nova is asked. Whoever binds without a service is
believed nothing: that somebody's server gets a device, and whose its ARQs are, is not theirs to
say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import sqlalchemy as sa
from oslo_log import log

from cyborg.conductor import events, jobs, providers
from cyborg.conductor.afterwards import Afterwards, go_on
from cyborg.conductor.checks import Generations, require_found, require_unchanged
from cyborg.conductor.environment import Environment
from cyborg.db import attach_handles
from cyborg.db.accelerator_requests import (
    LockedRequest,
    change_state,
    lock_requests,
    remember_owner,
)
from cyborg.db.attach_handles import Provider
from cyborg.db.statements import case_by
from cyborg.db.tables import accelerator_requests
from cyborg.domain.errors import (
    AcceleratorRequestStateConflict,
    DeviceNotAvailable,
    Forbidden,
    InvalidInput,
    NoFreeHandle,
    ProviderNotFound,
    WrongHost,
)
from cyborg.domain.model import (
    DeviceStatus,
    EventStatus,
    Job,
    JobKind,
    Presence,
    ProviderJobKind,
)
from cyborg.domain.profiles import asks_for, needs_programming
from cyborg.domain.states import BINDABLE, ArqState

LOG = log.getLogger(__name__)

_HELD = frozenset({ArqState.BOUND, ArqState.BIND_STARTED})


@dataclass(frozen=True, slots=True)
class Binding:
    """What one ARQ is to be bound to."""

    hostname: str
    device_rp_uuid: str
    instance_uuid: str


@dataclass(frozen=True, slots=True)
class Bind:
    """One request: ARQs (by uuid) of one instance on one host."""

    bindings: Mapping[str, Binding]
    instance_uuid: str
    hostname: str
    owner_project_id: str | None
    #: False: only if the instance's owner is not remembered, and Nova does not know better.
    owner_is_certain: bool
    by_service: bool
    generations: Generations
    #: False: it is only what the caller says, or Nova may know better later.
    remember_owner: bool


class _OwnerUnknown(Exception):
    """Nova must be asked first, outside of the transaction."""


class _NotEnough(Exception):
    """Too few handles are free that nobody else is just looking at."""


def bind(
    env: Environment,
    bindings: Mapping[str, Mapping[str, str]],
    owner_project_id: str | None,
    by_service: bool,
    generations: Generations = None,
    *,
    owner_is_certain: bool = True,
) -> None:
    """Bind ARQs, all or none; the same again is a success without a second effect.

    :raises InvalidInput: nothing to bind, or more than one instance or host.
    :raises AcceleratorRequestNotFound: an ARQ is not there.
    :raises AcceleratorRequestStateConflict: an ARQ is held otherwise.
    :raises ProviderNotFound: a provider is no deployable's.
    :raises WrongHost: the deployable is on another host.
    :raises DeviceNotAvailable: the device is disabled or missing, the deployable is being
        programmed or holds what nobody knows, or the group asks for a programming.
    :raises NoFreeHandle: too few handles are free.
    :raises Forbidden: no service asks, and the instance is another project's.
    :raises ServiceUnavailable: Nova must be asked whose the instance is, and cannot be.
    """
    parsed = {uuid: Binding(**binding) for uuid, binding in bindings.items()}
    instances = {binding.instance_uuid for binding in parsed.values()}
    hostnames = {binding.hostname for binding in parsed.values()}
    if len(instances) != 1 or len(hostnames) != 1:
        raise InvalidInput("A bind names exactly one instance and one host.")
    request = Bind(
        parsed,
        instances.pop(),
        hostnames.pop(),
        owner_project_id,
        (owner_is_certain and by_service) or env.nova is None,
        by_service,
        generations,
        remember_owner=by_service,
    )
    try:
        begun = _run(env, request)
    except _OwnerUnknown:
        begun = _run(env, _with_owner_of(env, request))
    go_on(env, begun)


def _run(env: Environment, request: Bind) -> Afterwards:
    try:
        return env.database.run(partial(_bind, env, request, False))
    except _NotEnough:
        return env.database.run(partial(_bind, env, request, True))


def _with_owner_of(env: Environment, request: Bind) -> Bind:
    """Return the request with the owner that Nova names."""
    assert env.nova is not None
    server = env.nova.server(request.instance_uuid)
    if server is None:
        return replace(request, owner_is_certain=True, remember_owner=False)
    _check_owner(request, server.project_id)
    return replace(
        request, owner_project_id=server.project_id, owner_is_certain=True, remember_owner=True
    )


def _check_owner(request: Bind, owner_project_id: str) -> None:
    if not request.by_service and owner_project_id != request.owner_project_id:
        raise Forbidden("The instance belongs to another project.")


def _bind(env: Environment, request: Bind, wait: bool, connection: sa.Connection) -> Afterwards:
    locked = lock_requests(connection, uuids=list(request.bindings), owner_of=request.instance_uuid)
    require_found(locked, request.bindings)
    require_unchanged(locked, request.generations)
    arqs = [arq for arq in locked if not _already_bound(arq, request.bindings[arq.uuid])]
    if not arqs:
        return Afterwards()
    for arq in arqs:
        _check_bindable(arq)
    if arqs[0].instance_owner is not None:
        _check_owner(request, arqs[0].instance_owner)
    elif not request.owner_is_certain:
        raise _OwnerUnknown
    found = _providers(connection, request, arqs)
    handles = attach_handles.take(
        connection,
        {arq.id: found[arq.uuid].deployable_id for arq in arqs},
        env.clock(),
        dirtying={
            provider.deployable_id
            for provider in found.values()
            if provider.needs_prepare or provider.needs_release
        },
        wait=wait,
    )
    if handles is None:
        if not wait:
            raise _NotEnough
        raise NoFreeHandle("Too few attach handles are free; nothing was bound.")
    return _write(env, request, arqs, found, connection)


def _already_bound(arq: LockedRequest, binding: Binding) -> bool:
    return (
        arq.state in _HELD
        and arq.job_kind is not JobKind.RELEASE
        # Else it has failed, and still reads BindStarted for Nova.
        and (arq.state is ArqState.BOUND or arq.state_reason is None)
        and arq.hostname == binding.hostname
        and arq.device_rp_uuid == binding.device_rp_uuid
        and arq.instance_uuid == binding.instance_uuid
    )


def _check_bindable(arq: LockedRequest) -> None:
    if arq.state not in BINDABLE:
        held = f", for instance {arq.instance_uuid}" if arq.instance_uuid else ""
        raise AcceleratorRequestStateConflict(
            f"Accelerator request {arq.uuid} is {arq.state}{held}; it cannot be bound."
            + (f" {arq.state_reason}" if arq.state_reason else "")
        )


def _providers(
    connection: sa.Connection, request: Bind, arqs: list[LockedRequest]
) -> dict[str, Provider]:
    """Return each ARQ's provider, by the ARQ's uuid, after every check."""
    wanted = {arq.uuid: request.bindings[arq.uuid].device_rp_uuid for arq in arqs}
    found = attach_handles.lock_providers(connection, set(wanted.values()))
    for arq in arqs:
        provider = found.get(wanted[arq.uuid])
        if provider is None:
            raise ProviderNotFound(f"No deployable has the resource provider {wanted[arq.uuid]}.")
        _check_provider(provider, request.hostname, arq)
    return {uuid: found[rp_uuid] for uuid, rp_uuid in wanted.items()}


def _check_provider(provider: Provider, hostname: str, arq: LockedRequest) -> None:
    if provider.host != hostname:
        raise WrongHost(
            f"Deployable {provider.deployable_name} is on host {provider.host}, not on {hostname}."
        )
    if not asks_for(arq.group, provider.resource_class):
        raise DeviceNotAvailable(
            f"Deployable {provider.deployable_name} is of class {provider.resource_class}, for "
            "which the device profile's group does not ask."
        )
    if provider.status is not DeviceStatus.ENABLED:
        raise DeviceNotAvailable(f"The device of {provider.deployable_name} is disabled.")
    if provider.presence is Presence.MISSING:
        raise DeviceNotAvailable(f"The device of {provider.deployable_name} is missing.")
    if not provider.settled:
        raise DeviceNotAvailable(
            f"Deployable {provider.deployable_name} is being programmed, or its last programming "
            "failed half way."
        )
    if needs_programming(arq.group):
        raise DeviceNotAvailable(
            f"The device profile's group asks that {provider.deployable_name} be programmed, "
            "which a bind cannot do yet."
        )


def _write(
    env: Environment,
    request: Bind,
    arqs: list[LockedRequest],
    found: Mapping[str, Provider],
    connection: sa.Connection,
) -> Afterwards:
    now = env.clock()
    known_owner = arqs[0].instance_owner
    owner = known_owner or request.owner_project_id or arqs[0].project_id
    rp_uuids = {arq.id: found[arq.uuid].rp_uuid for arq in arqs}
    values = {
        "hostname": request.hostname,
        "instance_uuid": request.instance_uuid,
        "device_rp_uuid": case_by(accelerator_requests.c.id, rp_uuids),
        "project_id": owner,
        "bound_by_service": request.by_service,
        "state_reason": None,
        "leftover_since": None,
    }
    later = [arq for arq in arqs if found[arq.uuid].needs_prepare]
    at_once = [arq for arq in arqs if not found[arq.uuid].needs_prepare]
    batch = None
    if at_once:
        generations = {arq.id: arq.generation for arq in at_once}
        change_state(connection, generations, ArqState.BOUND, now, bound_at=now, **values)
        batch = events.write(
            env,
            connection,
            {arq.id: arq.uuid for arq in at_once},
            request.instance_uuid,
            EventStatus.COMPLETED,
        )
    if known_owner is None and owner is not None and request.remember_owner:
        remember_owner(connection, request.instance_uuid, owner, now)
    _log(request, arqs, found)
    started: list[Job] = []
    if later:
        generations = {arq.id: arq.generation for arq in later}
        change_state(connection, generations, ArqState.BIND_STARTED, now, **values)
        started = jobs.write_prepare(env, connection, later)
    reserved = _without_allocation(env, request, set(rp_uuids.values()), connection)
    return Afterwards(started, batch, reserved)


def _without_allocation(
    env: Environment, request: Bind, rp_uuids: set[str], connection: sa.Connection
) -> frozenset[str]:
    """Tell Placement of handles that are taken though nobody has allocated them there."""
    if request.by_service:
        return frozenset()
    marked = dict.fromkeys(rp_uuids, request.hostname)
    providers.mark(env, connection, marked, ProviderJobKind.INVENTORY, now=True)
    return frozenset(marked)


def _log(request: Bind, arqs: list[LockedRequest], found: Mapping[str, Provider]) -> None:
    for arq in arqs:
        LOG.info(
            "bind arq=%s instance=%s host=%s provider=%s prepare=%s",
            arq.uuid,
            request.instance_uuid,
            request.hostname,
            found[arq.uuid].rp_uuid,
            found[arq.uuid].needs_prepare,
        )
