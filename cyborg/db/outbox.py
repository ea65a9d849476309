"""The outbox: what Nova must be told, written in the transaction that makes it true.

Events of one instance that were written together are a batch, and are sent together. A batch
is leased to the conductor that wrote it, which sends it after the commit; if that conductor
is lost, the lease runs out and any other one sends it.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from cyborg.db.statements import current_request_ids, insert_rows
from cyborg.db.tables import outbox
from cyborg.db.types import database_now
from cyborg.domain.model import EventBatch, EventState, EventStatus


def insert_events(
    connection: sa.Connection,
    arqs: Mapping[int, str],
    *,
    batch: str,
    instance_uuid: str,
    status: EventStatus,
    state: EventState,
    now: datetime.datetime,
    lease: float,
    patience: float | None = None,
) -> EventBatch:
    """Store one event for each ARQ (id to uuid) of an instance, in one statement.

    :param lease: seconds for which nobody but the caller sends it.
    :param patience: seconds for which a failure is told again and again.
    """
    origin = current_request_ids()
    insert_rows(
        connection,
        outbox,
        [
            {
                "batch": batch,
                "accelerator_request_id": id_,
                "accelerator_request_uuid": uuid,
                "instance_uuid": instance_uuid,
                "status": status,
                "state": state,
                "attempt": 1,
                "leased_until": database_now(lease),
                "deadline": None if patience is None else database_now(patience),
                "created_at": now,
                **origin,
            }
            for id_, uuid in arqs.items()
        ],
    )
    return EventBatch(
        uuid=batch,
        instance_uuid=instance_uuid,
        status=status,
        request_uuids=tuple(arqs.values()),
        repeated=patience is not None,
        attempt=1,
        request_id=origin["request_id"],
        global_request_id=origin["global_request_id"],
    )


def claim_due(
    connection: sa.Connection, *, failed: bool, lease: float, limit: int
) -> list[EventBatch]:
    """Take the batches whose lease has run out, for ``lease`` seconds, longest due first.

    :param failed: those that were told before, or those that nobody was told yet.
    """
    due = (
        sa.select(outbox)
        .where(
            outbox.c.state == EventState.WAITING,
            # Those of another release are left to it.
            outbox.c.status.in_(list(EventStatus)),
            outbox.c.leased_until <= database_now(),
            outbox.c.failures > 0 if failed else outbox.c.failures == 0,
        )
        .order_by(outbox.c.leased_until, outbox.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(due).all()
    if not rows:
        return []
    connection.execute(
        outbox.update()
        .where(outbox.c.id.in_([row.id for row in rows]))
        .values(leased_until=database_now(lease), attempt=outbox.c.attempt + 1)
    )
    batches: dict[str, list[sa.Row[Any]]] = {}
    for row in rows:
        batches.setdefault(row.batch, []).append(row)
    return [_batch(members) for members in batches.values()]


def past_deadline(connection: sa.Connection, limit: int) -> dict[str, list[int]]:
    """Return the failures that Nova has been told for long enough: instance to ids of ARQs."""
    query = (
        sa.select(outbox.c.accelerator_request_id, outbox.c.instance_uuid)
        .where(outbox.c.state == EventState.WAITING, outbox.c.deadline <= database_now())
        .order_by(outbox.c.id)
        .limit(limit)
    )
    over: dict[str, list[int]] = {}
    for row in connection.execute(query):
        over.setdefault(row.instance_uuid, []).append(row.accelerator_request_id)
    return over


def prolong(connection: sa.Connection, instance_uuid: str, seconds: float) -> None:
    """Go on telling an instance's failures for so long."""
    connection.execute(
        outbox.update()
        .where(outbox.c.instance_uuid == instance_uuid, outbox.c.deadline.is_not(None))
        .values(deadline=database_now(seconds))
    )


def postpone(
    connection: sa.Connection, batch: str, request_uuids: Collection[str], seconds: float
) -> None:
    """Let events of a batch be sent again, in so many seconds."""
    connection.execute(
        outbox.update()
        .where(outbox.c.batch == batch, outbox.c.accelerator_request_uuid.in_(request_uuids))
        .values(leased_until=database_now(seconds), failures=outbox.c.failures + 1)
    )


def delete_events(connection: sa.Connection, batch: str, request_uuids: Sequence[str]) -> None:
    """Forget events of a batch: they have been told."""
    connection.execute(
        outbox.delete().where(
            outbox.c.batch == batch, outbox.c.accelerator_request_uuid.in_(request_uuids)
        )
    )


def delete_events_of(connection: sa.Connection, request_ids: Collection[int]) -> None:
    """Forget what was to be told of these ARQs: they begin again, or go."""
    connection.execute(outbox.delete().where(outbox.c.accelerator_request_id.in_(request_ids)))


def delete_past_deadline(connection: sa.Connection, request_id: int) -> bool:
    """Forget an ARQ's failure if Nova was told for long enough; return whether it was."""
    result = connection.execute(
        outbox.delete().where(
            outbox.c.accelerator_request_id == request_id, outbox.c.deadline <= database_now()
        )
    )
    return result.rowcount > 0


def _batch(rows: Sequence[sa.Row[Any]]) -> EventBatch:
    first = rows[0]
    return EventBatch(
        uuid=first.batch,
        instance_uuid=first.instance_uuid,
        status=EventStatus(first.status),
        request_uuids=tuple(row.accelerator_request_uuid for row in rows),
        repeated=first.deadline is not None,
        attempt=first.attempt + 1,
        failures=first.failures,
        request_id=first.request_id,
        global_request_id=first.global_request_id,
    )
