"""What is recorded of a host."""

from __future__ import annotations

import datetime
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception

from cyborg.db.database import Contention
from cyborg.db.statements import next_generation
from cyborg.db.tables import attach_handles, attributes, control_paths, deployables, devices, hosts
from cyborg.domain.difference import RecordedDeployable, RecordedDevice, RecordedHandle
from cyborg.domain.inventory import DeployableReport, DeviceReport
from cyborg.domain.model import UNSETTLED_IF, HandleCondition, Presence


def touch_host(connection: sa.Connection, name: str, digest: str, now: datetime.datetime) -> bool:
    """Note that a host lives; return whether this digest is the one that is recorded."""
    result = connection.execute(
        hosts.update()
        .where(hosts.c.name == name, hosts.c.report_digest == digest)
        .values(last_seen_at=now)
    )
    return result.rowcount == 1


def lock_host(connection: sa.Connection, name: str, now: datetime.datetime) -> int:
    """Return a host's id, made if it is new; two reports of one host wait for each other."""
    query = sa.select(hosts.c.id).where(hosts.c.name == name).with_for_update()
    known = connection.scalar(query)
    if known is not None:
        return int(known)
    try:
        inserted = connection.execute(
            hosts.insert().values(name=name, last_seen_at=now, created_at=now)
        ).inserted_primary_key
    except db_exception.DBDuplicateEntry as error:
        raise Contention from error
    assert inserted is not None
    return int(inserted[0])


def record_digest(
    connection: sa.Connection, host_id: int, digest: str | None, now: datetime.datetime
) -> None:
    """Record a report as applied; with None, the host will be asked for it again."""
    connection.execute(
        hosts.update()
        .where(hosts.c.id == host_id)
        .values(report_digest=digest, last_seen_at=now, updated_at=now, **next_generation(hosts))
    )


def recorded_devices(connection: sa.Connection, host_id: int) -> list[RecordedDevice]:
    """Return all that is recorded of a host. Four statements, whatever it holds."""
    cards = connection.execute(
        sa.select(devices, control_paths.c.info)
        .join_from(devices, control_paths, isouter=True)
        .where(devices.c.host_id == host_id)
        .order_by(devices.c.id)
    ).all()
    if not cards:
        return []
    of_host = deployables.c.device_id.in_([card.id for card in cards])
    parts = connection.execute(sa.select(deployables).where(of_host).order_by(deployables.c.id))
    parts_by_device: dict[int, list[sa.Row[Any]]] = defaultdict(list)
    for part in parts:
        parts_by_device[part.device_id].append(part)
    handles = _handles(connection, of_host)
    traits = _traits(connection, of_host)
    return [
        RecordedDevice(
            id=card.id,
            report=_device_report(card),
            presence=Presence(card.presence),
            absences=card.absences,
            deployables=tuple(
                RecordedDeployable(
                    id=part.id,
                    report=_deployable_report(part, tuple(traits[part.id])),
                    handles=tuple(handles[part.id]),
                    unsettled=any(
                        getattr(part, name) in values for name, values in UNSETTLED_IF.items()
                    ),
                )
                for part in parts_by_device[card.id]
            ),
        )
        for card in cards
    ]


def _handles(
    connection: sa.Connection, of_host: sa.ColumnElement[bool]
) -> Mapping[int, list[RecordedHandle]]:
    result: dict[int, list[RecordedHandle]] = defaultdict(list)
    query = (
        sa.select(attach_handles)
        .join_from(attach_handles, deployables)
        .where(of_host)
        .order_by(attach_handles.c.id)
    )
    for row in connection.execute(query):
        result[row.deployable_id].append(
            RecordedHandle(
                id=row.id,
                key=(row.attach_type, row.attach_info),
                owned=row.accelerator_request_id is not None,
                condition=HandleCondition(row.condition),
            )
        )
    return result


def _traits(connection: sa.Connection, of_host: sa.ColumnElement[bool]) -> Mapping[int, list[str]]:
    result: dict[int, list[str]] = defaultdict(list)
    query = (
        sa.select(attributes.c.deployable_id, attributes.c.value)
        .join_from(attributes, deployables)
        .where(
            of_host,
            attributes.c.reported.is_(sa.true()),
            attributes.c.key != "rc",
        )
        .order_by(attributes.c.id)
    )
    for row in connection.execute(query):
        result[row.deployable_id].append(row.value)
    return result


def _device_report(row: sa.Row[Any]) -> DeviceReport:
    return DeviceReport(
        driver=row.driver,
        identity=row.identity,
        type=row.type,
        vendor=row.vendor,
        model=row.model,
        std_board_info=json.loads(row.std_board_info),
        vendor_board_info=json.loads(row.vendor_board_info),
        control_path=json.loads(row.info or "{}"),
    )


def _deployable_report(row: sa.Row[Any], traits: tuple[str, ...]) -> DeployableReport:
    return DeployableReport(
        name=row.name,
        resource_class=row.resource_class,
        num_accelerators=row.num_accelerators,
        driver_name=row.driver_name,
        traits=traits,
        needs_prepare=row.needs_prepare,
        needs_release=row.needs_release,
        programmable=row.programmable,
        bitstream_id=row.bitstream_id,
    )
