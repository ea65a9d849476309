"""What is recorded of a host's hardware."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from cyborg.db.tables import (
    accelerator_requests,
    attach_handles,
    attributes,
    consumptions,
    control_paths,
    counters,
    deployables,
    devices,
    hosts,
    jobs,
)
from cyborg.domain.hardware import Share, Sharing
from cyborg.domain.inventory import DeployableReport, DeviceReport
from cyborg.domain.model import (
    DeviceCondition,
    DeviceStatus,
    HandleCondition,
    Presence,
    ProgrammingState,
)
from cyborg.domain.plain import from_plain
from cyborg.domain.recorded import (
    Absence,
    Memory,
    RecordedDeployable,
    RecordedDevice,
    RecordedHandle,
)
from cyborg.domain.states import AT_WORK

_handles = attach_handles


def hosts_of_names(
    connection: sa.Connection, names: Sequence[str], host_id: int
) -> Mapping[str, str]:
    """Return which of these names deployables of other hosts have, and which host has each."""
    query = (
        sa.select(deployables.c.name, hosts.c.name.label("host"))
        .join_from(deployables, devices)
        .join(hosts)
        .where(deployables.c.name.in_(names), devices.c.host_id != host_id)
    )
    return {row.name: row.host for row in connection.execute(query)}


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
    handles = _recorded_handles(connection, host_id)
    traits, words = _attributes(connection, of_host)
    return [
        RecordedDevice(
            id=card.id,
            uuid=card.uuid,
            report=_device_report(card),
            presence=Presence(card.presence),
            status=DeviceStatus(card.status),
            absence=Absence(card.absences, card.absent_at),
            memory=from_plain(Memory, json.loads(card.memory or "{}")),
            deployables=tuple(
                RecordedDeployable(
                    id=part.id,
                    report=_deployable_report(part, tuple(traits[part.id])),
                    handles=tuple(handles[part.id]),
                    programming=part.programming_state == ProgrammingState.PROGRAMMING,
                    content_unknown=part.content_unknown,
                    absence=Absence(part.absences, part.absent_at),
                    words=tuple(words[part.id]),
                )
                for part in parts_by_device[card.id]
            ),
        )
        for card in cards
    ]


def recorded_sharing(connection: sa.Connection, host_id: int) -> Sharing:
    """Return what is recorded of a host's counters. One statement."""
    query = (
        sa.select(counters.c.name, counters.c.capacity, consumptions.c.amount, _handles.c.hardware)
        .join_from(counters, consumptions)
        .join(_handles)
        .where(counters.c.host_id == host_id)
    )
    capacities: dict[str, int] = {}
    amounts: dict[str, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(query):
        capacities[row.name] = row.capacity
        amounts[row.hardware][row.name] = row.amount
    return Sharing(capacities, dict(amounts))


def _recorded_handles(
    connection: sa.Connection, host_id: int
) -> Mapping[int, list[RecordedHandle]]:
    result: dict[int, list[RecordedHandle]] = defaultdict(list)
    query = (
        sa.select(
            _handles,
            accelerator_requests.c.state.label("owner_state"),
            jobs.c.id.label("job_id"),
        )
        .select_from(
            _handles.outerjoin(
                accelerator_requests,
                accelerator_requests.c.id == _handles.c.accelerator_request_id,
            ).outerjoin(jobs, jobs.c.attach_handle_id == _handles.c.id)
        )
        .where(_handles.c.host_id == host_id)
        .order_by(_handles.c.id)
    )
    for row in connection.execute(query):
        result[row.deployable_id].append(
            RecordedHandle(
                id=row.id,
                key=row.hardware,
                type=row.attach_type,
                info=json.loads(row.attach_info),
                shares=tuple(Share(**share) for share in json.loads(row.shares)),
                is_owned=row.accelerator_request_id is not None,
                condition=HandleCondition(row.condition),
                is_busy=row.job_id is not None or row.owner_state in AT_WORK,
                absence=Absence(row.absences, row.absent_at),
            )
        )
    return result


def _attributes(
    connection: sa.Connection, of_host: sa.ColumnElement[bool]
) -> tuple[Mapping[int, list[str]], Mapping[int, list[tuple[str, str]]]]:
    """Return the traits that drivers report, and all that operators say."""
    traits: dict[int, list[str]] = defaultdict(list)
    words: dict[int, list[tuple[str, str]]] = defaultdict(list)
    query = (
        sa.select(attributes)
        .join_from(attributes, deployables)
        .where(of_host)
        .order_by(attributes.c.id)
    )
    for row in connection.execute(query):
        if not row.reported:
            words[row.deployable_id].append((row.key, row.value))
        elif row.key != "rc":
            traits[row.deployable_id].append(row.value)
    return traits, words


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
        condition=DeviceCondition(row.condition),
        condition_reason=row.condition_reason,
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
