"""The outbox: what Nova must be told, written in the transaction that makes it true."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping

import sqlalchemy as sa

from cyborg.db.tables import outbox
from cyborg.db.types import database_now
from cyborg.domain.model import EventState, EventStatus


def insert_events(
    connection: sa.Connection,
    arqs: Mapping[int, str],
    *,
    instance_uuid: str,
    status: EventStatus,
    state: EventState,
    now: datetime.datetime,
) -> None:
    """Store one event for each ARQ (id to uuid) of an instance, in one statement."""
    connection.execute(
        outbox.insert().values(
            [
                {
                    "accelerator_request_id": id_,
                    "accelerator_request_uuid": uuid,
                    "instance_uuid": instance_uuid,
                    "status": status,
                    "state": state,
                    "leased_until": database_now(),
                    "created_at": now,
                }
                for id_, uuid in arqs.items()
            ]
        )
    )


def delete_events_of(connection: sa.Connection, request_ids: Collection[int]) -> None:
    """Forget what was to be told of these ARQs: they begin again."""
    connection.execute(outbox.delete().where(outbox.c.accelerator_request_id.in_(request_ids)))
