"""The conductor's own jobs: what of which provider in Placement is to be made as it should be.

One row for each provider and kind of work. A change that Placement must hear of marks it in
its own transaction; who has done the work deletes the row, unless it was marked once more
meanwhile.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from cyborg.db.statements import by_index, current_request_ids, next_generation, upsert
from cyborg.db.tables import jobs
from cyborg.db.types import database_now
from cyborg.domain.clock import NewUuid
from cyborg.domain.model import ProviderJob, ProviderJobKind


def mark(
    connection: sa.Connection,
    providers: Mapping[str, str],
    kind: ProviderJobKind,
    new_uuid: NewUuid,
    now: datetime.datetime,
    *,
    leased: Collection[str] = (),
    lease: float = 0,
) -> None:
    """Note that there is something to do about providers (uuid to host). One statement.

    :param leased: those to which the caller will see, for ``lease`` seconds; to all others
        anybody may, at once.
    """
    if not providers:
        return
    origin = current_request_ids()
    rows = [
        {
            "uuid": new_uuid(),
            "kind": kind,
            "subject": _subject(kind, uuid),
            "host": host,
            "payload": "",
            "leased_until": database_now(lease if uuid in leased else 0),
            "created_at": now,
            **origin,
        }
        # In one order, so that two who mark the same ones wait and do not deadlock.
        for uuid, host in sorted(providers.items())
    ]
    changes = {"failures": 0, "updated_at": now, **origin, **next_generation(jobs)}
    upsert(connection, jobs, rows, key="subject", changes=changes, proposed=["leased_until"])


def of_providers(
    connection: sa.Connection, uuids: Collection[str], kind: ProviderJobKind
) -> list[ProviderJob]:
    """Return what is to be done about these providers."""
    query = sa.select(jobs).where(jobs.c.subject.in_([_subject(kind, uuid) for uuid in uuids]))
    return [_job(row) for row in connection.execute(query.order_by(jobs.c.id))]


def claim_due(connection: sa.Connection, *, lease: float, limit: int) -> list[ProviderJob]:
    """Take jobs whose lease has run out, for ``lease`` seconds, longest due first.

    So none waits for ever behind those that are due again and again.
    """
    rows = connection.execute(
        by_index(sa.select(jobs), jobs.c.leased_until)
        .where(jobs.c.leased_until <= database_now(), jobs.c.kind.in_(list(ProviderJobKind)))
        .order_by(jobs.c.leased_until)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if rows:
        connection.execute(
            jobs.update()
            .where(jobs.c.id.in_([row.id for row in rows]))
            .values(leased_until=database_now(lease), attempt=jobs.c.attempt + 1)
        )
    return [_job(row) for row in rows]


def finish(connection: sa.Connection, job: ProviderJob) -> None:
    """Delete a job that is done, unless it was marked again meanwhile."""
    # Found by the subject, as whoever marks it finds it; the id is no index then.
    same = jobs.c.id + 0 == job.id
    connection.execute(
        jobs.delete().where(
            jobs.c.subject == _subject(job.kind, job.provider_uuid),
            same,
            jobs.c.generation == job.generation,
        )
    )


def let_go(connection: sa.Connection, ids: Collection[int], *, seconds: float) -> None:
    """Give back jobs that were not tried: they are due in ``seconds``."""
    connection.execute(
        jobs.update().where(jobs.c.id.in_(ids)).values(leased_until=database_now(seconds))
    )


def postpone(
    connection: sa.Connection, ids: Collection[int], *, seconds: float, error: str
) -> None:
    """Record that jobs did not succeed; they are due again in ``seconds``."""
    connection.execute(
        jobs.update()
        .where(jobs.c.id.in_(ids))
        .values(
            failures=jobs.c.failures + 1,
            last_error=error,
            leased_until=database_now(seconds),
        )
    )


def _subject(kind: ProviderJobKind, uuid: str) -> str:
    return f"{kind}/{uuid}"


def _job(row: sa.Row[Any]) -> ProviderJob:
    _, _, uuid = row.subject.partition("/")
    return ProviderJob(
        id=row.id,
        kind=ProviderJobKind(row.kind),
        provider_uuid=uuid,
        host=row.host,
        generation=row.generation,
        failures=row.failures,
        request_id=row.request_id,
        global_request_id=row.global_request_id,
    )
