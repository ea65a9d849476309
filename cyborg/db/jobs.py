"""Agents' jobs: rows with a lease, a deadline, an attempt count and a fencing generation.

Times are the database's (:class:`cyborg.db.types.database_now`), never a host's.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from cyborg.db.statements import current_request_ids, next_generation
from cyborg.db.tables import jobs
from cyborg.db.types import database_now
from cyborg.domain.model import Job, JobKind


def insert_jobs(
    connection: sa.Connection,
    rows: Sequence[Mapping[str, Any]],
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
        **current_request_ids(),
    }
    connection.execute(jobs.insert().values([{**row, **times} for row in rows]))


def turn_into_release(
    connection: sa.Connection,
    request_ids: Collection[int],
    now: datetime.datetime,
    *,
    lease: float,
) -> None:
    """Make releases of these ARQs' jobs. What their agents still answer has no effect."""
    connection.execute(
        jobs.update()
        .where(jobs.c.accelerator_request_id.in_(request_ids))
        .values(
            kind=JobKind.RELEASE,
            attempt=1,
            failures=0,
            deadline=None,
            leased_until=database_now(lease),
            last_error=None,
            updated_at=now,
            **current_request_ids(),
            **next_generation(jobs),
        )
    )


def claim_due(connection: sa.Connection, *, lease: float, limit: int) -> list[Job]:
    """Take jobs whose lease has run out, for ``lease`` seconds, as the next attempt."""
    due = list(
        connection.scalars(
            sa.select(jobs.c.id)
            .where(jobs.c.leased_until <= database_now(), jobs.c.kind.in_(list(JobKind)))
            .order_by(jobs.c.leased_until)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    )
    if not due:
        return []
    connection.execute(
        jobs.update()
        .where(jobs.c.id.in_(due))
        .values(
            leased_until=database_now(lease),
            attempt=jobs.c.attempt + 1,
            **next_generation(jobs),
        )
    )
    return get_jobs(connection, due)


def get_jobs(connection: sa.Connection, ids: Collection[int]) -> list[Job]:
    """Return jobs by id."""
    query = sa.select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id)
    return [_job(row) for row in connection.execute(query)]


def jobs_of(connection: sa.Connection, request_ids: Collection[int]) -> list[Job]:
    """Return the live jobs of these ARQs."""
    query = sa.select(jobs).where(jobs.c.accelerator_request_id.in_(request_ids))
    return [_job(row) for row in connection.execute(query.order_by(jobs.c.id))]


def peek(connection: sa.Connection, uuid: str, generation: int | None = None) -> Job | None:
    """Return a job, None if it is gone or this generation is not its newest.

    Locks nothing: whoever changes an ARQ and its job locks the ARQ first, then the job.
    """
    query = sa.select(jobs).where(jobs.c.uuid == uuid)
    if generation is not None:
        query = query.where(jobs.c.generation == generation)
    row = connection.execute(query).first()
    return None if row is None else _job(row)


def lock_job(connection: sa.Connection, uuid: str, generation: int | None = None) -> Job | None:
    """Lock a job if it is there and this generation, if one is given, is still its newest."""
    query = sa.select(jobs).where(jobs.c.uuid == uuid).with_for_update()
    if generation is not None:
        query = query.where(jobs.c.generation == generation)
    row = connection.execute(query).first()
    return None if row is None else _job(row)


def expired(connection: sa.Connection, limit: int) -> list[Job]:
    """Return jobs whose deadline has passed, without locking them."""
    query = sa.select(jobs).where(jobs.c.deadline <= database_now()).order_by(jobs.c.id)
    return [_job(row) for row in connection.execute(query.limit(limit))]


def postpone(
    connection: sa.Connection, job_id: int, *, seconds: float, error: str, now: datetime.datetime
) -> None:
    """Record a failed attempt; the next one is due in ``seconds``."""
    connection.execute(
        jobs.update()
        .where(jobs.c.id == job_id)
        .values(
            failures=jobs.c.failures + 1,
            last_error=error,
            leased_until=database_now(seconds),
            updated_at=now,
            **next_generation(jobs),
        )
    )


def delete_job(connection: sa.Connection, job_id: int) -> None:
    """Delete a job that is done."""
    connection.execute(jobs.delete().where(jobs.c.id == job_id))


def _job(row: sa.Row[Any]) -> Job:
    return Job(
        id=row.id,
        uuid=row.uuid,
        kind=JobKind(row.kind),
        host=row.host,
        accelerator_request_id=row.accelerator_request_id,
        attach_handle_id=row.attach_handle_id,
        payload=json.loads(row.payload),
        generation=row.generation,
        failures=row.failures,
        request_id=row.request_id,
        global_request_id=row.global_request_id,
    )
