"""How attempts at jobs begin and end: what agents ask and answer, deadlines, lost ones.

What follows from it depends on the kind of the work: see :mod:`cyborg.conductor.kinds`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from oslo_log import log

from cyborg.conductor import jobs
from cyborg.conductor.environment import Environment
from cyborg.conductor.jobs import Kind
from cyborg.conductor.kinds import KINDS
from cyborg.conductor.unit import Unit, run
from cyborg.db import jobs as rows
from cyborg.db.request_changes import LockedRequest, lock_requests_by_id
from cyborg.domain.agents import boot_id_of
from cyborg.domain.text import plain
from cyborg.domain.work import Job
from cyborg.rpc.context import working_for

LOG = log.getLogger(__name__)

#: How many jobs one look takes at most.
BATCH = 100

#: What an agent may tell of a failure is stored no longer than this.
_REASON_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended."""

    #: None, or why it failed.
    error: str | None
    #: The job's time is over: there is no next attempt.
    too_late: bool = False
    #: It failed because the device is not there.
    away: bool = False


_TOO_LATE = Outcome("The device was not ready in time.", too_late=True)


def begin(
    env: Environment,
    host: str,
    uuid: str,
    generation: int,
    step: int,
    *,
    agent: Mapping[str, Any] | None = None,
) -> bool:
    """Let an agent do a step of its work, which it asks for right before; return whether it may.

    It may while its attempt is the newest and the job is not over: by its deadline, for
    instance, or since it was turned round while the message was under way. What it holds is
    nobody else's until it has answered. The agent of another machine than the one that reports
    for the host may nothing: there its hardware is not.

    :param agent: who asks, as it crossed; only the boot counts.
    :raises InvalidInput: that cannot be.
    """
    boot_id = boot_id_of(agent)

    def work(unit: Unit) -> bool:
        found = rows.lock_job_in_time(unit.connection, uuid, generation)
        if found is None:
            return False
        job = found.job
        if job.kind not in KINDS or not _is_hosts(job, host) or not _is_there(found, boot_id):
            return False
        if step not in range(len(job.work.steps)):
            return False
        return KINDS[job.kind].begins(unit, job, step)

    may = run(env, work)
    LOG.info("work job=%s generation=%s step=%s may begin=%s", uuid, generation, step, may)
    return may


def finish(
    env: Environment,
    host: str,
    uuid: str,
    generation: int,
    error: str | None,
    *,
    away: bool = False,
) -> None:
    """Take an agent's answer.

    One that is not about the newest attempt, or not of the job's host, has no effect.

    :param error: None, or why it failed, in whatever characters.
    :param away: it failed because the device is not there.
    """
    worked = error is None and not away
    outcome = Outcome(None if worked else _reason(error), away=away)
    if not _end(env, uuid, generation, outcome, host):
        LOG.info("late answer ignored job=%s generation=%s", uuid, generation)


def sweep(env: Environment) -> int:
    """End what is past its deadline, send again what nobody answered; return how many."""
    with env.database.reader() as connection:
        expired = rows.expired(connection, KINDS, BATCH)
    for job in expired:
        with working_for(job.request_id, job.global_request_id):
            _end(env, job.uuid, job.generation, _TOO_LATE, job.host)
    lease = env.conf.conductor.job_lease
    due = run(env, lambda unit: rows.claim_due(unit.connection, KINDS, lease=lease, limit=BATCH))
    for job in due:
        with working_for(job.request_id, job.global_request_id):
            LOG.info("job sent again job=%s kind=%s host=%s", job.uuid, job.kind, job.host)
            jobs.send(env, job)
    return len(expired) + len(due)


def _end(env: Environment, uuid: str, generation: int, outcome: Outcome, host: str) -> bool:
    """Act on an outcome; return False if the job has moved on."""
    return run(env, partial(_act, uuid, generation, outcome, host))


def _act(uuid: str, generation: int, outcome: Outcome, host: str, unit: Unit) -> bool:
    connection = unit.connection
    seen = rows.peek(connection, uuid, generation)
    if seen is None or seen.kind not in KINDS or not _is_hosts(seen, host):
        return False
    # In the order in which unbind and delete take them: no deadlock.
    waiting = seen.subject.requests
    arqs = lock_requests_by_id(connection, waiting) if waiting else []
    job = rows.lock_job(connection, uuid, generation)
    if job is None:
        return False
    kind = KINDS[job.kind]
    if outcome.error is None:
        rows.delete_job(connection, uuid)
        kind.succeeded(unit, job, arqs)
        return True
    if outcome.away and kind.away is not None:
        LOG.warning(
            "device is away job=%s kind=%s host=%s: %s",
            job.uuid,
            job.kind,
            job.host,
            outcome.error,
        )
        rows.delete_job(connection, uuid)
        kind.away(unit, job, arqs, outcome.error)
        return True
    _failed(unit, kind, job, arqs, outcome)
    return True


def _failed(
    unit: Unit, kind: Kind, job: Job, arqs: Sequence[LockedRequest], outcome: Outcome
) -> None:
    """Let a job be done again, or be over."""
    assert outcome.error is not None
    failures = job.failures + 1
    LOG.warning(
        "job failed job=%s kind=%s host=%s failures=%s: %s",
        job.uuid,
        job.kind,
        job.host,
        failures,
        outcome.error,
    )
    if not outcome.too_late and failures < kind.attempts(unit.env.conf):
        seconds = jobs.BACK_OFF * failures
        rows.postpone(unit.connection, job.uuid, unit.now, seconds=seconds, error=outcome.error)
    else:
        rows.delete_job(unit.connection, job.uuid)
        kind.failed(unit, job, arqs, outcome.error)


def _reason(error: object) -> str:
    """Return a failure as it can be stored and shown, whatever an agent has sent."""
    return plain(str(error or ""), _REASON_LENGTH) or "The driver gave no reason."


def _is_there(found: rows.JobInTime, boot_id: str | None) -> bool:
    if found.boot_id is None or boot_id in (None, found.boot_id):
        return True
    LOG.warning(
        "question of another machine: asked by boot=%s job=%s host=%s, which is boot=%s",
        boot_id,
        found.job.uuid,
        found.job.host,
        found.boot_id,
    )
    return False


def _is_hosts(job: Job, host: str) -> bool:
    if job.host == host:
        return True
    LOG.warning("not its job: asked or answered by=%s job=%s host=%s", host, job.uuid, job.host)
    return False
