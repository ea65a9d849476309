"""Agents' jobs: rows with a lease, a deadline, an attempt count and a fencing generation.

Times are the database's (:class:`cyborg.db.types.database_now`), never a host's.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from cyborg.db import job_rows
from cyborg.db.job_progress import IDLE
from cyborg.db.statements import case_by, current_request_ids, insert_rows, next_generation
from cyborg.db.tables import hosts, jobs
from cyborg.db.types import database_now
from cyborg.domain.work import Job, Work


@dataclass(frozen=True, slots=True)
class JobInTime:
    """A job that may be worked on."""

    job: Job
    #: Of the machine whose agent reports for the job's host; None if that is not known.
    boot_id: str | None


_BOOT_ID = (
    sa.select(hosts.c.boot_id).where(hosts.c.name == jobs.c.host).scalar_subquery().label("boot_id")
)


def insert_jobs(
    connection: sa.Connection,
    new: Sequence[Job],
    now: datetime.datetime,
    *,
    lease: float,
    deadline: float | None,
) -> None:
    """Store jobs, leased to the caller from the start, in one statement.

    :param lease: seconds until others may take them.
    :param deadline: seconds until they have failed, or None for never.
    """
    times = {
        "leased_until": database_now(lease),
        "deadline": None if deadline is None else database_now(deadline),
        "attempt": 1,
        "created_at": now,
        **current_request_ids(),
    }
    rows = [
        {
            "uuid": job.uuid,
            "kind": job.kind,
            "generation": job.generation,
            "subject": job.key,
            "host": job.host,
            # The database refuses to delete what a job is about.
            "accelerator_request_id": _only(job.subject.requests),
            "attach_handle_id": _only(job.subject.handles),
            "payload": job_rows.payload_of(job),
        }
        for job in new
    ]
    insert_rows(connection, jobs, [{**row, **times} for row in rows])


def lock_jobs_of(connection: sa.Connection, request_ids: Collection[int]) -> job_rows.Found:
    """Return the jobs that are each about one of these ARQs alone, held."""
    query = sa.select(jobs).where(jobs.c.accelerator_request_id.in_(request_ids))
    return job_rows.found(connection.execute(query.order_by(jobs.c.id).with_for_update()).all())


def turn_jobs(
    connection: sa.Connection, turned: Sequence[Job], now: datetime.datetime, *, lease: float
) -> list[Job]:
    """Let locked jobs become other work, all of one kind; return them as they are then.

    They begin anew, without a deadline. What their agents still answer has no effect.
    """
    origin = current_request_ids()
    after = [
        replace(job, work=replace(job.work, generation=job.generation + 1), failures=0)
        for job in turned
    ]
    [kind] = {job.kind for job in after}
    # Found as they were when they were locked: agents ask by the uuid, and hold nothing else.
    ids = [id_ for job in after for id_ in job.subject.requests]
    connection.execute(
        jobs.update()
        .where(jobs.c.accelerator_request_id.in_(ids))
        .values(
            kind=kind,
            payload=case_by(jobs.c.uuid, {job.uuid: job_rows.payload_of(job) for job in after}),
            attempt=1,
            failures=0,
            unanswered=0,
            deadline=None,
            leased_until=database_now(lease),
            last_error=None,
            updated_at=now,
            **IDLE,
            **origin,
            **next_generation(jobs),
        )
    )
    return after


def renew_jobs(connection: sa.Connection, host: str, kind: str, *, lease: float) -> list[Job]:
    """Take a host's jobs of a kind for ``lease`` seconds, whoever has them, as the next attempt."""
    filters = (jobs.c.host == host, jobs.c.kind == kind)
    ids = list(
        connection.scalars(
            sa.select(jobs.c.id).where(*filters).order_by(jobs.c.id).with_for_update()
        )
    )
    if not ids:
        return []
    connection.execute(
        jobs.update()
        .where(jobs.c.id.in_(ids))
        .values(
            leased_until=database_now(lease),
            attempt=jobs.c.attempt + 1,
            **IDLE,
            **next_generation(jobs),
        )
    )
    query = sa.select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id)
    return list(job_rows.found(connection.execute(query).all()).jobs)


def jobs_of_host(connection: sa.Connection, host: str) -> dict[int, Work]:
    """Return what is to be done for single handles of a host, by their ids. Locks nothing."""
    query = sa.select(jobs).where(jobs.c.host == host, jobs.c.attach_handle_id.is_not(None))
    rows = connection.execute(query.order_by(jobs.c.id)).all()
    read = {row.attach_handle_id: job_rows.readable(row) for row in rows}
    return {id_: job.work for id_, job in read.items() if job is not None}


def has_jobs(connection: sa.Connection, host: str, kind: str) -> bool:
    """Return whether a host has a job of a kind."""
    query = sa.select(jobs.c.id).where(jobs.c.host == host, jobs.c.kind == kind).limit(1)
    return connection.scalar(query) is not None


def peek(connection: sa.Connection, uuid: str, generation: int | None = None) -> Job | None:
    """Return a job, None if it is gone or this generation is not its newest.

    Locks nothing: whoever changes an ARQ and its job locks the ARQ first, then the job.
    """
    return _one(connection, _of(uuid, generation))


def lock_job(connection: sa.Connection, uuid: str, generation: int) -> Job | None:
    """Lock a job if it is there and this generation is still its newest."""
    return _one(connection, _of(uuid, generation).with_for_update())


def lock_job_in_time(connection: sa.Connection, uuid: str, generation: int) -> JobInTime | None:
    """Lock a job if this generation is its newest and its deadline has not passed.

    Its host is not locked: a report that is being applied is not waited for.
    """
    in_time = sa.or_(jobs.c.deadline.is_(None), jobs.c.deadline > database_now())
    query = _of(uuid, generation).add_columns(_BOOT_ID).where(in_time).with_for_update()
    row = connection.execute(query).first()
    job = None if row is None else job_rows.readable(row)
    return None if row is None or job is None else JobInTime(job, row.boot_id)


def delete_job(connection: sa.Connection, uuid: str) -> None:
    """Delete a job that is done."""
    connection.execute(jobs.delete().where(jobs.c.uuid == uuid))


def _of(uuid: str, generation: int | None) -> sa.Select[Any]:
    query = sa.select(jobs).where(jobs.c.uuid == uuid)
    return query if generation is None else query.where(jobs.c.generation == generation)


def _one(connection: sa.Connection, query: sa.Select[Any]) -> Job | None:
    row = connection.execute(query).first()
    return None if row is None else job_rows.readable(row)


def _only(ids: Sequence[int]) -> int | None:
    return ids[0] if len(ids) == 1 else None
