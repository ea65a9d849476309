"""How jobs end: by an agent's answer, or by their deadline; and taking over lost ones."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from oslo_log import log

from cyborg.conductor import events, jobs, programming, providers
from cyborg.conductor.environment import Environment
from cyborg.conductor.releasing import UNBOUND_VALUES
from cyborg.db import attach_handles
from cyborg.db import jobs as job_rows
from cyborg.db.accelerator_requests import (
    LockedRequest,
    change_state,
    delete_requests,
    lock_request,
    note_failure,
)
from cyborg.domain.model import EventBatch, EventStatus, Job, JobKind, ProviderJobKind
from cyborg.domain.states import ArqState, may_become
from cyborg.rpc.context import working_for

LOG = log.getLogger(__name__)

#: What an agent may tell of a failure is stored no longer than this.
_REASON_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended."""

    #: None, or why it failed.
    error: str | None
    #: The job's time is over: there is no next attempt.
    too_late: bool = False


_TOO_LATE = Outcome("The device was not ready in time.", too_late=True)


def finish(env: Environment, uuid: str, generation: int, error: str | None) -> None:
    """Take an agent's answer. One that is not about the newest attempt has no effect."""
    outcome = Outcome(None if error is None else error[:_REASON_LENGTH])
    if not _end(env, uuid, generation, outcome):
        LOG.info("late answer ignored job=%s generation=%s", uuid, generation)


def sweep(env: Environment) -> int:
    """End what is past its deadline, send again what nobody answered; return how many."""

    def claim(connection: sa.Connection) -> list[Job]:
        lease = env.conf.conductor.job_lease
        return job_rows.claim_due(connection, lease=lease, limit=jobs.BATCH)

    with env.database.reader() as connection:
        expired = job_rows.expired(connection, jobs.BATCH)
    for job in expired:
        with working_for(job.request_id, job.global_request_id):
            _end(env, job.uuid, job.generation, _TOO_LATE)
    due = env.database.run(claim)
    for job in due:
        with working_for(job.request_id, job.global_request_id):
            LOG.info("job sent again job=%s kind=%s host=%s", job.uuid, job.kind, job.host)
            jobs.dispatch(env, [job])
    return len(expired) + len(due)


def _end(env: Environment, uuid: str, generation: int, outcome: Outcome) -> bool:
    """Act on an outcome; return False if the job has moved on."""

    def work(connection: sa.Connection) -> tuple[bool, EventBatch | None]:
        seen = job_rows.peek(connection, uuid, generation)
        if seen is None:
            return False, None
        # In the order in which unbind and delete take them: no deadlock.
        owner = seen.accelerator_request_id
        arq = None if owner is None else lock_request(connection, owner)
        job = job_rows.lock_job(connection, uuid, generation)
        if job is None:
            return False, None
        if job.kind is JobKind.PROGRAM:
            programming.end(env, connection, job, outcome.error, too_late=outcome.too_late)
            return True, None
        if arq is None:
            return False, None
        batch = _end_of(env, connection, job, arq, outcome)
        if job.kind is JobKind.RELEASE or (batch and batch.status is EventStatus.FAILED):
            _mark(env, connection, arq)
        return True, batch

    ended, batch = env.database.run(work)
    events.send(env, batch)
    return ended


def _end_of(
    env: Environment, connection: sa.Connection, job: Job, arq: LockedRequest, outcome: Outcome
) -> EventBatch | None:
    if outcome.error is None:
        return _succeeded(env, connection, job, arq)
    if outcome.too_late:
        return _bind_failed(env, connection, job, arq, outcome.error)
    return _failed(env, connection, job, arq, outcome.error)


def _mark(env: Environment, connection: sa.Connection, arq: LockedRequest) -> None:
    """Let Placement hear of it: the handle is free, or kept from everybody."""
    if arq.device_rp_uuid and arq.hostname:
        providers.mark(
            env, connection, {arq.device_rp_uuid: arq.hostname}, ProviderJobKind.INVENTORY
        )


def _succeeded(
    env: Environment, connection: sa.Connection, job: Job, arq: LockedRequest
) -> EventBatch | None:
    job_rows.delete_job(connection, job.id)
    batch = None
    if job.kind is JobKind.PREPARE:
        now = env.clock()
        change_state(connection, {arq.id: arq.generation}, ArqState.BOUND, now, bound_at=now)
        batch = _tell(env, connection, arq, EventStatus.COMPLETED)
    else:
        assert job.attach_handle_id is not None
        attach_handles.free_released(connection, job.attach_handle_id, arq.id, env.clock())
        _released(env, connection, arq)
    LOG.info("job done job=%s kind=%s arq=%s host=%s", job.uuid, job.kind, arq.uuid, job.host)
    return batch


def _failed(
    env: Environment, connection: sa.Connection, job: Job, arq: LockedRequest, error: str
) -> EventBatch | None:
    LOG.warning(
        "job failed job=%s kind=%s host=%s failures=%s: %s",
        job.uuid,
        job.kind,
        job.host,
        job.failures + 1,
        error,
    )
    conductor = env.conf.conductor
    prepare = job.kind is JobKind.PREPARE
    allowed = conductor.prepare_attempts if prepare else conductor.release_attempts
    if job.failures + 1 < allowed:
        seconds = jobs.BACK_OFF * (job.failures + 1)
        job_rows.postpone(connection, job.id, seconds=seconds, error=error, now=env.clock())
    elif prepare:
        return _bind_failed(env, connection, job, arq, error)
    else:
        _release_failed(env, connection, job, arq, error)
    return None


def _bind_failed(
    env: Environment, connection: sa.Connection, job: Job, arq: LockedRequest, reason: str
) -> EventBatch:
    """End a bind that did not work. The ARQ keeps its handle, which may be half prepared,
    until it is unbound or deleted: that releases it.

    Where Nova waits for it, it goes on reading BindStarted: see :mod:`cyborg.conductor.events`.
    """
    job_rows.delete_job(connection, job.id)
    nova_waits = env.nova is not None and arq.bound_by_service
    if nova_waits:
        note_failure(connection, arq.id, arq.generation, reason, env.clock())
    else:
        change_state(
            connection,
            {arq.id: arq.generation},
            ArqState.BIND_FAILED,
            env.clock(),
            state_reason=reason,
        )
    LOG.error("bind failed arq=%s host=%s: %s", arq.uuid, job.host, reason)
    return _tell(env, connection, arq, EventStatus.FAILED, repeated=nova_waits)


def _release_failed(
    env: Environment, connection: sa.Connection, job: Job, arq: LockedRequest, reason: str
) -> None:
    job_rows.delete_job(connection, job.id)
    now = env.clock()
    if arq.state is ArqState.DELETING:
        assert job.attach_handle_id is not None
        attach_handles.quarantine(connection, job.attach_handle_id, arq.id, reason, now)
        delete_requests(connection, [arq.id])
        LOG.error(
            "handle quarantined handle=%s host=%s arq=%s: %s",
            job.payload["handle_uuid"],
            job.host,
            arq.uuid,
            reason,
        )
        return
    # An unbind that failed: the ARQ keeps its instance and its handle.
    failed = {ArqState.BIND_STARTED: ArqState.BIND_FAILED}.get(arq.state, ArqState.UNBIND_FAILED)
    target = failed if may_become(arq.state, failed) else arq.state
    if target is not arq.state:
        change_state(connection, {arq.id: arq.generation}, target, now, state_reason=reason)
    LOG.error("unbind failed arq=%s host=%s: %s", arq.uuid, job.host, reason)


def _released(env: Environment, connection: sa.Connection, arq: LockedRequest) -> None:
    if arq.state is ArqState.DELETING:
        delete_requests(connection, [arq.id])
    else:
        change_state(
            connection,
            {arq.id: arq.generation},
            ArqState.UNBOUND,
            env.clock(),
            **UNBOUND_VALUES,
        )


def _tell(
    env: Environment,
    connection: sa.Connection,
    arq: LockedRequest,
    status: EventStatus,
    *,
    repeated: bool = False,
) -> EventBatch:
    assert arq.instance_uuid is not None
    arqs = {arq.id: arq.uuid}
    return events.write(env, connection, arqs, arq.instance_uuid, status, repeated=repeated)
