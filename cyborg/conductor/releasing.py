"""Unbinding and deleting ARQs. A handle is free only when its device is clean.

What needs no release is freed in the same transaction. Anything else leaves a job, and
the handle keeps its owner until the agent has done it: a deleted ARQ is Deleting, which
nobody sees; an unbound one stays as it is and becomes Unbound at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa
from oslo_log import log

from cyborg.conductor import jobs
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
from cyborg.domain.model import Job, JobKind
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
}


def unbind(env: Environment, uuids: Sequence[str], generations: Generations = None) -> None:
    """Unbind ARQs, all or none. What holds nothing, or is being released, stays so.

    :raises AcceleratorRequestNotFound: an ARQ is not there.
    :raises AcceleratorRequestStateConflict: one is not as the caller was allowed it.
    """
    jobs.dispatch(env, env.database.run(partial(_unbind, env, uuids, generations)))


def delete(env: Environment, uuids: Sequence[str], generations: Generations = None) -> list[str]:
    """Delete the ARQs that are there, in one transaction; return those that are not.

    :raises AcceleratorRequestStateConflict: one is not as the caller was allowed it.
    """

    def work(connection: sa.Connection) -> tuple[list[Job], list[str]]:
        arqs = lock_requests(connection, uuids=uuids)
        require_unchanged(arqs, generations)
        found = {arq.uuid for arq in arqs}
        missing = [uuid for uuid in dict.fromkeys(uuids) if uuid not in found]
        return _delete(env, connection, arqs), missing

    started, missing = env.database.run(work)
    jobs.dispatch(env, started)
    return missing


def delete_of_instance(env: Environment, instance_uuid: str) -> None:
    """Delete every ARQ of an instance; none is a success."""

    def work(connection: sa.Connection) -> list[Job]:
        return _delete(env, connection, lock_requests(connection, instance_uuid=instance_uuid))

    jobs.dispatch(env, env.database.run(work))


def _unbind(
    env: Environment, uuids: Sequence[str], generations: Generations, connection: sa.Connection
) -> list[Job]:
    locked = lock_requests(connection, uuids=uuids)
    require_found(locked, uuids)
    require_unchanged(locked, generations)
    arqs = [arq for arq in locked if arq.state in HOLDING and arq.job_kind is not JobKind.RELEASE]
    if not arqs:
        return []
    now = env.clock()
    dirty = _free_clean(env, connection, arqs)
    clean = {arq.id: arq.generation for arq in arqs if arq.id not in dirty}
    delete_events_of(connection, [arq.id for arq in arqs])
    if clean:
        change_state(connection, clean, ArqState.UNBOUND, now, **UNBOUND_VALUES)
    _log("unbind", arqs, dirty)
    return jobs.write_release(env, connection, [arq for arq in arqs if arq.id in dirty])


def _delete(
    env: Environment, connection: sa.Connection, arqs: Sequence[LockedRequest]
) -> list[Job]:
    if not arqs:
        return []
    dirty = _free_clean(env, connection, arqs)
    clean = [arq.id for arq in arqs if arq.id not in dirty]
    if clean:
        delete_requests(connection, clean)
    _log("delete", arqs, dirty)
    if not dirty:
        return []
    held = [arq for arq in arqs if arq.id in dirty]
    generations = {arq.id: arq.generation for arq in held}
    change_state(connection, generations, ArqState.DELETING, env.clock())
    return jobs.write_release(env, connection, held)


def _free_clean(
    env: Environment, connection: sa.Connection, arqs: Sequence[LockedRequest]
) -> set[int]:
    """Free what needs no release; return the ids of the ARQs whose handles do."""
    holding = [arq.id for arq in arqs if arq.state in HOLDING]
    if not holding:
        return set()
    if attach_handles.free_clean(connection, holding, env.clock()) == len(holding):
        return set()
    left = attach_handles.taken_handles(connection, holding)
    return {handle.accelerator_request_id for handle in left}


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
