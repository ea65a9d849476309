"""How attempts at jobs begin and end: what agents ask and answer, deadlines, lost ones.

What follows from it depends on the kind of the work: see :mod:`cyborg.conductor.kinds`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from oslo_log import log

from cyborg.conductor import jobs
from cyborg.conductor.environment import Environment
from cyborg.conductor.jobs import Kind
from cyborg.conductor.kinds import KINDS
from cyborg.conductor.unit import Unit, run
from cyborg.db import due_jobs
from cyborg.db import jobs as rows
from cyborg.db.job_rows import Found
from cyborg.db.request_changes import LockedRequest, lock_requests_by_id
from cyborg.domain.agents import boot_id_of
from cyborg.domain.backoff import backoff
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.text import plain
from cyborg.domain.work import Job
from cyborg.rpc.context import working_for

LOG = log.getLogger(__name__)

#: How many jobs one look takes at most.
BATCH = 100

#: How many attempts in vain are an alarm, and after how many more it is given again: an hour, at
#: the longest lease.
ALARM, ALARM_AGAIN = 5, 12

#: Seconds for which a row that is no job is left alone.
UNREADABLE_PAUSE = 3600

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
    #: It was refused before the hardware was touched.
    not_begun: bool = False


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
    not_begun: bool = False,
) -> None:
    """Take an agent's answer.

    One that is not about the newest attempt, or not of the job's host, has no effect.

    :param error: None, or why it failed, in whatever characters.
    :param away: it failed because the device is not there.
    :param not_begun: it was refused before the hardware was touched.
    """
    worked = error is None and not away and not not_begun
    outcome = Outcome(None if worked else _reason(error), away=away, not_begun=not_begun)
    if not _end(env, uuid, generation, outcome, host):
        LOG.info("late answer ignored job=%s generation=%s", uuid, generation)


def sweep(env: Environment, *, expires: bool = True) -> int:
    """End what is past its deadline, send again what nobody answered; return how many.

    A row that cannot be read, or makes trouble, costs nothing but itself.

    :param expires: False: nothing ends, since agents may not have been heard for a while.
    """
    expired: list[Job] = []
    if expires:
        with env.database.reader() as connection:
            expired = due_jobs.expired(connection, KINDS, BATCH)
    for job in expired:
        with _only_this(job):
            _end(env, job.uuid, job.generation, _too_late(job), job.host)
    due = run(env, partial(_claim, env.conf.conductor.job_lease))
    for row in due.unreadable:
        LOG.error(
            "job cannot be read job=%s kind=%s host=%s, looked at again in %d s: %s",
            row.uuid,
            row.kind,
            row.host,
            UNREADABLE_PAUSE,
            row.why,
        )
    for job in due.jobs:
        with _only_this(job):
            _send_again(env, job)
    return len(expired) + len(due.jobs) + len(due.unreadable)


@contextmanager
def _only_this(job: Job) -> Iterator[None]:
    """Look after one job as its request does; what goes wrong stops no other job's look."""
    with working_for(job.request_id, job.global_request_id):
        try:
            yield
        except ServiceUnavailable:
            raise
        except Exception:  # part of an outermost loop: all others must go on
            LOG.exception("looking after a job failed job=%s kind=%s", job.uuid, job.kind)


def _claim(lease: float, unit: Unit) -> Found:
    return due_jobs.claim_due(
        unit.connection, KINDS, lease=lease, limit=BATCH, pause=UNREADABLE_PAUSE
    )


def _send_again(env: Environment, job: Job) -> None:
    if job.unanswered >= ALARM and (job.unanswered - ALARM) % ALARM_AGAIN == 0:
        LOG.error(
            "job in vain job=%s kind=%s host=%s %s attempts=%d: %s",
            job.uuid,
            job.kind,
            job.host,
            job.key.replace("/", "="),
            job.unanswered,
            job.last_error or "its agent does not answer",
        )
    LOG.info("job sent again job=%s kind=%s host=%s", job.uuid, job.kind, job.host)
    jobs.send(env, job)


def _too_late(job: Job) -> Outcome:
    last = f" The last attempt: {job.last_error}" if job.last_error else ""
    return Outcome(f"The device was not ready in time.{last}", too_late=True)


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
    if outcome.not_begun and kind.waits:
        _wait(unit, job, outcome.error)
        return True
    _failed(unit, kind, job, arqs, outcome)
    return True


def _wait(unit: Unit, job: Job, reason: str) -> None:
    """Let a job be tried again that its agent could not begin."""
    seconds = backoff(job.unanswered + 1, jobs.MOST_PAUSE)
    LOG.warning(
        "job not begun job=%s kind=%s host=%s, tried again in %g s: %s",
        job.uuid,
        job.kind,
        job.host,
        seconds,
        reason,
    )
    due_jobs.postpone(
        unit.connection, job.uuid, unit.now, seconds=seconds, error=reason, begun=False
    )


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
        seconds = kind.pause(failures)
        due_jobs.postpone(unit.connection, job.uuid, unit.now, seconds=seconds, error=outcome.error)
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
