"""Binding ARQs to an instance: handles are taken, all or none.

Nothing to prepare: the ARQs are Bound, and the event for Nova is written, in one
transaction. Something to prepare: they are BindStarted and a job is written; the agent's
answer ends it (:mod:`cyborg.conductor.preparing`).

An ARQ belongs to the project of its instance. Who that is was remembered at the instance's
first bind; where it was not, the caller is the owner, except an administrator, who may be
doing something with anybody's server: then Nova is asked. Whoever binds without a service is
believed nothing: that somebody's server gets a device, and whose its ARQs are, is not theirs to
say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from oslo_log import log

from cyborg.conductor import events, preparing, providers
from cyborg.conductor.asking import Budget
from cyborg.conductor.checks import (
    Generations,
    require_found,
    require_in_time,
    require_traits,
    require_unchanged,
)
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import Unit, run
from cyborg.db import attach_handles
from cyborg.db.attach_handles import BindTarget, TakenHandle
from cyborg.db.database import Connection
from cyborg.db.request_changes import (
    BoundTo,
    LockedRequest,
    bind_requests,
    lock_requests,
    remember_owner,
)
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
    DeviceCondition,
    DeviceStatus,
    EventStatus,
    Presence,
    ProviderJobKind,
    Withheld,
)
from cyborg.domain.profiles import asks_for, needs_programming
from cyborg.domain.states import BINDABLE, BOUND_OR_BINDING, ArqState

LOG = log.getLogger(__name__)

_WITHHELD = {
    Withheld.SILENT: "has not been heard for too long.",
    Withheld.RESTORING: "was booted; what its servers have is being prepared again.",
}


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
    #: False: what is bound has its owner remembered, or nothing is bound.
    owner_is_certain: bool
    by_service: bool
    generations: Generations
    #: False: it is only what the caller says, or Nova may know better later.
    remember_owner: bool
    #: Whose the instance was a moment ago, where that was looked at before.
    remembered_owner: str | None = None


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
        programmed or holds what nobody knows, the group asks for a programming, or no service
        asks and the deployable has not the traits of the group.
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
    budget = Budget()
    if not request.owner_is_certain:
        request = _with_owner(env, request, budget)
    # At first past handles that others are looking at just now; if too few are left, once more
    # waiting for them.
    if not any(run(env, partial(_bind, request, wait), budget) for wait in (False, True)):
        raise NoFreeHandle("Too few attach handles are free; nothing was bound.")


def _with_owner(env: Environment, request: Bind, budget: Budget) -> Bind:
    """Return the request with the instance's owner as it is remembered, or as Nova names it.

    Nova is asked before the transaction, and only for a bind that may be done.
    """
    with env.database.reader() as connection:
        seen = lock_requests(
            connection, uuids=list(request.bindings), owner_of=request.instance_uuid, hold=False
        )
    arqs = _to_bind(request, seen)
    if not arqs or arqs[0].instance_owner is not None:
        return replace(request, remembered_owner=arqs[0].instance_owner if arqs else None)
    assert env.nova is not None
    server = env.asking.ask("Nova", partial(env.nova.server, request.instance_uuid), budget)
    if server is None:
        return replace(request, owner_is_certain=True, remember_owner=False)
    _check_owner(request, server.project_id)
    return replace(
        request, owner_project_id=server.project_id, owner_is_certain=True, remember_owner=True
    )


def _check_owner(request: Bind, owner_project_id: str) -> None:
    if not request.by_service and owner_project_id != request.owner_project_id:
        raise Forbidden("The instance belongs to another project.")


def _bind(request: Bind, wait: bool, unit: Unit) -> bool:
    """Bind what is not bound yet; return False if too few handles were free."""
    connection = unit.connection
    locked = lock_requests(connection, uuids=list(request.bindings), owner_of=request.instance_uuid)
    require_in_time(unit, locked)
    arqs = _to_bind(request, locked)
    if not arqs:
        return True
    owner = arqs[0].instance_owner or request.remembered_owner
    if owner is not None:
        _check_owner(request, owner)
    elif not request.owner_is_certain:
        raise AcceleratorRequestStateConflict(
            "The accelerator requests have changed meanwhile; try again."
        )
    targets = _targets(connection, request, arqs)
    taken = attach_handles.take(connection, targets, unit.now, wait=wait)
    if taken is None:
        return False
    _write(unit, request, arqs, targets, known_owner=owner, taken=taken)
    return True


def _to_bind(request: Bind, found: Sequence[LockedRequest]) -> list[LockedRequest]:
    """Return the ARQs that are not bound yet, after every check of how they are."""
    require_found(found, request.bindings)
    require_unchanged(found, request.generations)
    arqs = [arq for arq in found if not _already_bound(arq, request.bindings[arq.uuid])]
    for arq in arqs:
        _check_bindable(arq)
    return arqs


def _already_bound(arq: LockedRequest, binding: Binding) -> bool:
    return (
        arq.state in BOUND_OR_BINDING
        and arq.hostname == binding.hostname
        and arq.device_rp_uuid == binding.device_rp_uuid
        and arq.instance_uuid == binding.instance_uuid
    )


def _check_bindable(arq: LockedRequest) -> None:
    if arq.state not in BINDABLE:
        held = f", for instance {arq.instance_uuid}" if arq.instance_uuid else ""
        raise AcceleratorRequestStateConflict(
            f"Accelerator request {arq.uuid} is {arq.state.shows}{held}; it cannot be bound."
            + (f" {arq.state_reason}" if arq.state_reason else "")
        )


def _targets(
    connection: Connection, request: Bind, arqs: Sequence[LockedRequest]
) -> dict[int, BindTarget]:
    """Return each ARQ's deployable, by the ARQ's id, after every check."""
    wanted = {arq.id: request.bindings[arq.uuid].device_rp_uuid for arq in arqs}
    found = attach_handles.lock_providers(connection, set(wanted.values()))
    for arq in arqs:
        target = found.get(wanted[arq.id])
        if target is None:
            raise ProviderNotFound(f"No deployable has the resource provider {wanted[arq.id]}.")
        _check_target(target, request.hostname, arq)
    targets = {id_: found[rp_uuid] for id_, rp_uuid in wanted.items()}
    if not request.by_service:
        # Nobody has asked Placement, which else sees to it.
        require_traits(connection, arqs, targets)
    return targets


def _check_target(target: BindTarget, hostname: str, arq: LockedRequest) -> None:
    if target.host != hostname:
        raise WrongHost(
            f"Deployable {target.deployable_name} is on host {target.host}, not on {hostname}."
        )
    if not asks_for(arq.group, target.resource_class):
        raise DeviceNotAvailable(
            f"Deployable {target.deployable_name} is of class {target.resource_class}, for "
            "which the device profile's group does not ask."
        )
    if target.withheld is not None:
        why = _WITHHELD[target.withheld]
        raise DeviceNotAvailable(f"The host of {target.deployable_name}, {target.host}, {why}")
    if target.status is not DeviceStatus.ENABLED:
        raise DeviceNotAvailable(f"The device of {target.deployable_name} is disabled.")
    if target.presence is Presence.MISSING:
        raise DeviceNotAvailable(f"The device of {target.deployable_name} is missing.")
    if target.condition is DeviceCondition.FAILED:
        reason = f": {target.condition_reason}" if target.condition_reason else "."
        raise DeviceNotAvailable(f"The device of {target.deployable_name} has failed{reason}")
    if not target.settled:
        raise DeviceNotAvailable(
            f"Deployable {target.deployable_name} is being programmed, or its last programming "
            "failed half way."
        )
    if needs_programming(arq.group):
        raise DeviceNotAvailable(
            f"The device profile's group asks that {target.deployable_name} be programmed, "
            "which a bind cannot do yet."
        )


def _write(
    unit: Unit,
    request: Bind,
    arqs: Sequence[LockedRequest],
    targets: Mapping[int, BindTarget],
    *,
    known_owner: str | None,
    taken: Sequence[TakenHandle],
) -> None:
    connection = unit.connection
    owner = known_owner or request.owner_project_id or arqs[0].project_id
    rp_uuids = {id_: target.rp_uuid for id_, target in targets.items()}
    to = BoundTo(request.hostname, request.instance_uuid, rp_uuids, owner, request.by_service)
    later = [arq for arq in arqs if targets[arq.id].needs_prepare]
    at_once = [arq for arq in arqs if not targets[arq.id].needs_prepare]
    if at_once:
        bind_requests(connection, at_once, ArqState.BOUND, to, unit.now)
        events.write(unit, at_once, request.instance_uuid, EventStatus.COMPLETED)
    if known_owner is None and owner is not None and request.remember_owner:
        remember_owner(connection, request.instance_uuid, owner, unit.now)
    _log(request, arqs, targets)
    if later:
        bind_requests(connection, later, ArqState.BIND_STARTED, to, unit.now)
        by_arq = {handle.accelerator_request_id: handle for handle in taken}
        preparing.write(unit, later, by_arq, rp_uuids)
    # Placement must hear of other shapes of the same hardware, which nobody else can get now.
    concerned = {uuid for t in targets.values() if t.sharing for uuid in t.sharing.providers}
    if not request.by_service:
        # Nobody has allocated these in Placement.
        concerned |= set(rp_uuids.values())
    marked = dict.fromkeys(concerned, request.hostname)
    providers.mark(unit, marked, ProviderJobKind.INVENTORY, at_once=True)


def _log(request: Bind, arqs: Sequence[LockedRequest], targets: Mapping[int, BindTarget]) -> None:
    for arq in arqs:
        LOG.info(
            "bind arq=%s instance=%s host=%s provider=%s prepare=%s",
            arq.uuid,
            request.instance_uuid,
            request.hostname,
            targets[arq.id].rp_uuid,
            targets[arq.id].needs_prepare,
        )
