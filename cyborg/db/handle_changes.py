"""Writing what a report changes of attach handles.

Each change is conditional on what was read: a claim, a release or another report that was
faster shows as a row count that is too small, and as ``Contention``.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from cyborg.db.database import Contention
from cyborg.db.statements import next_generation
from cyborg.db.tables import attach_handles
from cyborg.domain.changes import Difference, HandleAbsence, HandleChange, Row
from cyborg.domain.clock import NewUuid
from cyborg.domain.hardware import canonical
from cyborg.domain.inventory import HandleReport
from cyborg.domain.model import HandleCondition
from cyborg.domain.recorded import DIRTY

_handles = attach_handles


def remove_handles(
    connection: sa.Connection, difference: Difference, of_deployables: Collection[int]
) -> None:
    """Remove handles that are gone, and all of these deployables.

    :raises Contention: somebody has got one meanwhile, or has left it dirty.
    """
    _delete(connection, difference.left_handles)
    gone = set(difference.removed_handles)
    if of_deployables:
        of_them = sa.select(_handles.c.id).where(_handles.c.deployable_id.in_(of_deployables))
        gone |= set(connection.scalars(of_them))
    _delete(connection, gone, _handles.c.condition.not_in(list(DIRTY)))


def change_handles(
    connection: sa.Connection,
    changes: Sequence[HandleChange],
    deployables: Mapping[str, int],
    reason: str,
    now: datetime.datetime,
) -> None:
    """Write handles as they are reported now; one statement each.

    :param deployables: the ids of those that are new, by name.
    :param reason: why those that become unclean or quarantined are so.
    :raises Contention: one is not as it was read.
    """
    for change in changes:
        condition = [_handles.c.id == change.id, _handles.c.condition == change.before]
        if change.while_free:
            condition.append(_handles.c.accelerator_request_id.is_(None))
        values: dict[str, Any] = {}
        if change.after is not change.before:
            values["condition"] = change.after
            values["condition_reason"] = reason if change.after in DIRTY else None
        result = connection.execute(
            _handles.update()
            .where(*condition)
            .values(
                deployable_id=_id_of(change.deployable, deployables),
                absences=0,
                absent_at=None,
                updated_at=now,
                **_values(change.report),
                **values,
                **next_generation(_handles),
            )
        )
        if result.rowcount != 1:
            raise Contention


def insert_handles(
    connection: sa.Connection,
    host_id: int,
    new: Sequence[tuple[Row, HandleReport, HandleCondition]],
    deployables: Mapping[str, int],
    *,
    reason: str,
    new_uuid: NewUuid,
    now: datetime.datetime,
) -> None:
    """Insert handles. One statement.

    :param deployables: the ids of those that are new, by name.
    :param reason: why those that are unclean or quarantined are so.
    """
    if new:
        connection.execute(
            _handles.insert(),
            [
                {
                    "uuid": new_uuid(),
                    "host_id": host_id,
                    "deployable_id": _id_of(deployable, deployables),
                    "hardware": report.key,
                    "condition": condition,
                    "condition_reason": reason if condition in DIRTY else None,
                    "needs_release": False,
                    "created_at": now,
                    **_values(report),
                }
                for deployable, report, condition in new
            ],
        )


def record_absences(
    connection: sa.Connection, absent: Sequence[HandleAbsence], now: datetime.datetime
) -> None:
    """Record handles that the report lacks: nobody gets them from now on.

    :raises Contention: one has got an owner, or lost it, meanwhile.
    """
    groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for each in absent:
        kind = (each.absence, each.owned, each.before, each.after, each.why)
        groups[kind].append(each.id)
    for (absence, owned, before, after, why), ids in groups.items():
        owner = _handles.c.accelerator_request_id
        values: dict[str, Any] = {}
        if after is not before:
            values = {"condition": after, "condition_reason": why}
        result = connection.execute(
            _handles.update()
            .where(
                _handles.c.id.in_(ids),
                _handles.c.condition == before,
                owner.is_not(None) if owned else owner.is_(None),
            )
            .values(
                absences=absence.count,
                absent_at=absence.at,
                updated_at=now,
                **values,
                **next_generation(_handles),
            )
        )
        if result.rowcount != len(ids):
            raise Contention


def _delete(connection: sa.Connection, ids: Collection[int], *condition: Any) -> None:
    # By their ids alone: else MariaDB reads, and waits for, the handles of all hosts.
    if not ids:
        return
    unowned = _handles.c.accelerator_request_id.is_(None)
    result = connection.execute(
        _handles.delete().where(_handles.c.id.in_(ids), unowned, *condition)
    )
    if result.rowcount != len(ids):
        raise Contention


def _values(report: HandleReport) -> dict[str, Any]:
    return {
        "attach_type": report.type,
        "attach_info": canonical(dict(report.info)),
        "shares": canonical([asdict(share) for share in report.shares]),
    }


def _id_of(row: Row, new: Mapping[str, int]) -> int:
    return new[row] if isinstance(row, str) else row
