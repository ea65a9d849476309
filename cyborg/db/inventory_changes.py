"""Writing the difference between what is recorded of a host and what it reports."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception

from cyborg.db.database import Contention
from cyborg.db.programming import SETTLED
from cyborg.db.statements import next_generation
from cyborg.db.tables import attach_handles, attributes, control_paths, deployables, devices
from cyborg.domain.clock import NewUuid, provider_uuid
from cyborg.domain.difference import Difference
from cyborg.domain.inventory import DeployableReport, DeviceReport, canonical
from cyborg.domain.model import DeviceStatus, HandleCondition, Presence, ProviderJobKind


class NameTaken(Exception):
    """Another host has a deployable of the same name."""


def apply(
    connection: sa.Connection,
    host_id: int,
    difference: Difference,
    new_uuid: NewUuid,
    now: datetime.datetime,
) -> dict[ProviderJobKind, set[str]]:
    """Write a difference.

    Handles and devices are removed on the condition that nobody owns them and nothing is
    unsettled; if a bind or a programming was faster, the whole transaction is given up.

    :returns: the providers (by uuid) that Placement must hear of, by what of them.
    :raises Contention: if somebody was faster.
    :raises NameTaken: if another host has a deployable of a new one's name.
    """
    touched = _touched(connection, difference)
    _remove(connection, difference)
    try:
        _write_devices(connection, host_id, difference, new_uuid, now)
        _write_deployables(connection, difference, new_uuid, now)
    except db_exception.DBDuplicateEntry as error:
        raise NameTaken from error
    _insert_handles(
        connection, [(owner, h.key) for owner, h in difference.new_handles], new_uuid, now
    )
    _set_condition(connection, difference.returned_handles, HandleCondition.READY, now)
    _set_condition(connection, difference.vanished_handles, HandleCondition.VANISHED, now)
    return touched


def _write_devices(
    connection: sa.Connection,
    host_id: int,
    difference: Difference,
    new_uuid: NewUuid,
    now: datetime.datetime,
) -> None:
    for device_id, presence, absences in difference.absent_devices:
        _update(connection, devices, device_id, now, presence=presence, absences=absences)
    for device_id, device in difference.changed_devices:
        values = _device_values(device)
        _update(connection, devices, device_id, now, **values)
        _write_control_path(connection, device_id, device, new_uuid)
    for device in difference.new_devices:
        _insert_device(connection, host_id, device, new_uuid, now)


def _write_deployables(
    connection: sa.Connection,
    difference: Difference,
    new_uuid: NewUuid,
    now: datetime.datetime,
) -> None:
    for deployable_id, part in difference.changed_deployables:
        _update(connection, deployables, deployable_id, now, **_deployable_values(part))
        if part.bitstream_id is not None:
            # On condition: a programming that has begun meanwhile knows better.
            connection.execute(
                deployables.update()
                .where(deployables.c.id == deployable_id, SETTLED)
                .values(bitstream_id=part.bitstream_id)
            )
        _write_attributes(connection, deployable_id, part, new_uuid, now)
    for device_id, part in difference.new_deployables:
        _insert_deployable(connection, device_id, part, new_uuid, now)


def _touched(connection: sa.Connection, difference: Difference) -> dict[ProviderJobKind, set[str]]:
    """Return what will have changed for Placement, before anything is removed."""
    of_devices = [*difference.removed_devices, *(id_ for id_, *_ in difference.absent_devices)]
    of_devices += [id_ for id_, _ in difference.changed_devices]
    changed = [id_ for id_, _ in difference.changed_deployables]
    gone = difference.removed_deployables
    new = [part for device in difference.new_devices for part in device.deployables]
    new += [part for _, part in difference.new_deployables]
    touched: dict[ProviderJobKind, set[str]] = {
        ProviderJobKind.PROVIDER: {provider_uuid(part.name) for part in new}
    }
    if not (of_devices or changed or gone):
        return touched
    query = sa.select(deployables.c.id, deployables.c.device_id, deployables.c.rp_uuid).where(
        sa.or_(deployables.c.id.in_([*changed, *gone]), deployables.c.device_id.in_(of_devices))
    )
    removed = set(difference.removed_devices)
    for row in connection.execute(query):
        if row.id in gone or row.device_id in removed:
            touched[ProviderJobKind.PROVIDER].add(row.rp_uuid)
            continue
        touched.setdefault(ProviderJobKind.INVENTORY, set()).add(row.rp_uuid)
        if row.id in changed:
            touched.setdefault(ProviderJobKind.TRAITS, set()).add(row.rp_uuid)
    return touched


def _remove(connection: sa.Connection, difference: Difference) -> None:
    gone = list(difference.removed_deployables)
    if difference.removed_devices:
        gone += connection.scalars(
            sa.select(deployables.c.id).where(
                deployables.c.device_id.in_(difference.removed_devices)
            )
        )
    doomed = sa.or_(
        attach_handles.c.id.in_(difference.removed_handles),
        attach_handles.c.deployable_id.in_(gone),
    )
    if gone or difference.removed_handles:
        connection.execute(
            attach_handles.delete().where(
                doomed,
                attach_handles.c.accelerator_request_id.is_(None),
                attach_handles.c.condition != HandleCondition.QUARANTINED,
            )
        )
        if connection.scalar(sa.select(attach_handles.c.id).where(doomed).limit(1)) is not None:
            raise Contention
    if gone:
        settled = deployables.delete().where(deployables.c.id.in_(gone), SETTLED)
        if connection.execute(settled).rowcount != len(set(gone)):
            raise Contention
    if difference.removed_devices:
        of_ids = devices.c.id.in_(difference.removed_devices)
        connection.execute(devices.delete().where(of_ids))


def _update(
    connection: sa.Connection,
    table: sa.Table,
    row_id: int,
    now: datetime.datetime,
    **values: Any,
) -> None:
    connection.execute(
        table.update()
        .where(table.c.id == row_id)
        .values(updated_at=now, **next_generation(table), **values)
    )


def _set_condition(
    connection: sa.Connection,
    ids: Collection[int],
    condition: HandleCondition,
    now: datetime.datetime,
) -> None:
    if ids:
        connection.execute(
            attach_handles.update()
            .where(
                attach_handles.c.id.in_(ids),
                attach_handles.c.condition != HandleCondition.QUARANTINED,
            )
            .values(
                condition=condition,
                updated_at=now,
                **next_generation(attach_handles),
            )
        )


def _insert_device(
    connection: sa.Connection,
    host_id: int,
    device: DeviceReport,
    new_uuid: NewUuid,
    now: datetime.datetime,
) -> None:
    values = {
        "uuid": new_uuid(),
        "host_id": host_id,
        "status": DeviceStatus.ENABLED,
        "created_at": now,
        **_device_values(device),
    }
    inserted = connection.execute(devices.insert().values(values)).inserted_primary_key
    assert inserted is not None
    _write_control_path(connection, inserted[0], device, new_uuid)
    for part in device.deployables:
        _insert_deployable(connection, inserted[0], part, new_uuid, now)


def _insert_deployable(
    connection: sa.Connection,
    device_id: int,
    part: DeployableReport,
    new_uuid: NewUuid,
    now: datetime.datetime,
) -> None:
    uuid = provider_uuid(part.name)
    values = {
        "uuid": uuid,
        "rp_uuid": uuid,
        "device_id": device_id,
        "bitstream_id": part.bitstream_id,
        "created_at": now,
        **_deployable_values(part),
    }
    inserted = connection.execute(deployables.insert().values(values)).inserted_primary_key
    assert inserted is not None
    _write_attributes(connection, inserted[0], part, new_uuid, now)
    _insert_handles(connection, [(inserted[0], h.key) for h in part.handles], new_uuid, now)


def _insert_handles(
    connection: sa.Connection,
    handles: Collection[tuple[int, tuple[str, str]]],
    new_uuid: NewUuid,
    now: datetime.datetime,
) -> None:
    if handles:
        connection.execute(
            attach_handles.insert(),
            [
                {
                    "uuid": new_uuid(),
                    "deployable_id": deployable_id,
                    "attach_type": attach_type,
                    "attach_info": attach_info,
                    "condition": HandleCondition.READY,
                    "needs_release": False,
                    "created_at": now,
                }
                for deployable_id, (attach_type, attach_info) in handles
            ],
        )


def _write_attributes(
    connection: sa.Connection,
    deployable_id: int,
    part: DeployableReport,
    new_uuid: NewUuid,
    now: datetime.datetime,
) -> None:
    pairs = dict(part.attributes())
    connection.execute(
        attributes.delete().where(
            attributes.c.deployable_id == deployable_id,
            # An operator's attribute gives way where a driver now reports that key.
            sa.or_(attributes.c.reported.is_(sa.true()), attributes.c.key.in_(pairs)),
        )
    )
    connection.execute(
        attributes.insert(),
        [
            {
                "uuid": new_uuid(),
                "deployable_id": deployable_id,
                "key": key,
                "value": value,
                "reported": True,
                "created_at": now,
            }
            for key, value in pairs.items()
        ],
    )


def _write_control_path(
    connection: sa.Connection, device_id: int, device: DeviceReport, new_uuid: NewUuid
) -> None:
    connection.execute(control_paths.delete().where(control_paths.c.device_id == device_id))
    connection.execute(
        control_paths.insert().values(
            uuid=new_uuid(), device_id=device_id, info=canonical(dict(device.control_path))
        )
    )


def _device_values(device: DeviceReport) -> dict[str, Any]:
    return {
        "identity": device.identity,
        "driver": device.driver,
        "type": device.type,
        "vendor": device.vendor,
        "model": device.model,
        "std_board_info": canonical(dict(device.std_board_info)),
        "vendor_board_info": canonical(dict(device.vendor_board_info)),
        "presence": Presence.PRESENT,
        "absences": 0,
    }


def _deployable_values(part: DeployableReport) -> dict[str, Any]:
    return {
        "name": part.name,
        "resource_class": part.resource_class,
        "num_accelerators": part.num_accelerators,
        "driver_name": part.driver_name,
        "needs_prepare": part.needs_prepare,
        "needs_release": part.needs_release,
        "programmable": part.programmable,
    }
