"""Unbinding and deleting ARQs. A handle is free only when its device is clean.

What needs no release is freed in the same transaction. Anything else leaves a job, and
the handle keeps its owner until the agent has done it: a deleted ARQ is Deleting, which
nobody sees; an unbound one stays as it is and becomes Unbound at the end.

Nova frees its allocation as soon as it is answered, and Placement would offer the device at
once. So what is not free yet is reserved there before the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa
from oslo_log import log

from cyborg.conductor import jobs, providers
from cyborg.conductor.afterwards import Afterwards, go_on
from cyborg.conductor.checks import Generations, require_found, require_unchanged
from cyborg.conductor.environment import Environment
from cyborg.db import attach_handles
from cyborg.db.accelerator_requests import (
    LockedRequest,
    change_state,
    delete_requests,
    lock_requests,
)
from cyborg.db.outbox import delete_events_of
from cyborg.domain.model import JobKind, ProviderJobKind
from cyborg.domain.states import HOLDING, ArqState

LOG = log.getLogger(__name__)

#: What an ARQ forgets when it is unbound.
UNBOUND_VALUES: dict[str, object] = {
    "hostname": None,
    "device_rp_uuid": None,
    "instance_uuid": None,
    "bound_by_service": False,
    "bound_at": None,
    "state_reason": None,
    "leftover_since": None,
}


def unbind(env: Environment, uuids: Sequence[str], generations: Generations = None) -> None:
    """Unbind ARQs, all or none. What holds nothing, or is being released, stays so.

    :raises AcceleratorRequestNotFound: an ARQ is not there.
    :raises AcceleratorRequestStateConflict: one is not as the caller was allowed it.
    """
    go_on(env, env.database.run(partial(_unbind, env, uuids, generations)))


def delete(env: Environment, uuids: Sequence[str], generations: Generations = None) -> list[str]:
    """Delete the ARQs that are there, in one transaction; return those that are not.

    :raises AcceleratorRequestStateConflict: one is not as the caller was allowed it.
    """

    def work(connection: sa.Connection) -> tuple[Afterwards, list[str]]:
        arqs = lock_requests(connection, uuids=uuids)
        require_unchanged(arqs, generations)
        found = {arq.uuid for arq in arqs}
        missing = [uuid for uuid in dict.fromkeys(uuids) if uuid not in found]
        return _delete(env, connection, arqs), missing

    begun, missing = env.database.run(work)
    go_on(env, begun)
    return missing


def delete_of_instance(env: Environment, instance_uuid: str) -> None:
    """Delete every ARQ of an instance; none is a success."""

    def work(connection: sa.Connection) -> Afterwards:
        return _delete(env, connection, lock_requests(connection, instance_uuid=instance_uuid))

    go_on(env, env.database.run(work))


def _unbind(
    env: Environment, uuids: Sequence[str], generations: Generations, connection: sa.Connection
) -> Afterwards:
    locked = lock_requests(connection, uuids=uuids)
    require_found(locked, uuids)
    require_unchanged(locked, generations)
    arqs = [arq for arq in locked if arq.state in HOLDING and arq.job_kind is not JobKind.RELEASE]
    if not arqs:
        return Afterwards()
    now = env.clock()
    dirty = _free_clean(env, connection, arqs)
    clean = {arq.id: arq.generation for arq in arqs if arq.id not in dirty}
    delete_events_of(connection, [arq.id for arq in arqs])
    if clean:
        change_state(connection, clean, ArqState.UNBOUND, now, **UNBOUND_VALUES)
    _log("unbind", arqs, dirty)
    started = jobs.write_release(env, connection, [arq for arq in arqs if arq.id in dirty])
    return Afterwards(started, providers=_mark(env, connection, arqs, dirty))


def _delete(
    env: Environment, connection: sa.Connection, arqs: Sequence[LockedRequest]
) -> Afterwards:
    if not arqs:
        return Afterwards()
    dirty = _free_clean(env, connection, arqs)
    clean = [arq.id for arq in arqs if arq.id not in dirty]
    if clean:
        delete_requests(connection, clean)
    _log("delete", arqs, dirty)
    if not dirty:
        return Afterwards(providers=_mark(env, connection, arqs, dirty))
    held = [arq for arq in arqs if arq.id in dirty]
    generations = {arq.id: arq.generation for arq in held}
    delete_events_of(connection, list(generations))
    change_state(connection, generations, ArqState.DELETING, env.clock())
    started = jobs.write_release(env, connection, held)
    return Afterwards(started, providers=_mark(env, connection, arqs, dirty))


def _mark(
    env: Environment, connection: sa.Connection, arqs: Sequence[LockedRequest], dirty: set[int]
) -> frozenset[str]:
    """Note which providers' reserved amounts change; return them.

    Not those of a clean handle that Nova's allocation stood for: it is free, and nothing was
    reserved for it.
    """
    marked = {
        arq.device_rp_uuid: arq.hostname
        for arq in arqs
        if arq.device_rp_uuid and arq.hostname and (arq.id in dirty or _was_reserved(arq))
    }
    providers.mark(env, connection, marked, ProviderJobKind.INVENTORY, now=True)
    return frozenset(marked)


def _was_reserved(arq: LockedRequest) -> bool:
    return not arq.bound_by_service or arq.left_over or arq.state is not ArqState.BOUND


def _free_clean(
    env: Environment, connection: sa.Connection, arqs: Sequence[LockedRequest]
) -> set[int]:
    """Free what needs no release; return the ids of the ARQs whose handles do."""
    # What an agent is at work on is not free, even if its driver says by now that it need not be.
    busy = {arq.id for arq in arqs if arq.job_kind is not None}
    holding = [arq.id for arq in arqs if arq.state in HOLDING and arq.id not in busy]
    if not holding:
        return busy
    if attach_handles.free_clean(connection, holding, env.clock()) == len(holding):
        return busy
    left = attach_handles.taken_handles(connection, holding)
    return busy | {handle.accelerator_request_id for handle in left}


def _log(action: str, arqs: Sequence[LockedRequest], dirty: set[int]) -> None:
    for arq in arqs:
        LOG.info(
            "%s arq=%s instance=%s state=%s release=%s",
            action,
            arq.uuid,
            arq.instance_uuid,
            arq.state,
            arq.id in dirty,
        )
