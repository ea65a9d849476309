"""Devices, deployables and attributes: reading, and what operators change."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception

from cyborg.db.statements import next_generation
from cyborg.db.tables import attributes, deployables, devices, hosts
from cyborg.domain.errors import (
    AttributeExists,
    AttributeNotFound,
    AttributeReported,
    DeployableNotFound,
)
from cyborg.domain.model import Attribute, Deployable, Device, DeviceStatus, Presence

_DEVICE = sa.select(devices, hosts.c.name.label("hostname")).join_from(devices, hosts)


def list_devices(
    connection: sa.Connection,
    *,
    uuid: str | None = None,
    type: str | None = None,
    vendor: str | None = None,
    hostname: str | None = None,
) -> list[Device]:
    """Return the devices that have every given value, oldest first."""
    wanted = {devices.c.uuid: uuid, devices.c.type: type, devices.c.vendor: vendor}
    query = _DEVICE.where(*(column == value for column, value in wanted.items() if value))
    if hostname:
        query = query.where(hosts.c.name == hostname)
    return [_device(row) for row in connection.execute(query.order_by(devices.c.id))]


def set_device_status(
    connection: sa.Connection, uuid: str, status: DeviceStatus, now: datetime.datetime
) -> bool:
    """Set what the operator wants of a device. Waits for binds that are under way on it.

    Returns whether the device exists.
    """
    result = connection.execute(
        devices.update()
        .where(devices.c.uuid == uuid)
        .values(status=status, updated_at=now, **next_generation(devices))
    )
    return result.rowcount == 1


def list_deployables(
    connection: sa.Connection,
    *,
    uuids: Collection[str] | None = None,
    ids: Collection[int] | None = None,
    name: str | None = None,
) -> list[Deployable]:
    """Return the deployables that have every given value, oldest first. Two statements."""
    query = sa.select(deployables).order_by(deployables.c.id)
    if uuids is not None:
        query = query.where(deployables.c.uuid.in_(uuids))
    if ids is not None:
        query = query.where(deployables.c.id.in_(ids))
    if name is not None:
        query = query.where(deployables.c.name == name)
    rows = connection.execute(query).all()
    if not rows:
        return []
    parts: dict[int, list[tuple[str, str]]] = {row.id: [] for row in rows}
    pairs = sa.select(attributes.c.deployable_id, attributes.c.key, attributes.c.value).order_by(
        attributes.c.id
    )
    if uuids is not None or ids is not None or name is not None:
        pairs = pairs.where(attributes.c.deployable_id.in_(parts))
    for pair in connection.execute(pairs):
        parts.get(pair.deployable_id, []).append((pair.key, pair.value))
    return [_deployable(row, parts[row.id]) for row in rows]


def resource_classes(connection: sa.Connection) -> set[str]:
    """Return every resource class that a deployable of this cloud has."""
    return set(connection.scalars(sa.select(deployables.c.resource_class).distinct()))


def list_attributes(
    connection: sa.Connection,
    *,
    uuid: str | None = None,
    deployable_id: int | None = None,
    key: str | None = None,
) -> list[Attribute]:
    """Return the attributes that have every given value, oldest first."""
    wanted = {
        attributes.c.uuid: uuid,
        attributes.c.deployable_id: deployable_id,
        attributes.c.key: key,
    }
    query = sa.select(attributes).where(
        *(column == value for column, value in wanted.items() if value is not None)
    )
    return [_attribute(row) for row in connection.execute(query.order_by(attributes.c.id))]


def insert_attribute(
    connection: sa.Connection,
    *,
    uuid: str,
    deployable: int | str,
    key: str,
    value: str,
    now: datetime.datetime,
) -> Attribute:
    """Store an operator's attribute of a deployable, given by its id or uuid.

    :raises DeployableNotFound: there is no such deployable.
    :raises AttributeExists: it has an attribute of this key.
    """
    column = deployables.c.id if isinstance(deployable, int) else deployables.c.uuid
    deployable_id = connection.scalar(sa.select(deployables.c.id).where(column == deployable))
    if deployable_id is None:
        raise DeployableNotFound(f"Deployable {deployable} could not be found.")
    row = {
        "uuid": uuid,
        "deployable_id": deployable_id,
        "key": key,
        "value": value,
        "reported": False,
        "created_at": now,
    }
    try:
        inserted = connection.execute(attributes.insert().values(row)).inserted_primary_key
    except db_exception.DBDuplicateEntry as error:
        raise AttributeExists(
            f"Deployable {deployable} has an attribute '{key}' already."
        ) from error
    assert inserted is not None
    return Attribute(
        id=inserted[0],
        uuid=uuid,
        deployable_id=deployable_id,
        key=key,
        value=value,
        created_at=now,
        updated_at=None,
    )


def delete_attribute(connection: sa.Connection, uuid: str) -> Attribute:
    """Delete an operator's attribute, and return it as it was.

    :raises AttributeNotFound: there is none of this uuid.
    :raises AttributeReported: a driver reports it.
    """
    found = list_attributes(connection, uuid=uuid)
    result = connection.execute(
        attributes.delete().where(attributes.c.uuid == uuid, attributes.c.reported.is_(sa.false()))
    )
    if not found:
        raise AttributeNotFound(f"Attribute {uuid} could not be found.")
    if result.rowcount != 1:
        raise AttributeReported(f"Attribute {uuid} is reported by a driver, and stays.")
    return found[0]


def _device(row: sa.Row[Any]) -> Device:
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
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _deployable(row: sa.Row[Any], pairs: Sequence[tuple[str, str]]) -> Deployable:
    return Deployable(
        id=row.id,
        uuid=row.uuid,
        name=row.name,
        num_accelerators=row.num_accelerators,
        device_id=row.device_id,
        resource_class=row.resource_class,
        rp_uuid=row.rp_uuid,
        driver_name=row.driver_name,
        bitstream_id=row.bitstream_id,
        attributes=tuple(pairs),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _attribute(row: sa.Row[Any]) -> Attribute:
    return Attribute(
        id=row.id,
        uuid=row.uuid,
        deployable_id=row.deployable_id,
        key=row.key,
        value=row.value,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
