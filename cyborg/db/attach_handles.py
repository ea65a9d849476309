"""Attach handles: taking them for ARQs, and giving them back."""

from __future__ import annotations

import datetime
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from cyborg.db.database import Contention
from cyborg.db.jobs import jobs_of_host
from cyborg.db.programming import SETTLED
from cyborg.db.sharing import SharedWith, lock_counters, room, shared_with
from cyborg.db.statements import case_by, locking_by, next_generation
from cyborg.db.tables import (
    accelerator_requests,
    attach_handles,
    deployables,
    devices,
    hosts,
)
from cyborg.domain.hardware import takeable
from cyborg.domain.model import DeviceCondition, DeviceStatus, HandleCondition, Presence, Withheld
from cyborg.domain.states import ArqState
from cyborg.domain.work import Handle, OwnedHandle

_handles = attach_handles

#: It can be given to somebody.
FREE = sa.and_(
    _handles.c.condition == HandleCondition.READY,
    _handles.c.accelerator_request_id.is_(None),
)

_RESOURCES = sa.literal('"resources:') + deployables.c.resource_class + sa.literal('"')

#: Its owner has an allocation of the class that its deployable has now: the ARQ's group, as
#: JSON, asks for that. Of a handle that is joined with its deployable and its owner.
OF_CLASS = (
    sa.func.replace(accelerator_requests.c.group_json, _RESOURCES, "")
    != accelerator_requests.c.group_json
)


#: What is free of some deployables.
_CANDIDATES = (
    sa.select(
        _handles.c.id,
        _handles.c.uuid,
        _handles.c.deployable_id,
        _handles.c.attach_type,
        _handles.c.attach_info,
    )
    .where(_handles.c.deployable_id.in_(sa.bindparam("deployable_ids", expanding=True)), FREE)
    .order_by(_handles.c.id)
)


#: Who takes them is said with it.
_TAKE = (
    _handles.update()
    .where(_handles.c.id.in_(sa.bindparam("ids", expanding=True)), FREE)
    .values(
        # What was made ready must be released, whatever the deployable's report says then.
        needs_release=_handles.c.deployable_id.in_(sa.bindparam("dirtying", expanding=True)),
        **next_generation(_handles),
    )
)


@dataclass(frozen=True, slots=True)
class BindTarget:
    """A deployable as a bind needs it, held against being disabled meanwhile."""

    deployable_id: int
    deployable_name: str
    resource_class: str
    rp_uuid: str
    host: str
    #: Why nothing of the host is offered.
    withheld: Withheld | None
    device_identity: str
    driver: str
    status: DeviceStatus
    presence: Presence
    condition: DeviceCondition
    condition_reason: str | None
    #: What else is concerned, where more is offered than there is.
    sharing: SharedWith | None
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


_LOCK_PROVIDERS = locking_by(
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
        devices.c.condition,
        devices.c.condition_reason,
        deployables.c.sharing,
        # Not joined: MariaDB would lock the host, which a report holds.
        *(
            sa.select(column).where(hosts.c.id == devices.c.host_id).scalar_subquery().label(name)
            for column, name in ((hosts.c.name, "host"), (hosts.c.withheld, "withheld"))
        ),
    )
    .join_from(deployables, devices)
    .where(deployables.c.rp_uuid.in_(sa.bindparam("rp_uuids", expanding=True)))
    .with_for_update(read=True, of=(deployables, devices)),
    deployables.c.rp_uuid,
    devices.c.id,
)


def lock_providers(connection: sa.Connection, rp_uuids: Collection[str]) -> dict[str, BindTarget]:
    """Return the deployables by provider uuid.

    They and their devices are locked for sharing until the transaction ends: disabling or
    programming one waits for the binds that have seen it as it was, and those after it see it
    disabled or being programmed.
    """
    return {
        row.rp_uuid: BindTarget(
            deployable_id=row.id,
            deployable_name=row.name,
            resource_class=row.resource_class,
            rp_uuid=row.rp_uuid,
            host=row.host,
            withheld=None if row.withheld is None else Withheld(row.withheld),
            device_identity=row.identity,
            driver=row.driver,
            status=DeviceStatus(row.status),
            presence=Presence(row.presence),
            condition=DeviceCondition(row.condition),
            condition_reason=row.condition_reason,
            sharing=shared_with(row.sharing),
            settled=bool(row.settled),
            needs_prepare=row.needs_prepare,
            needs_release=row.needs_release,
        )
        for row in connection.execute(_LOCK_PROVIDERS, {"rp_uuids": list(rp_uuids)})
    }


def take(
    connection: sa.Connection,
    wanted: Mapping[int, BindTarget],
    now: datetime.datetime,
    *,
    wait: bool,
) -> list[TakenHandle] | None:
    """Take a free handle of a deployable for each ARQ; all or none.

    Two statements, and two more if any of the deployables shares hardware with another.

    :param wanted: ARQ id to its deployable.
    :param wait: False passes over handles that another transaction holds, so that
        concurrent binds do not queue up behind one another; True waits for them, so that
        "none free" is the truth.
    :returns: None if there are not enough.
    :raises Contention: if a handle was taken by somebody else meanwhile (SQLite cannot lock).
    """
    shared = {id_: target for id_, target in wanted.items() if target.sharing is not None}
    single = {id_: target for id_, target in wanted.items() if target.sharing is None}
    free: dict[int, list[sa.Row[Any]]] = {}
    for targets, find in ((single, _free), (shared, _free_of_shared)):
        if targets:
            found = find(connection, list(targets.values()), wait)
            if found is None:
                return None
            free |= found
    taken = [
        _taken(free[target.deployable_id].pop(0), arq_id, target)
        for arq_id, target in wanted.items()
    ]
    owners = {each.id: each.accelerator_request_id for each in taken}
    dirtying = {t.deployable_id for t in wanted.values() if t.needs_prepare or t.needs_release}
    owner = case_by(_handles.c.id, owners)
    values = {"ids": list(owners), "dirtying": list(dirtying), "updated_at": now}
    if len(owners) == 1:
        result = connection.execute(_TAKE, {**values, "accelerator_request_id": owner})
    else:
        result = connection.execute(_TAKE.values(accelerator_request_id=owner), values)
    if result.rowcount != len(taken):
        raise Contention
    return taken


def blocked_of(
    connection: sa.Connection, sharing: Mapping[int, SharedWith | None]
) -> Mapping[int, int]:
    """Return how many free handles of deployables cannot be taken, because other shapes of the
    same hardware are. Nothing of one that shares nothing; two statements for all others.

    :param sharing: id of a deployable to what it shares.
    """
    shared = {id_: each for id_, each in sharing.items() if each is not None}
    if not shared:
        return {}
    left = room(connection, {id_ for each in shared.values() for id_ in each.counters})
    candidates: dict[int, list[int]] = defaultdict(list)
    for row in connection.execute(_CANDIDATES, {"deployable_ids": list(shared)}):
        candidates[row.deployable_id].append(row.id)
    blocked = {}
    for deployable, ids in candidates.items():
        chosen, _ = takeable([(id_, left.amounts.get(id_, {})) for id_ in ids], left.left)
        blocked[deployable] = len(ids) - len(chosen)
    return blocked


def prepared_handles(connection: sa.Connection, host_id: int) -> list[TakenHandle]:
    """Return the handles of a host that instances have and that had to be prepared."""
    prepared = sa.select(_handles.c.accelerator_request_id).join_from(_handles, deployables)
    prepared = prepared.join(
        accelerator_requests, accelerator_requests.c.id == _handles.c.accelerator_request_id
    ).where(
        _handles.c.host_id == host_id,
        # It was prepared when it was taken, whatever the driver says since; and it still is what
        # has to be: nobody frees it without a release.
        _handles.c.needs_release.is_(sa.true()),
        deployables.c.needs_prepare.is_(sa.true()),
        accelerator_requests.c.state == ArqState.BOUND,
    )
    return taken_handles(connection, list(connection.scalars(prepared)))


def owned_handles(connection: sa.Connection, host: str, driver: str) -> list[OwnedHandle]:
    """Return the handles of a host's driver that have an owner, or are being cleaned.

    Two statements, whatever their number.
    """
    works = jobs_of_host(connection, host)
    query = (
        sa.select(
            _handles.c.id,
            _handles.c.uuid,
            _handles.c.attach_type,
            _handles.c.attach_info,
            deployables.c.name,
            devices.c.identity,
            accelerator_requests.c.instance_uuid,
        )
        .join_from(_handles, deployables)
        .join(devices)
        .join(hosts)
        .outerjoin(
            accelerator_requests, accelerator_requests.c.id == _handles.c.accelerator_request_id
        )
        .where(
            hosts.c.name == host,
            devices.c.driver == driver,
            sa.or_(_handles.c.accelerator_request_id.is_not(None), _handles.c.id.in_(works)),
        )
        .order_by(_handles.c.id)
    )
    return [
        OwnedHandle(_handle(row), row.instance_uuid, works.get(row.id))
        for row in connection.execute(query)
    ]


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
            handle=_handle(row),
            accelerator_request_id=row.accelerator_request_id,
            host=row.host,
            driver=row.driver,
        )
        for row in connection.execute(query)
    ]


def _handle(row: sa.Row[Any]) -> Handle:
    return Handle(
        uuid=row.uuid,
        device=row.identity,
        deployable=row.name,
        type=row.attach_type,
        info=json.loads(row.attach_info),
    )


def _free(
    connection: sa.Connection, targets: Sequence[BindTarget], wait: bool
) -> dict[int, list[sa.Row[Any]]] | None:
    """Lock free handles, by their deployable; None if it has fewer than are needed of it."""
    needed = Counter(target.deployable_id for target in targets)
    values: dict[str, Any] = {"deployable_ids": list(needed)}
    if len(needed) == 1:
        values["most"] = needed.total()
    query = _locking_free(limited="most" in values, wait=wait)
    free: dict[int, list[sa.Row[Any]]] = defaultdict(list)
    for row in connection.execute(query, values):
        free[row.deployable_id].append(row)
    if any(len(free[deployable]) < count for deployable, count in needed.items()):
        return None
    return free


def _free_of_shared(
    connection: sa.Connection, targets: Sequence[BindTarget], _wait: bool
) -> dict[int, list[sa.Row[Any]]] | None:
    """The same, of deployables that offer one piece of hardware in several shapes.

    Their counters are locked first, so everybody who takes a part of the same waits here, and
    what is read afterwards stays true. One statement more.
    """
    needed = Counter(target.deployable_id for target in targets)
    counters = {id_ for target in targets if target.sharing for id_ in target.sharing.counters}
    lock_counters(connection, counters)
    left = room(connection, counters)
    candidates: dict[int, list[sa.Row[Any]]] = defaultdict(list)
    for row in connection.execute(_CANDIDATES, {"deployable_ids": list(needed)}):
        candidates[row.deployable_id].append(row)
    free: dict[int, list[sa.Row[Any]]] = {}
    space = left.left
    for deployable, count in needed.items():
        rows = {row.id: row for row in candidates[deployable]}
        chosen, space = takeable(
            [(id_, left.amounts.get(id_, {})) for id_ in rows], space, wanted=count
        )
        if len(chosen) < count:
            return None
        free[deployable] = [rows[id_] for id_ in chosen]
    return free


@cache
def _locking_free(*, limited: bool, wait: bool) -> sa.Select[Any]:
    query = _CANDIDATES.with_for_update(skip_locked=not wait)
    return query.limit(sa.bindparam("most", type_=sa.Integer)) if limited else query


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
