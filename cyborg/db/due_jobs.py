"""Agents' jobs that are to be looked after: past their deadline, or not answered in time.

Times are the database's, as in :mod:`cyborg.db.jobs`.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from cyborg.db.job_progress import IDLE
from cyborg.db.job_rows import Found, found
from cyborg.db.statements import by_index, next_generation
from cyborg.db.tables import jobs
from cyborg.db.types import database_now
from cyborg.domain.backoff import backoff
from cyborg.domain.model import ProviderJobKind
from cyborg.domain.work import Job

#: Seconds of the longest lease that attempts in vain lead to, if the first is shorter.
MOST_LEASE = 300.0

#: ``unanswered`` of a job whose agent has answered: the next attempt is not one in vain.
_ANSWERED = -1

#: The conductors' own, see :mod:`cyborg.db.provider_jobs`.
_CONDUCTORS = list(ProviderJobKind)


def expired(connection: sa.Connection, kinds: Collection[str], limit: int) -> list[Job]:
    """Return jobs of these kinds whose deadline has passed, without locking them.

    Rows that cannot be read are looked past, however many there are.
    """
    query = _by(jobs.c.deadline).where(jobs.c.deadline <= database_now(), jobs.c.kind.in_(kinds))
    result: list[Job] = []
    behind: sa.ColumnElement[bool] = sa.true()
    while True:
        rows = connection.execute(query.where(behind).limit(limit)).all()
        result += found(rows).jobs
        if len(rows) < limit or len(result) >= limit:
            return result[:limit]
        at, id_ = rows[-1].deadline, rows[-1].id
        behind = sa.or_(jobs.c.deadline > at, sa.and_(jobs.c.deadline == at, jobs.c.id > id_))


def claim_due(
    connection: sa.Connection, kinds: Collection[str], *, lease: float, limit: int, pause: float
) -> Found:
    """Take jobs of these kinds whose lease has run out, as the next attempt.

    Each attempt that nobody has answered makes the next lease twice as long. What cannot be
    read is nobody's for ``pause`` seconds, and else left as it is.

    :param lease: seconds of the first.
    """
    query = _by(jobs.c.leased_until).where(
        jobs.c.leased_until <= database_now(), jobs.c.kind.in_(kinds)
    )
    rows = connection.execute(query.limit(limit).with_for_update(skip_locked=True)).all()
    read = found(rows)
    broken = {each.uuid for each in read.unreadable}
    # By the ids, whose locks it has: whoever looks for a uuid locks the uuid first, and waits
    # for the id, and MariaDB would give one of the two up.
    _put_off(connection, [row.id for row in rows if row.uuid in broken], pause)
    _lease(connection, [row for row in rows if row.uuid not in broken], lease)
    claimed = [
        replace(
            job,
            unanswered=job.unanswered + 1,
            work=replace(job.work, generation=job.generation + 1),
        )
        for job in read.jobs
    ]
    return Found(claimed, read.unreadable)


def hurry(connection: sa.Connection, host: str) -> int:
    """Let what a host's agent has not answered be due now, as if it had been sent once.

    What it could not do, and waits before it is tried again, goes on waiting. Return how many.
    """
    unanswered = (jobs.c.host == host, jobs.c.unanswered > _ANSWERED)
    query = sa.select(jobs.c.id).where(*unanswered, jobs.c.kind.not_in(_CONDUCTORS))
    # Read first: MariaDB locks every row that it looks at to find those of a host.
    ids = list(connection.scalars(query.order_by(jobs.c.id)))
    if not ids:
        return 0
    result = connection.execute(
        jobs.update()
        .where(jobs.c.id.in_(ids), *unanswered)
        .values(leased_until=database_now(), unanswered=_ANSWERED)
    )
    return int(result.rowcount)


def postpone(
    connection: sa.Connection,
    uuid: str,
    now: datetime.datetime,
    *,
    seconds: float,
    error: str,
    begun: bool = True,
) -> None:
    """Record an attempt in vain; the next one is due in ``seconds``.

    :param begun: it has failed. Else it is none that counts, and as if it were not answered.
    """
    counts = {"failures": jobs.c.failures + 1, "unanswered": _ANSWERED} if begun else {}
    connection.execute(
        jobs.update()
        .where(jobs.c.uuid == uuid)
        .values(
            last_error=error,
            leased_until=database_now(seconds),
            updated_at=now,
            **counts,
            **IDLE,
            **next_generation(jobs),
        )
    )


def _by(column: sa.Column[Any]) -> sa.Select[Any]:
    """Return a query of all rows in the order of a column that has an index."""
    return by_index(sa.select(jobs), column).order_by(column, jobs.c.id)


def _put_off(connection: sa.Connection, ids: Collection[int], seconds: float) -> None:
    if ids:
        connection.execute(
            jobs.update().where(jobs.c.id.in_(ids)).values(leased_until=database_now(seconds))
        )


def _lease(connection: sa.Connection, claimed: Sequence[sa.Row[Any]], lease: float) -> None:
    """Lease jobs for the time that each is due, one statement for each length."""
    lengths: dict[float, list[int]] = {}
    for row in claimed:
        # The attempt that begins now is one more.
        seconds = backoff(row.unanswered + 2, max(lease, MOST_LEASE), lease)
        lengths.setdefault(seconds, []).append(row.id)
    for seconds, ids in lengths.items():
        connection.execute(
            jobs.update()
            .where(jobs.c.id.in_(ids))
            .values(
                leased_until=database_now(seconds),
                attempt=jobs.c.attempt + 1,
                unanswered=jobs.c.unanswered + 1,
                **IDLE,
                **next_generation(jobs),
            )
        )
