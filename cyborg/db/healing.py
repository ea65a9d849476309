"""What healing looks at, and does, that no use case does."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from cyborg.db.sharing import shared_with
from cyborg.db.tables import attach_handles, deployables, devices, hosts, jobs, outbox
from cyborg.db.types import database_now

_handles = attach_handles


@dataclass(frozen=True, slots=True)
class OwnedHandle:
    """A handle that somebody owns, held until the transaction ends."""

    owner: int
    host: str
    #: Those that offer its hardware in any shape, its own first.
    providers: tuple[str, ...]


def owned_handle(connection: sa.Connection, id_: int, generation: int) -> OwnedHandle | None:
    """Hold a handle if it has an owner and this generation."""
    row = connection.execute(
        sa.select(_handles.c.accelerator_request_id, _handles.c.deployable_id, _handles.c.host_id)
        .where(_handles.c.id == id_, _handles.c.generation == generation)
        .with_for_update()
    ).first()
    if row is None or row.accelerator_request_id is None:
        return None
    query = sa.select(deployables.c.rp_uuid, deployables.c.sharing)
    part = connection.execute(query.where(deployables.c.id == row.deployable_id)).one()
    host = connection.scalars(sa.select(hosts.c.name).where(hosts.c.id == row.host_id)).one()
    shared = shared_with(part.sharing)
    return OwnedHandle(
        row.accelerator_request_id, host, shared.providers if shared else (part.rp_uuid,)
    )


def any_device(connection: sa.Connection, host: str) -> str | None:
    """Return the uuid of a device of a host, if it has any."""
    query = sa.select(devices.c.uuid).join_from(devices, hosts).where(hosts.c.name == host)
    uuid: str | None = connection.scalar(query.order_by(devices.c.id).limit(1))
    return uuid


def request_of_event(connection: sa.Connection, id_: int) -> str | None:
    """Return the uuid of the ARQ that an event is about, None if it has been told."""
    query = sa.select(outbox.c.accelerator_request_uuid).where(outbox.c.id == id_)
    uuid: str | None = connection.scalar(query)
    return uuid


def jobs_of_request(connection: sa.Connection, request_id: int) -> dict[int, int]:
    """Hold the jobs of an ARQ, legible or not; return their ids and generations."""
    query = sa.select(jobs.c.id, jobs.c.generation).where(
        jobs.c.accelerator_request_id == request_id
    )
    rows = connection.execute(query.order_by(jobs.c.id).with_for_update())
    return {row.id: row.generation for row in rows}


def delete_job(connection: sa.Connection, id_: int, generation: int) -> bool:
    """Delete a job, be it legible or not; return whether it was still as it was seen."""
    result = connection.execute(
        jobs.delete().where(jobs.c.id == id_, jobs.c.generation == generation)
    )
    return result.rowcount == 1


def hurry_job(connection: sa.Connection, id_: int, generation: int) -> bool:
    """Let a job be taken at once; return whether it is still as it was seen."""
    result = connection.execute(
        jobs.update()
        .where(jobs.c.id == id_, jobs.c.generation == generation)
        .values(leased_until=database_now())
    )
    return result.rowcount == 1


def hurry_event(connection: sa.Connection, id_: int, attempt: int) -> bool:
    """Let an event be sent at once; return whether it is still as it was seen."""
    result = connection.execute(
        outbox.update()
        .where(outbox.c.id == id_, outbox.c.attempt == attempt)
        .values(leased_until=database_now())
    )
    return result.rowcount == 1
