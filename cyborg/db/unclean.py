"""Handles that are unclean, and what becomes of them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cyborg.db.sharing import beside_owned
from cyborg.db.statements import next_generation
from cyborg.db.tables import attach_handles, deployables, devices, jobs
from cyborg.domain.model import DeviceCondition, HandleCondition, Presence
from cyborg.domain.work import Handle

_handles = attach_handles

#: A handle, joined with its deployable and its device, is unclean, and an agent can clean it.
CAN_BE_CLEANED = sa.and_(
    _handles.c.condition == HandleCondition.UNCLEAN,
    _handles.c.accelerator_request_id.is_(None),
    _handles.c.absences == 0,
    devices.c.presence == Presence.PRESENT,
    devices.c.condition != DeviceCondition.FAILED,
)


@dataclass(frozen=True, slots=True)
class UncleanHandle:
    """A handle that can be cleaned now."""

    id: int
    handle: Handle
    driver: str
    rp_uuid: str


def unclean_handles(
    connection: sa.Connection, host_id: int, waiting: Collection[int], limit: int
) -> list[UncleanHandle]:
    """Return handles of a host that are unclean, there, and not being worked on.

    Nothing of which somebody has a part, be it in another shape: cleaning it would wipe that.

    :param waiting: ids of devices to leave alone.
    """
    query = (
        sa.select(
            _handles.c.id,
            _handles.c.uuid,
            _handles.c.attach_type,
            _handles.c.attach_info,
            deployables.c.name,
            deployables.c.rp_uuid,
            devices.c.identity,
            devices.c.driver,
        )
        .select_from(
            _handles.join(deployables)
            .join(devices)
            .outerjoin(jobs, jobs.c.attach_handle_id == _handles.c.id)
        )
        .where(
            _handles.c.host_id == host_id,
            CAN_BE_CLEANED,
            jobs.c.id.is_(None),
            devices.c.id.not_in(waiting),
        )
        .order_by(_handles.c.id)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    if not rows:
        return []
    apart = beside_owned(connection, [row.id for row in rows])
    return [
        UncleanHandle(
            id=row.id,
            handle=Handle(
                uuid=row.uuid,
                device=row.identity,
                deployable=row.name,
                type=row.attach_type,
                info=json.loads(row.attach_info),
            ),
            driver=row.driver,
            rp_uuid=row.rp_uuid,
        )
        for row in rows
        if row.id in apart
    ]


def record_clean(connection: sa.Connection, ids: Collection[int], now: datetime.datetime) -> None:
    """Let handles be given out again that have been cleaned, if a report still has them."""
    reported = sa.case(
        (_handles.c.absences == 0, HandleCondition.READY), else_=HandleCondition.VANISHED
    )
    _update(connection, ids, now, condition=reported, condition_reason=None)


def quarantine_unclean(
    connection: sa.Connection, ids: Collection[int], reason: str, now: datetime.datetime
) -> None:
    """Keep handles from everybody that could not be cleaned."""
    _update(connection, ids, now, condition=HandleCondition.QUARANTINED, condition_reason=reason)


def _update(
    connection: sa.Connection, ids: Collection[int], now: datetime.datetime, **values: Any
) -> None:
    connection.execute(
        _handles.update()
        .where(_handles.c.id.in_(ids), _handles.c.condition == HandleCondition.UNCLEAN)
        .values(updated_at=now, **next_generation(_handles), **values)
    )
