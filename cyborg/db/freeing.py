"""Attach handles that their owners give back: to everybody, once cleaned, or to nobody."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from cyborg.db.statements import next_generation
from cyborg.db.tables import attach_handles, deployables, devices
from cyborg.domain.model import HandleCondition, Presence

_handles = attach_handles


def free_clean(
    connection: sa.Connection, request_ids: Collection[int], now: datetime.datetime
) -> int:
    """Free those handles of these ARQs that need no release; return how many."""
    dirtying = sa.select(deployables.c.id).where(deployables.c.needs_release.is_(sa.true()))
    result = connection.execute(
        _handles.update()
        .where(
            _handles.c.accelerator_request_id.in_(request_ids),
            _handles.c.needs_release.is_(sa.false()),
            _handles.c.deployable_id.not_in(dirtying),
        )
        .values(accelerator_request_id=None, updated_at=now, **next_generation(_handles))
    )
    return int(result.rowcount)


def free_released(
    connection: sa.Connection, handle_id: int, request_id: int, now: datetime.datetime
) -> None:
    """Free one handle that its agent has released, on behalf of its owner only.

    If its device is not known to be there, it is unclean all the same: whatever was released
    was not what is coming back.
    """
    there = (
        sa.select(devices.c.id)
        .join_from(deployables, devices)
        .where(deployables.c.id == _handles.c.deployable_id, devices.c.presence == Presence.PRESENT)
        .exists()
    )
    # Neither refers to the other's column: MariaDB would read what has just been written.
    _disown(
        connection,
        handle_id,
        request_id,
        now,
        condition=sa.case((there, _handles.c.condition), else_=HandleCondition.UNCLEAN),
        condition_reason=sa.case(
            (there, _handles.c.condition_reason),
            else_="Its device was not there when it was released.",
        ),
    )


def free_unclean(
    connection: sa.Connection,
    handle_id: int,
    request_id: int,
    reason: str,
    now: datetime.datetime,
) -> None:
    """Take a handle away from its owner, and let nobody have it before it has been cleaned."""
    _disown(
        connection,
        handle_id,
        request_id,
        now,
        condition=HandleCondition.UNCLEAN,
        condition_reason=reason,
    )


def quarantine(
    connection: sa.Connection,
    handle_id: int,
    request_id: int,
    reason: str,
    now: datetime.datetime,
) -> None:
    """Take a handle away from its owner and keep it from everybody."""
    _disown(
        connection,
        handle_id,
        request_id,
        now,
        condition=HandleCondition.QUARANTINED,
        condition_reason=reason,
    )


def _disown(
    connection: sa.Connection,
    handle_id: int,
    request_id: int,
    now: datetime.datetime,
    **values: Any,
) -> None:
    connection.execute(
        _handles.update()
        .where(
            _handles.c.id == handle_id,
            _handles.c.accelerator_request_id == request_id,
        )
        .values(
            accelerator_request_id=None,
            needs_release=False,
            updated_at=now,
            **next_generation(_handles),
            **values,
        )
    )
