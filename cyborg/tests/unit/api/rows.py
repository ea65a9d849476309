"""Rows for the tests, inserted as they are in the tables."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from cyborg.db import tables
from cyborg.tests.unit.api.harness import MINE, NOW, OTHERS

DEVICE = "11111111-1111-1111-1111-111111111111"
DEVICE_OFF = "11111111-1111-1111-1111-222222222222"
DEPLOYABLE = "22222222-2222-2222-2222-222222222222"
ATTRIBUTE = "33333333-3333-3333-3333-333333333333"
PROFILE = "44444444-4444-4444-4444-444444444444"
UNUSED_PROFILE = "44444444-4444-4444-4444-555555555555"
INSTANCE = "55555555-5555-5555-5555-555555555555"
DIRECT_INSTANCE = "55555555-5555-5555-5555-666666666666"
STARTED_INSTANCE = "55555555-5555-5555-5555-777777777777"
UNKNOWN = "99999999-9999-9999-9999-999999999999"

INITIAL = "66666666-6666-6666-6666-000000000001"
BOUND = "66666666-6666-6666-6666-000000000002"
DIRECT = "66666666-6666-6666-6666-000000000003"
STARTED = "66666666-6666-6666-6666-000000000004"
OTHERS_INITIAL = "66666666-6666-6666-6666-000000000005"
DELETING = "66666666-6666-6666-6666-000000000006"
STARTED_TOO = "66666666-6666-6666-6666-000000000007"
HANDLE = "77777777-7777-7777-7777-777777777777"

GROUPS = [{"resources:FPGA": "1", "trait:CUSTOM_FAKE_DEVICE": "required"}]
HANDLE_INFO = {"domain": "0000", "bus": "0c", "device": "0", "function": "1"}


def fill(connection: sa.Connection) -> None:
    """Insert two devices, a deployable, profiles, and an ARQ in each interesting state."""
    _insert(connection, tables.hosts, id=1, name="node1", last_seen_at=NOW)
    _insert(connection, tables.hosts, id=2, name="node2", last_seen_at=NOW)
    _device(connection, id=1, uuid=DEVICE, host_id=1, vendor="0xABCD", status="enabled")
    _device(
        connection,
        id=2,
        uuid=DEVICE_OFF,
        host_id=2,
        vendor="10de",
        status="maintaining",
        type="GPU",
    )
    _insert(
        connection,
        tables.deployables,
        id=1,
        uuid=DEPLOYABLE,
        device_id=1,
        name="node1_0000:0c:00.0",
        resource_class="FPGA",
        num_accelerators=4,
        rp_uuid=DEPLOYABLE,
        driver_name="fake",
        needs_prepare=False,
        needs_release=False,
    )
    for number, key, value in ((1, "trait1", "CUSTOM_FAKE_DEVICE"), (2, "rc", "FPGA")):
        _insert(
            connection,
            tables.attributes,
            uuid=ATTRIBUTE if number == 1 else UNKNOWN[:-1] + "1",
            deployable_id=1,
            key=key,
            value=value,
            reported=True,
        )
    for uuid, name in ((PROFILE, "fpga"), (UNUSED_PROFILE, "unused")):
        _insert(
            connection, tables.device_profiles, uuid=uuid, name=name, groups_json=json.dumps(GROUPS)
        )
    _arqs(connection)


def _arqs(connection: sa.Connection) -> None:
    bound = {"hostname": "node1", "device_rp_uuid": DEPLOYABLE}
    _arq(connection, 1, INITIAL, "Initial")
    _arq(connection, 2, BOUND, "Bound", instance_uuid=INSTANCE, bound_by_service=True, **bound)
    _arq(connection, 3, DIRECT, "Bound", instance_uuid=DIRECT_INSTANCE, **bound)
    _arq(connection, 4, STARTED, "BindStarted", instance_uuid=STARTED_INSTANCE, **bound)
    _arq(connection, 5, OTHERS_INITIAL, "Initial", project_id=OTHERS)
    _arq(connection, 6, DELETING, "Deleting", instance_uuid=INSTANCE, **bound)
    _arq(connection, 7, STARTED_TOO, "Bound", instance_uuid=STARTED_INSTANCE, **bound)
    _insert(
        connection,
        tables.attach_handles,
        uuid=HANDLE,
        deployable_id=1,
        host_id=1,
        hardware="0000:0c:00.1",
        shares="[]",
        attach_type="PCI",
        attach_info=json.dumps(HANDLE_INFO),
        condition="ready",
        needs_release=False,
        accelerator_request_id=2,
    )


def _device(connection: sa.Connection, **values: Any) -> None:
    row = {
        "identity": f"device{values['id']}",
        "driver": "fake_driver",
        "type": "FPGA",
        "model": "miss model info",
        "std_board_info": '{"product_id": "0xabcd"}',
        "vendor_board_info": "fake_vendor_info",
        "presence": "present",
        **values,
    }
    _insert(connection, tables.devices, **row)


def _arq(connection: sa.Connection, id_: int, uuid: str, state: str, **values: Any) -> None:
    row = {"project_id": MINE, "bound_by_service": False, **values}
    _insert(
        connection,
        tables.accelerator_requests,
        id=id_,
        uuid=uuid,
        state=state,
        device_profile_id=1,
        device_profile_group_id=0,
        group_json=json.dumps(GROUPS[0]),
        **row,
    )


def _insert(connection: sa.Connection, table: sa.Table, **values: Any) -> None:
    connection.execute(table.insert().values(created_at=NOW, **values))
