"""What of devices and deployables is in use, for their readers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from cyborg.db.attach_handles import FREE, blocked_of
from cyborg.db.paging import Sorting, changed_at, paged
from cyborg.db.programming import SETTLED
from cyborg.db.sharing import shared_with
from cyborg.db.statements import any_of
from cyborg.db.tables import accelerator_requests, attach_handles, deployables, devices
from cyborg.domain.model import WITHHELD_IF, HandleCondition, HandleState, ListedHandle, Usage
from cyborg.domain.paging import EVERYTHING, Page
from cyborg.domain.states import ArqState

_handles = attach_handles

#: A bind would get it: nobody has it, and nothing of its deployable and device is in the way.
_TO_BE_HAD = sa.and_(FREE, SETTLED, sa.not_(any_of(devices, WITHHELD_IF)))

_LISTED = sa.select(
    _handles,
    accelerator_requests.c.uuid.label("arq_uuid"),
    accelerator_requests.c.state.label("arq_state"),
    accelerator_requests.c.project_id,
).join_from(
    _handles,
    accelerator_requests,
    accelerator_requests.c.id == _handles.c.accelerator_request_id,
    isouter=True,
)

HANDLE_SORT = Sorting(
    _handles,
    {
        "uuid": _handles.c.uuid,
        "type": _handles.c.attach_type,
        "created_at": _handles.c.created_at,
        "updated_at": changed_at(_handles),
    },
)


def usage_of(
    connection: sa.Connection, key: sa.Column[int], ids: Collection[int]
) -> Mapping[int, Usage]:
    """Return how much of each is in use.

    One statement, whatever their number; three more where hardware is offered in several shapes.

    :param key: what ``ids`` are of: ``deployables.id`` or ``deployables.device_id``.
    """
    owned = _handles.c.accelerator_request_id.is_not(None)
    there = sa.or_(owned, _handles.c.condition != HandleCondition.VANISHED)
    query = (
        sa.select(
            key.label("key"),
            sa.func.sum(sa.case((there, 1), else_=0)).label("total"),
            sa.func.sum(sa.case((owned, 1), else_=0)).label("used"),
            sa.func.sum(sa.case((_TO_BE_HAD, 1), else_=0)).label("free"),
            sa.func.count(deployables.c.sharing).label("shared"),
        )
        .join_from(deployables, devices)
        .join(_handles, _handles.c.deployable_id == deployables.c.id, isouter=True)
        .where(key.in_(ids))
        .group_by(key)
    )
    rows = connection.execute(query).all()
    shared = [row.key for row in rows if row.shared]
    blocked = _blocked(connection, key, shared) if shared else {}
    found = {
        row.key: Usage(
            total=int(row.total),
            used=int(row.used),
            # Nothing is free of what is withheld, blocked or not.
            free=max(0, int(row.free) - blocked.get(row.key, 0)),
        )
        for row in rows
    }
    # A device whose deployables have gone has none.
    return {id_: found.get(id_, Usage(0, 0, 0)) for id_ in ids}


def _blocked(
    connection: sa.Connection, key: sa.Column[int], ids: Collection[int]
) -> Mapping[int, int]:
    """Return how many free handles of each cannot be had since other shapes of the same are."""
    query = sa.select(deployables.c.id, key.label("key"), deployables.c.sharing).where(
        key.in_(ids), SETTLED
    )
    rows = connection.execute(query).all()
    blocked = blocked_of(connection, {row.id: shared_with(row.sharing) for row in rows})
    result: Counter[int] = Counter()
    for row in rows:
        result[row.key] += blocked.get(row.id, 0)
    return result


def list_handles(
    connection: sa.Connection, deployable_id: int, page: Page = EVERYTHING
) -> list[ListedHandle]:
    """Return the attach handles of a deployable."""
    own = [_handles.c.deployable_id == deployable_id]
    query = paged(connection, _LISTED.where(*own), [], page, HANDLE_SORT)
    return [_listed(row) for row in connection.execute(query)]


def _listed(row: sa.Row[Any]) -> ListedHandle:
    return ListedHandle(
        uuid=row.uuid,
        type=row.attach_type,
        info=json.loads(row.attach_info),
        state=_state(row),
        state_reason=row.condition_reason,
        accelerator_request_uuid=row.arq_uuid,
        project_id=row.project_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _state(row: sa.Row[Any]) -> HandleState:
    if row.arq_uuid is not None:
        deleting = row.arq_state == ArqState.DELETING
        return HandleState.CLEANING if deleting else HandleState.USED
    return {
        HandleCondition.READY: HandleState.FREE,
        HandleCondition.UNCLEAN: HandleState.CLEANING,
        HandleCondition.QUARANTINED: HandleState.QUARANTINED,
        HandleCondition.VANISHED: HandleState.VANISHED,
    }[HandleCondition(row.condition)]
