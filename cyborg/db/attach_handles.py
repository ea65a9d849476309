"""Attach handles: taking them for ARQs, and giving them back."""

from __future__ import annotations

import datetime
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cyborg.db.database import Contention
from cyborg.db.programming import SETTLED
from cyborg.db.statements import case_by, next_generation
from cyborg.db.tables import attach_handles, deployables, devices, hosts
from cyborg.domain.model import DeviceStatus, HandleCondition, Presence
from cyborg.domain.work import Handle

_handles = attach_handles

#: It can be given to somebody.
FREE = sa.and_(
    _handles.c.condition == HandleCondition.READY,
    _handles.c.accelerator_request_id.is_(None),
)


@dataclass(frozen=True, slots=True)
class BindTarget:
    """A deployable as a bind needs it, held against being disabled meanwhile."""

    deployable_id: int
    deployable_name: str
    resource_class: str
    rp_uuid: str
    host: str
    device_identity: str
    driver: str
    status: DeviceStatus
    presence: Presence
    #: Nobody programs it, and what it holds is known.
    settled: bool
    needs_prepare: bool
    needs_release: bool


@dataclass(frozen=True, slots=True)
class TakenHandle:
    """A handle that an ARQ owns, with what its agent must know."""

    id: int
    handle: Handle
    accelerator_request_id: int
    host: str
    driver: str


def lock_providers(connection: sa.Connection, rp_uuids: Collection[str]) -> dict[str, BindTarget]:
    """Return the deployables by provider uuid.

    They and their devices are locked for sharing until the transaction ends: disabling or
    programming one waits for the binds that have seen it as it was, and those after it see it
    disabled or being programmed.
    """
    query = (
        sa.select(
            deployables.c.id,
            deployables.c.name,
            deployables.c.resource_class,
            deployables.c.rp_uuid,
            deployables.c.needs_prepare,
            deployables.c.needs_release,
            SETTLED.label("settled"),
            devices.c.identity,
            devices.c.driver,
            devices.c.status,
            devices.c.presence,
            hosts.c.name.label("host"),
        )
        .join_from(deployables, devices)
        .join(hosts)
        .where(deployables.c.rp_uuid.in_(rp_uuids))
        .order_by(deployables.c.id)
        .with_for_update(read=True, of=(deployables, devices))
    )
    return {
        row.rp_uuid: BindTarget(
            deployable_id=row.id,
            deployable_name=row.name,
            resource_class=row.resource_class,
            rp_uuid=row.rp_uuid,
            host=row.host,
            device_identity=row.identity,
            driver=row.driver,
            status=DeviceStatus(row.status),
            presence=Presence(row.presence),
            settled=bool(row.settled),
            needs_prepare=row.needs_prepare,
            needs_release=row.needs_release,
        )
        for row in connection.execute(query)
    }


def take(
    connection: sa.Connection,
    wanted: Mapping[int, BindTarget],
    now: datetime.datetime,
    *,
    wait: bool,
) -> list[TakenHandle] | None:
    """Take a free handle of a deployable for each ARQ; all or none. Two statements.

    :param wanted: ARQ id to its deployable.
    :param wait: False passes over handles that another transaction holds, so that
        concurrent binds do not queue up behind one another; True waits for them, so that
        "none free" is the truth.
    :returns: None if there are not enough.
    :raises Contention: if a handle was taken by somebody else meanwhile (SQLite cannot lock).
    """
    free = _free(connection, Counter(target.deployable_id for target in wanted.values()), wait)
    if free is None:
        return None
    taken = [
        _taken(free[target.deployable_id].pop(0), arq_id, target)
        for arq_id, target in wanted.items()
    ]
    owners = {each.id: each.accelerator_request_id for each in taken}
    dirtying = {t.deployable_id for t in wanted.values() if t.needs_prepare or t.needs_release}
    result = connection.execute(
        _handles.update()
        .where(_handles.c.id.in_(owners), FREE)
        .values(
            accelerator_request_id=case_by(_handles.c.id, owners),
            # What was made ready must be released, whatever the deployable's report says then.
            needs_release=_handles.c.deployable_id.in_(dirtying),
            updated_at=now,
            **next_generation(_handles),
        )
    )
    if result.rowcount != len(taken):
        raise Contention
    return taken


def taken_handles(connection: sa.Connection, request_ids: Collection[int]) -> list[TakenHandle]:
    """Return the handles that these ARQs own."""
    query = (
        sa.select(
            _handles.c.id,
            _handles.c.uuid,
            _handles.c.attach_type,
            _handles.c.attach_info,
            _handles.c.accelerator_request_id,
            deployables.c.name,
            devices.c.identity,
            devices.c.driver,
            hosts.c.name.label("host"),
        )
        .join_from(_handles, deployables)
        .join(devices)
        .join(hosts)
        .where(_handles.c.accelerator_request_id.in_(request_ids))
        .order_by(_handles.c.id)
    )
    return [
        TakenHandle(
            id=row.id,
            handle=Handle(
                uuid=row.uuid,
                device=row.identity,
                deployable=row.name,
                type=row.attach_type,
                info=json.loads(row.attach_info),
            ),
            accelerator_request_id=row.accelerator_request_id,
            host=row.host,
            driver=row.driver,
        )
        for row in connection.execute(query)
    ]


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
    """Free one handle that its agent has released, on behalf of its owner only."""
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
        )
    )


def quarantine(
    connection: sa.Connection,
    handle_id: int,
    request_id: int,
    reason: str,
    now: datetime.datetime,
) -> None:
    """Take a handle away from its owner and keep it from everybody."""
    connection.execute(
        _handles.update()
        .where(
            _handles.c.id == handle_id,
            _handles.c.accelerator_request_id == request_id,
        )
        .values(
            accelerator_request_id=None,
            condition=HandleCondition.QUARANTINED,
            condition_reason=reason,
            updated_at=now,
            **next_generation(_handles),
        )
    )


def _free(
    connection: sa.Connection, needed: Mapping[int, int], wait: bool
) -> dict[int, list[sa.Row[Any]]] | None:
    """Lock free handles, by their deployable; None if it has fewer than are needed of it."""
    query = (
        sa.select(
            _handles.c.id,
            _handles.c.uuid,
            _handles.c.deployable_id,
            _handles.c.attach_type,
            _handles.c.attach_info,
        )
        .where(_handles.c.deployable_id.in_(needed), FREE)
        .order_by(_handles.c.id)
        .with_for_update(skip_locked=not wait)
    )
    if len(needed) == 1:
        query = query.limit(sum(needed.values()))
    free: dict[int, list[sa.Row[Any]]] = defaultdict(list)
    for row in connection.execute(query):
        free[row.deployable_id].append(row)
    if any(len(free[deployable]) < count for deployable, count in needed.items()):
        return None
    return free


def _taken(row: sa.Row[Any], arq_id: int, target: BindTarget) -> TakenHandle:
    return TakenHandle(
        id=row.id,
        handle=Handle(
            uuid=row.uuid,
            device=target.device_identity,
            deployable=target.deployable_name,
            type=row.attach_type,
            info=json.loads(row.attach_info),
        ),
        accelerator_request_id=arq_id,
        host=target.host,
        driver=target.driver,
    )
