"""Writing the difference between what is recorded of a host and what it reports.

Locks are taken in the order of claims: deployables, devices, then handles and counters.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception

from cyborg.db.database import Contention
from cyborg.db.handle_changes import (
    change_handles,
    insert_handles,
    record_absences,
    remove_handles,
)
from cyborg.db.programming import SETTLED
from cyborg.db.sharing import write_sharing
from cyborg.db.statements import next_generation
from cyborg.db.tables import attributes, control_paths, deployables, devices
from cyborg.db.touched import deployables_of, lock_touched, providers_touched
from cyborg.domain.changes import Difference, Row
from cyborg.domain.clock import NewUuid, provider_uuid
from cyborg.domain.hardware import Sharing, canonical
from cyborg.domain.inventory import DeployableReport, DeviceReport
from cyborg.domain.model import DeviceStatus, Presence, ProgrammingState, ProviderJobKind
from cyborg.domain.plain import to_plain

#: What is said of a handle that is unclean from its first row on.
_UNCLEAN = "It is cleaned before anybody gets it: its card may have been somebody's."


def apply(
    connection: sa.Connection,
    host_id: int,
    difference: Difference,
    *,
    sharing: Sharing,
    new_uuid: NewUuid,
    now: datetime.datetime,
) -> Written:
    """Write a difference.

    :param sharing: what the counters of the host were before.
    :raises Contention: if somebody was faster; the whole transaction is given up.
    """
    return _Writer(connection, host_id, difference, sharing, _Stamp(new_uuid, now)).write()


@dataclass(frozen=True, slots=True)
class Written:
    """What has been written."""

    #: The providers (by uuid) that Placement must hear of, by what of them.
    touched: Mapping[ProviderJobKind, Collection[str]] = field(default_factory=dict)
    #: The uuids of new devices, by their identities.
    new_devices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Stamp:
    new_uuid: NewUuid
    now: datetime.datetime


class _Writer:
    def __init__(
        self,
        connection: sa.Connection,
        host_id: int,
        difference: Difference,
        sharing: Sharing,
        stamp: _Stamp,
    ) -> None:
        self._connection = connection
        self._host_id = host_id
        self._difference = difference
        self._sharing = sharing
        self._new_uuid = stamp.new_uuid
        self._now = stamp.now
        #: Ids of rows that are new, by identity and by name.
        self._devices: dict[str, int] = {}
        self._deployables: dict[str, int] = {}
        #: Uuids of devices that are new, by identity.
        self._uuids: dict[str, str] = {}

    def write(self) -> Written:
        changes = self._difference
        touched = lock_touched(self._connection, self._host_id, changes, self._sharing)
        try:
            self._write_devices()
            self._write_deployables()
        except db_exception.DBDuplicateEntry as error:
            # Another host has got a deployable of the same name meanwhile.
            raise Contention from error
        # Handles leave what is removed before it is.
        change_handles(
            self._connection, changes.changed_handles, self._deployables, _UNCLEAN, self._now
        )
        gone = set(changes.removed_deployables)
        gone |= deployables_of(self._connection, changes.removed_devices)
        insert_handles(
            self._connection,
            self._host_id,
            changes.new_handles,
            self._deployables,
            reason=_UNCLEAN,
            new_uuid=self._new_uuid,
            now=self._now,
        )
        record_absences(self._connection, changes.absent_handles, self._now)
        if changes.sharing is not None:
            write_sharing(self._connection, self._host_id, changes.sharing)
        remove_handles(self._connection, changes, gone)
        self._remove(gone)
        self._write_words()
        return Written(providers_touched(changes, touched), self._uuids)

    # Devices and deployables.

    def _write_devices(self) -> None:
        changes = self._difference
        for device_id, presence, absence in changes.absent_devices:
            self._update(
                devices,
                device_id,
                presence=presence,
                absences=absence.count,
                absent_at=absence.at,
            )
        for device_id, device in changes.changed_devices:
            self._update(devices, device_id, **_device_values(device))
            self._write_control_path(device_id, device)
        for device in changes.new_devices:
            self._uuids[device.identity] = self._new_uuid()
            values = {
                "uuid": self._uuids[device.identity],
                "host_id": self._host_id,
                "status": DeviceStatus.ENABLED,
                "created_at": self._now,
                **_device_values(device),
            }
            device_id = self._insert(devices, values)
            self._devices[device.identity] = device_id
            self._write_control_path(device_id, device)
        for row, memory in changes.memories:
            plain = canonical(to_plain(memory)) if memory or memory.anonymous else None
            self._update(devices, self._device_id(row), memory=plain)

    def _write_deployables(self) -> None:
        changes = self._difference
        for move in changes.moved_deployables:
            values: dict[str, Any] = {"device_id": self._device_id(move.device)}
            if move.forget_content:
                values |= {
                    "bitstream_id": None,
                    "content_unknown": False,
                    "programming_state": ProgrammingState.NONE,
                    "programming_reason": None,
                }
            self._move(move.id, **values)
        for deployable_id, part in changes.changed_deployables:
            self._update(deployables, deployable_id, **_deployable_values(part))
            self._write_content(deployable_id, part)
            self._write_reported(deployable_id, part)
        for deployable_id, absence in changes.absent_deployables:
            self._update(deployables, deployable_id, absences=absence.count, absent_at=absence.at)
        for owner, part in changes.new_deployables:
            uuid = provider_uuid(part.name)
            values = {
                "uuid": uuid,
                "rp_uuid": uuid,
                "device_id": self._device_id(owner),
                "bitstream_id": part.bitstream_id,
                "created_at": self._now,
                **_deployable_values(part),
            }
            deployable_id = self._insert(deployables, values)
            self._deployables[part.name] = deployable_id
            self._write_reported(deployable_id, part)
        for row in changes.unknown_contents:
            self._update(deployables, self._deployable_id(row), content_unknown=True)

    def _move(self, deployable_id: int, **values: Any) -> None:
        moved = self._connection.execute(
            deployables.update()
            .where(
                deployables.c.id == deployable_id,
                # Begun meanwhile, of the device that it was a part of.
                deployables.c.programming_state != ProgrammingState.PROGRAMMING,
            )
            .values(updated_at=self._now, **next_generation(deployables), **values)
        )
        if moved.rowcount != 1:
            raise Contention

    def _write_content(self, deployable_id: int, part: DeployableReport) -> None:
        """Record what a deployable holds, if the report says."""
        if part.bitstream_id is None and not part.is_empty:
            return
        values: dict[str, Any] = {"bitstream_id": part.bitstream_id}
        if part.is_empty:
            values["programming_state"] = sa.case(
                (
                    deployables.c.programming_state == ProgrammingState.PROGRAMMED,
                    ProgrammingState.NONE,
                ),
                else_=deployables.c.programming_state,
            )
        # On condition: a programming that has begun meanwhile knows better.
        self._connection.execute(
            deployables.update().where(deployables.c.id == deployable_id, SETTLED).values(**values)
        )

    def _write_reported(self, deployable_id: int, part: DeployableReport) -> None:
        pairs = dict(part.attributes())
        of_it = attributes.c.deployable_id == deployable_id
        reported = attributes.c.reported.is_(sa.true())
        query = sa.select(attributes.c.key, attributes.c.value).where(of_it, reported)
        known = {row.key: row.value for row in self._connection.execute(query)}
        if known.keys() == pairs.keys():
            # Of a key that is written again, MariaDB locks the neighbour: another host's, perhaps.
            for key, value in pairs.items() - known.items():
                of_key = attributes.update().where(of_it, attributes.c.key == key)
                self._connection.execute(of_key.values(value=value, updated_at=self._now))
            return
        # An operator's attribute gives way where a driver now reports that key.
        gone = sa.or_(reported, attributes.c.key.in_(pairs))
        self._connection.execute(attributes.delete().where(of_it, gone))
        self._insert_attributes(deployable_id, pairs, reported=True)

    def _write_words(self) -> None:
        for row, words in self._difference.words:
            deployable_id = self._deployable_id(row)
            of_it = attributes.c.deployable_id == deployable_id
            self._connection.execute(
                attributes.delete().where(of_it, attributes.c.reported.is_(sa.false()))
            )
            reported = set(self._connection.scalars(sa.select(attributes.c.key).where(of_it)))
            pairs = {key: value for key, value in words if key not in reported}
            self._insert_attributes(deployable_id, pairs, reported=False)

    def _remove(self, gone: Collection[int]) -> None:
        if gone:
            settled = deployables.delete().where(deployables.c.id.in_(gone), SETTLED)
            if self._connection.execute(settled).rowcount != len(gone):
                raise Contention
        removed = self._difference.removed_devices
        if removed:
            self._connection.execute(devices.delete().where(devices.c.id.in_(removed)))

    def _write_control_path(self, device_id: int, device: DeviceReport) -> None:
        info = canonical(dict(device.control_path))
        of_device = control_paths.update().where(control_paths.c.device_id == device_id)
        if not self._connection.execute(of_device.values(info=info)).rowcount:
            values = {"uuid": self._new_uuid(), "device_id": device_id, "info": info}
            self._connection.execute(control_paths.insert().values(values))

    # Small helpers.

    def _insert_attributes(
        self, deployable_id: int, pairs: Mapping[str, str], *, reported: bool
    ) -> None:
        if pairs:
            self._connection.execute(
                attributes.insert(),
                [
                    {
                        "uuid": self._new_uuid(),
                        "deployable_id": deployable_id,
                        "key": key,
                        "value": value,
                        "reported": reported,
                        "created_at": self._now,
                    }
                    for key, value in pairs.items()
                ],
            )

    def _insert(self, table: sa.Table, values: Mapping[str, Any]) -> int:
        inserted = self._connection.execute(table.insert().values(values)).inserted_primary_key
        assert inserted is not None
        return int(inserted[0])

    def _update(self, table: sa.Table, row_id: int, **values: Any) -> None:
        self._connection.execute(
            table.update()
            .where(table.c.id == row_id)
            .values(updated_at=self._now, **next_generation(table), **values)
        )

    def _device_id(self, row: Row) -> int:
        return self._devices[row] if isinstance(row, str) else row

    def _deployable_id(self, row: Row) -> int:
        return self._deployables[row] if isinstance(row, str) else row


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
        "absent_at": None,
        "condition": device.condition,
        "condition_reason": device.condition_reason,
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
        "absences": 0,
        "absent_at": None,
    }
