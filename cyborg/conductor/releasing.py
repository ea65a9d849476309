"""Unbinding and deleting ARQs. A handle is free only when its device is clean.

What needs no release is freed in the same transaction. Anything else leaves a job, and
the handle keeps its owner until the agent has done it: a deleted ARQ is Deleting, which
nobody sees; an unbound one shows what it was, and becomes Unbound at the end.

Nova frees its allocation as soon as it is answered, and Placement would offer the device at
once. So what is not free yet is reserved there before the answer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

from oslo_log import log

from cyborg.conductor import cleaning, providers
from cyborg.conductor.checks import (
    Generations,
    require_found,
    require_in_time,
    require_unchanged,
)
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import Unit, run
from cyborg.db import attach_handles, freeing
from cyborg.db.attach_handles import TakenHandle
from cyborg.db.outbox import delete_events_of
from cyborg.db.request_changes import (
    LockedRequest,
    begin_delete,
    begin_unbind,
    delete_requests,
    lock_requests,
    unbind_requests,
)
from cyborg.domain.model import ProviderJobKind
from cyborg.domain.states import AT_WORK, HOLDING, RELEASING, is_reserved

LOG = log.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Freed:
    """What was freed at once, and what an agent must release first."""

    #: They hold nothing any more, or never did.
    clean: Sequence[LockedRequest]
    #: They keep their handles until those are released.
    held: Sequence[LockedRequest]
    #: Handles of ``held`` that no agent is releasing yet.
    taken: Sequence[TakenHandle]


def unbind(env: Environment, uuids: Sequence[str], generations: Generations = None) -> None:
    """Unbind ARQs, all or none. What holds nothing, or is being released, stays so.

    :raises AcceleratorRequestNotFound: if an ARQ is not there.
    :raises AcceleratorRequestStateConflict: if one is not as the caller was allowed it.
    """
    run(env, partial(_unbind, uuids, generations))


def delete(
    env: Environment,
    uuids: Sequence[str],
    generations: Generations = None,
    *,
    instance_uuid: str | None = None,
) -> list[str]:
    """Delete the ARQs that are there, in one transaction; return those that are not.

    :param instance_uuid: leave those alone that are not this instance's any more.
    :raises AcceleratorRequestStateConflict: if one is not as the caller was allowed it.
    """

    def work(unit: Unit) -> list[str]:
        arqs = lock_requests(unit.connection, uuids=uuids, instance_uuid=instance_uuid)
        require_in_time(unit, arqs)
        require_unchanged(arqs, generations)
        _delete(unit, arqs)
        found = {arq.uuid for arq in arqs}
        return [uuid for uuid in dict.fromkeys(uuids) if uuid not in found]

    return run(env, work)


def delete_of_instance(env: Environment, instance_uuid: str) -> None:
    """Delete every ARQ of an instance; none is a success.

    An API of the release before asks for it. Those that it has not seen go, too.
    """

    def work(unit: Unit) -> None:
        arqs = lock_requests(unit.connection, instance_uuid=instance_uuid)
        require_in_time(unit, arqs)
        _delete(unit, arqs)

    run(env, work)


def _unbind(uuids: Sequence[str], generations: Generations, unit: Unit) -> None:
    locked = lock_requests(unit.connection, uuids=uuids)
    require_in_time(unit, locked)
    require_found(locked, uuids)
    require_unchanged(locked, generations)
    arqs = [arq for arq in locked if arq.state in HOLDING - RELEASING]
    if not arqs:
        return
    freed = _free(unit, arqs)
    delete_events_of(unit.connection, [arq.id for arq in arqs])
    if freed.clean:
        unbind_requests(unit.connection, freed.clean, unit.now)
    if freed.held:
        begin_unbind(unit.connection, freed.held)
    _release(unit, "unbind", arqs, freed)


def _delete(unit: Unit, arqs: Sequence[LockedRequest]) -> None:
    if not arqs:
        return
    freed = _free(unit, arqs)
    if freed.clean:
        delete_requests(unit.connection, [arq.id for arq in freed.clean])
    if freed.held:
        delete_events_of(unit.connection, [arq.id for arq in freed.held])
        begin_delete(unit.connection, freed.held, unit.now)
    _release(unit, "delete", arqs, freed)


def _free(unit: Unit, arqs: Sequence[LockedRequest]) -> _Freed:
    """Free what needs no release. What an agent is at work on is not free, even if its driver
    says by now that it need not be released."""
    idle = [arq.id for arq in arqs if arq.state in HOLDING - AT_WORK]
    owning = [arq.id for arq in arqs if arq.state in HOLDING - RELEASING]
    freed = freeing.free_clean(unit.connection, idle, unit.now) if idle else 0
    taken: Sequence[TakenHandle] = ()
    if freed < len(owning):
        taken = attach_handles.taken_handles(unit.connection, owning)
    owners = {handle.accelerator_request_id for handle in taken}
    held = {arq.id for arq in arqs if arq.state in AT_WORK} | owners
    return _Freed(
        [arq for arq in arqs if arq.id not in held], [arq for arq in arqs if arq.id in held], taken
    )


def _release(unit: Unit, action: str, arqs: Sequence[LockedRequest], freed: _Freed) -> None:
    """Give agents what they must release, and reserve it in Placement meanwhile.

    Where an agent releases already, its job goes on: its end finds the ARQ as it is then.
    """
    held = {arq.id for arq in freed.held}
    for arq in arqs:
        LOG.info(
            "%s arq=%s instance=%s state=%s release=%s",
            action,
            arq.uuid,
            arq.instance_uuid,
            arq.state,
            arq.id in held,
        )
    cleaning.write(unit, freed.held, freed.taken)
    # Not of a clean handle that Nova's allocation stood for: it is free, and nothing was
    # reserved for it.
    reserved = [arq for arq in arqs if arq.id in held or is_reserved(arq) or arq.is_counted_apart]
    _mark(unit, reserved, [arq for arq in arqs if arq.id not in held])


def _mark(
    unit: Unit, reserved: Collection[LockedRequest], freed: Collection[LockedRequest]
) -> None:
    """Let Placement hear of what is reserved, or is no more, before the answer; and some time of
    other shapes of what is free now, to offer them."""
    others = {uuid: arq.hostname for arq in freed if arq.hostname for uuid in arq.shares_with}
    marked = {
        arq.device_rp_uuid: arq.hostname for arq in reserved if arq.device_rp_uuid and arq.hostname
    }
    providers.mark(unit, marked, ProviderJobKind.INVENTORY, at_once=True, others=others)
