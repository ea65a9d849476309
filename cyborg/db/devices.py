"""Devices and deployables: reading, and what operators change."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from cyborg.db.job_progress import work_on
from cyborg.db.paging import Sorting, changed_at, equal, paged, refers
from cyborg.db.statements import next_generation
from cyborg.db.tables import attributes, deployables, devices, hosts
from cyborg.db.usage import usage_of
from cyborg.domain.model import (
    Deployable,
    Device,
    DeviceCondition,
    DeviceStatus,
    DeviceWork,
    Presence,
    ProgrammingState,
    Usage,
)
from cyborg.domain.paging import EVERYTHING, Page

_DEVICE = sa.select(devices, hosts.c.name.label("hostname")).join_from(devices, hosts)
_DEPLOYABLE = sa.select(deployables, devices.c.uuid.label("device_uuid")).join_from(
    deployables, devices
)

DEVICE_SORT = Sorting(
    devices,
    {
        "uuid": devices.c.uuid,
        "type": devices.c.type,
        "vendor": devices.c.vendor,
        "model": devices.c.model,
        "hostname": hosts.c.name,
        "status": devices.c.status,
        "presence": devices.c.presence,
        "condition": devices.c.condition,
        "created_at": devices.c.created_at,
        "updated_at": changed_at(devices),
    },
)
DEPLOYABLE_SORT = Sorting(
    deployables,
    {
        "uuid": deployables.c.uuid,
        "name": deployables.c.name,
        "num_accelerators": deployables.c.num_accelerators,
        "driver_name": deployables.c.driver_name,
        "rp_uuid": deployables.c.rp_uuid,
        "created_at": deployables.c.created_at,
        "updated_at": changed_at(deployables),
    },
)


def list_devices(
    connection: sa.Connection,
    *,
    uuid: str | None = None,
    type: str | None = None,
    vendor: str | None = None,
    model: str | None = None,
    hostname: str | None = None,
    status: str | None = None,
    presence: str | None = None,
    condition: str | None = None,
    page: Page = EVERYTHING,
    with_usage: bool = False,
    with_work: bool = False,
) -> list[Device]:
    """Return the devices that have every given value.

    One statement; one more with a marker, one with their usage, and one with the work on them.
    """
    wanted = {
        devices.c.uuid: uuid,
        devices.c.type: type,
        devices.c.vendor: vendor,
        devices.c.model: model,
        devices.c.status: status,
        devices.c.presence: presence,
        devices.c.condition: condition,
    }
    filters = equal(wanted)
    if hostname is not None:
        filters.append(refers(devices.c.host_id, hosts, name=hostname))
    query = paged(connection, _DEVICE, filters, page, DEVICE_SORT)
    rows = connection.execute(query).all()
    usage: Mapping[int, Usage] = {}
    if with_usage and rows:
        usage = usage_of(connection, deployables.c.device_id, [row.id for row in rows])
    work: Mapping[int, tuple[DeviceWork, ...]] = {}
    if with_work and rows:
        work = work_on(connection, [row.id for row in rows])
    return [_device(row, usage.get(row.id), work.get(row.id, ())) for row in rows]


def set_device_status(
    connection: sa.Connection, uuid: str, status: DeviceStatus, now: datetime.datetime
) -> bool:
    """Set what the operator wants of a device. Waits for binds that are under way on it.

    Returns whether the device exists.
    """
    # By its id: who removes it has the row before what MariaDB finds it by.
    id_ = connection.scalar(sa.select(devices.c.id).where(devices.c.uuid == uuid))
    result = connection.execute(
        devices.update()
        .where(devices.c.id == id_)
        .values(status=status, updated_at=now, **next_generation(devices))
    )
    return result.rowcount == 1


def list_deployables(
    connection: sa.Connection,
    *,
    uuids: Collection[str] | None = None,
    ids: Collection[int] | None = None,
    name: str | None = None,
    device_uuid: str | None = None,
    rp_uuid: str | None = None,
    driver_name: str | None = None,
    resource_class: str | None = None,
    page: Page = EVERYTHING,
    with_usage: bool = False,
) -> list[Deployable]:
    """Return the deployables that have every given value.

    Two statements; one more with a marker, and one with their usage.
    """
    wanted = {
        deployables.c.name: name,
        deployables.c.rp_uuid: rp_uuid,
        deployables.c.driver_name: driver_name,
        deployables.c.resource_class: resource_class,
    }
    filters = equal(wanted)
    if device_uuid is not None:
        filters.append(refers(deployables.c.device_id, devices, uuid=device_uuid))
    if uuids is not None:
        filters.append(deployables.c.uuid.in_(uuids))
    if ids is not None:
        filters.append(deployables.c.id.in_(ids))
    query = paged(connection, _DEPLOYABLE, filters, page, DEPLOYABLE_SORT)
    rows = connection.execute(query).all()
    if not rows:
        return []
    parts: dict[int, list[tuple[str, str]]] = {row.id: [] for row in rows}
    pairs = sa.select(attributes.c.deployable_id, attributes.c.key, attributes.c.value).order_by(
        attributes.c.id
    )
    if filters or page.limit is not None:
        pairs = pairs.where(attributes.c.deployable_id.in_(parts))
    for pair in connection.execute(pairs):
        parts.get(pair.deployable_id, []).append((pair.key, pair.value))
    usage: Mapping[int, Usage] = {}
    if with_usage:
        usage = usage_of(connection, deployables.c.id, list(parts))
    return [_deployable(row, parts[row.id], usage.get(row.id)) for row in rows]


def type_of_device(connection: sa.Connection, deployable_uuid: str) -> str | None:
    """Return the type of a deployable's device, None if there is no such deployable."""
    return connection.scalar(
        sa.select(devices.c.type)
        .join_from(deployables, devices)
        .where(deployables.c.uuid == deployable_uuid)
    )


def resource_classes(connection: sa.Connection) -> set[str]:
    """Return every resource class that a deployable of this cloud has."""
    return set(connection.scalars(sa.select(deployables.c.resource_class).distinct()))


def _device(row: sa.Row[Any], usage: Usage | None, work: tuple[DeviceWork, ...]) -> Device:
    return Device(
        id=row.id,
        uuid=row.uuid,
        type=row.type,
        vendor=row.vendor,
        model=row.model,
        std_board_info=row.std_board_info,
        vendor_board_info=row.vendor_board_info,
        hostname=row.hostname,
        status=DeviceStatus(row.status),
        presence=Presence(row.presence),
        condition=DeviceCondition(row.condition),
        condition_reason=row.condition_reason,
        created_at=row.created_at,
        updated_at=row.updated_at,
        usage=usage,
        work=work,
    )


def _deployable(
    row: sa.Row[Any], pairs: Sequence[tuple[str, str]], usage: Usage | None
) -> Deployable:
    return Deployable(
        id=row.id,
        uuid=row.uuid,
        name=row.name,
        num_accelerators=row.num_accelerators,
        device_id=row.device_id,
        device_uuid=row.device_uuid,
        resource_class=row.resource_class,
        rp_uuid=row.rp_uuid,
        driver_name=row.driver_name,
        bitstream_id=row.bitstream_id,
        programmable=row.programmable,
        programming_state=ProgrammingState(row.programming_state),
        programming_reason=row.programming_reason,
        content_unknown=row.content_unknown,
        attributes=tuple(pairs),
        created_at=row.created_at,
        updated_at=row.updated_at,
        usage=usage,
    )
