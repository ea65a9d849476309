"""ARQs that hold a device and may be needed by nobody; ARQs that were never bound; old owners."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from cyborg.db.tables import accelerator_requests, instance_owners
from cyborg.db.types import database_now
from cyborg.domain.leftovers import HeldRequest
from cyborg.domain.states import RELEASING, ArqState, Suspicion

_arqs = accelerator_requests


def providers_in_use(connection: sa.Connection, after: str, limit: int) -> list[str]:
    """Return the next providers, in the order of their uuids, on which an ARQ has a device."""
    query = (
        sa.select(_arqs.c.device_rp_uuid)
        .where(_arqs.c.device_rp_uuid > after)
        .distinct()
        .order_by(_arqs.c.device_rp_uuid)
        .limit(limit)
    )
    return list(connection.scalars(query))


def held_requests(
    connection: sa.Connection, providers: Collection[str], grace_period: float
) -> list[HeldRequest]:
    """Return the ARQs that have devices of providers, and are not being released."""
    is_over = _arqs.c.leftover_since <= database_now(-grace_period)
    query = (
        sa.select(_arqs, is_over.label("grace_is_over"))
        .where(
            _arqs.c.device_rp_uuid.in_(providers),
            _arqs.c.instance_uuid.is_not(None),
            _arqs.c.state.not_in(RELEASING),
        )
        .order_by(_arqs.c.id)
    )
    return [
        HeldRequest(
            uuid=row.uuid,
            instance_uuid=row.instance_uuid,
            provider_uuid=row.device_rp_uuid,
            hostname=row.hostname,
            bound_by_service=row.bound_by_service,
            generation=row.generation,
            suspicion=Suspicion.LEFT_OVER if row.grace_is_over else Suspicion(row.suspicion),
        )
        for row in connection.execute(query)
    ]


def set_suspicion(
    connection: sa.Connection, uuid: str, generation: int, suspicion: Suspicion
) -> bool:
    """Note what an ARQ seems to be; return False if it has changed since it was read.

    Its grace period begins with ``GRACE``, and is forgotten with any other.
    """
    since = database_now() if suspicion is Suspicion.GRACE else None
    result = connection.execute(
        _arqs.update()
        .where(_arqs.c.uuid == uuid, _arqs.c.generation == generation)
        .values(suspicion=suspicion, leftover_since=since)
    )
    return result.rowcount == 1


def never_bound(connection: sa.Connection, age: float, limit: int) -> dict[str, int]:
    """Return ARQs (uuid to generation) that were made so many seconds ago and never bound."""
    query = (
        sa.select(_arqs.c.uuid, _arqs.c.generation)
        .where(_arqs.c.state == ArqState.INITIAL, _arqs.c.created_at < database_now(-age))
        .order_by(_arqs.c.created_at)
        .limit(limit)
    )
    return {row.uuid: row.generation for row in connection.execute(query)}


def forget_owners(connection: sa.Connection, age: float) -> int:
    """Forget the owners, so many seconds old, of instances that have no ARQs; return how many."""
    in_use = sa.exists().where(_arqs.c.instance_uuid == instance_owners.c.instance_uuid)
    result = connection.execute(
        instance_owners.delete().where(instance_owners.c.created_at < database_now(-age), ~in_use)
    )
    return int(result.rowcount)
