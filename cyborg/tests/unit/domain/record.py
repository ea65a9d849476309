"""A host's record as values: what writing a difference makes of it, without a database.

It refuses what every database refuses: two rows of one key or name, a row that refers to
nothing, and the loss of what somebody has.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from cyborg.domain.changes import Difference, Row
from cyborg.domain.clock import new_uuid
from cyborg.domain.difference import difference
from cyborg.domain.doubles import without_doubles
from cyborg.domain.hardware import Sharing
from cyborg.domain.inventory import DeviceReport, HandleReport, Snapshot
from cyborg.domain.model import HandleCondition, Presence
from cyborg.domain.recorded import (
    DIRTY,
    Absence,
    Memory,
    RecordedDeployable,
    RecordedDevice,
    RecordedHandle,
)
from cyborg.domain.report_check import check_report

INTERVAL = 60.0
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@dataclass
class Record:
    """What is recorded of one host, and the time by the database's clock."""

    devices: list[RecordedDevice] = field(default_factory=list)
    now: datetime.datetime = START
    sharing: Sharing = field(default_factory=Sharing)
    #: What the last report changed.
    last: Difference = field(default_factory=Difference)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # What is in it

    def parts(self) -> list[tuple[RecordedDevice, RecordedDeployable]]:
        """Return all deployables, each with its device."""
        return [(device, part) for device in self.devices for part in device.deployables]

    def handles(self) -> list[tuple[RecordedDevice, RecordedDeployable, RecordedHandle]]:
        """Return all handles, each with its deployable and device."""
        return [(device, part, handle) for device, part in self.parts() for handle in part.handles]

    def handle(self, key: str) -> RecordedHandle:
        """Return the handle of a piece of hardware."""
        [found] = [handle for _, _, handle in self.handles() if handle.key == key]
        return found

    def conditions(self) -> dict[str, HandleCondition]:
        """Return the condition of each piece of hardware."""
        return {handle.key: handle.condition for _, _, handle in self.handles()}

    def device(self, identity: str) -> RecordedDevice:
        """Return the device of an identity."""
        [found] = [each for each in self.devices if each.report.identity == identity]
        return found

    def identities(self) -> set[str]:
        """Return the identities of all devices."""
        return {device.report.identity for device in self.devices}

    def part(self, name: str) -> RecordedDeployable:
        """Return the deployable of a name."""
        [found] = [part for _, part in self.parts() if part.report.name == name]
        return found

    def device_of(self, name: str) -> str:
        """Return the identity of the device that has a deployable."""
        [found] = [device for device, part in self.parts() if part.report.name == name]
        return found.report.identity

    # What others do to it

    def set_handle(self, key: str, **values: Any) -> None:
        """Change a handle: somebody takes it, gives it back, or cleans it."""
        self._change_parts(
            lambda part: replace(
                part,
                handles=tuple(
                    replace(handle, **values) if handle.key == key else handle
                    for handle in part.handles
                ),
            )
        )

    def set_part(self, name: str, **values: Any) -> None:
        """Change a deployable: it is programmed, or an operator says something of it."""
        self._change_parts(
            lambda part: replace(part, **values) if part.report.name == name else part
        )

    def set_device(self, identity: str, **values: Any) -> None:
        """Change a device, as an operator does."""
        self.devices = [
            replace(each, **values) if each.report.identity == identity else each
            for each in self.devices
        ]

    def _change_parts(self, change: Callable[[RecordedDeployable], RecordedDeployable]) -> None:
        self.devices = [
            replace(device, deployables=tuple(map(change, device.deployables)))
            for device in self.devices
        ]

    # A report

    def report(self, *seen: DeviceReport, seconds: float = INTERVAL, **values: Any) -> Difference:
        """Compare a report as it crosses the wire with the record, and write the difference."""
        self.now += datetime.timedelta(seconds=seconds)
        snapshot = Snapshot(seen, **values)
        checked = check_report(snapshot.to_wire())
        assert not checked.left_out, checked.left_out
        held = {
            handle.key: part.report.name
            for _, part, handle in self.handles()
            if handle.is_owned or handle.is_busy
        }
        devices, _ = without_doubles(checked.snapshot.devices, held)
        reported = replace(checked.snapshot, devices=tuple(devices))
        self.last = difference(self.devices, reported, self.now, INTERVAL, self.sharing)
        _Writer(self, self.last).write()
        return self.last

    def new_id(self) -> int:
        """Return the id of a row that is inserted."""
        return next(self._ids)


class _Writer:
    """Writes a difference in the order in which the conductor does."""

    def __init__(self, record: Record, changes: Difference) -> None:
        self._record = record
        self._changes = changes
        self._devices = {device.id: device for device in record.devices}
        self._parts = {part.id: part for _, part in record.parts()}
        self._handles = {handle.id: handle for _, _, handle in record.handles()}
        self._device_of = {part.id: device.id for device, part in record.parts()}
        self._part_of = {handle.id: part.id for _, part, handle in record.handles()}
        self._new_devices: dict[str, int] = {}
        self._new_parts: dict[str, int] = {}

    def write(self) -> None:
        self._write_devices()
        self._write_parts()
        self._change_handles()
        self._remove_handles()
        self._insert_handles()
        self._record_absences()
        self._remove()
        self._finish()

    def _write_devices(self) -> None:
        changes, devices = self._changes, self._devices
        for id_, presence, absence in changes.absent_devices:
            devices[id_] = replace(devices[id_], presence=presence, absence=absence)
        for id_, report in changes.changed_devices:
            present: dict[str, Any] = {"presence": Presence.PRESENT, "absence": Absence()}
            devices[id_] = replace(devices[id_], report=replace(report, deployables=()), **present)
        for report in changes.new_devices:
            id_ = self._record.new_id()
            bare = replace(report, deployables=())
            devices[id_] = RecordedDevice(id_, new_uuid(), bare, Presence.PRESENT)
            self._new_devices[report.identity] = id_
        for row, memory in changes.memories:
            id_ = self._device(row)
            kept = memory if memory or memory.anonymous else Memory()
            devices[id_] = replace(devices[id_], memory=kept)
        _require_unique("identity", [device.report.identity for device in devices.values()])

    def _write_parts(self) -> None:
        changes, parts = self._changes, self._parts
        for move in changes.moved_deployables:
            assert not parts[move.id].programming
            self._device_of[move.id] = self._device(move.device)
            if move.forget_content:
                report = replace(parts[move.id].report, bitstream_id=None)
                parts[move.id] = replace(parts[move.id], report=report, content_unknown=False)
        for id_, report in changes.changed_deployables:
            holds = report.bitstream_id
            if holds is None and not report.is_empty:
                holds = parts[id_].report.bitstream_id
            bare = replace(report, handles=(), is_empty=False, bitstream_id=holds)
            parts[id_] = replace(parts[id_], report=bare, absence=Absence())
        for id_, absence in changes.absent_deployables:
            parts[id_] = replace(parts[id_], absence=absence)
        for owner, report in changes.new_deployables:
            id_ = self._record.new_id()
            parts[id_] = RecordedDeployable(id_, replace(report, handles=(), is_empty=False), ())
            self._device_of[id_] = self._device(owner)
            self._new_parts[report.name] = id_
        for row in changes.unknown_contents:
            id_ = self._part(row)
            parts[id_] = replace(parts[id_], content_unknown=True)
        for row, words in changes.words:
            id_ = self._part(row)
            parts[id_] = replace(parts[id_], words=words)
        _require_unique("name", [part.report.name for part in parts.values()])

    def _change_handles(self) -> None:
        for change in self._changes.changed_handles:
            before = self._handles[change.id]
            assert before.condition is change.before
            assert not (change.while_free and before.is_owned)
            self._handles[change.id] = replace(
                before,
                **_values(change.report),
                condition=change.after,
                absence=Absence(),
            )
            self._part_of[change.id] = self._part(change.deployable)

    def _remove_handles(self) -> None:
        gone = set(self._changes.removed_handles)
        of_parts = set(self._changes.removed_deployables)
        of_parts |= {
            part
            for part, device in self._device_of.items()
            if device in self._changes.removed_devices
        }
        gone |= {id_ for id_, part in self._part_of.items() if part in of_parts}
        gone -= set(self._changes.left_handles)
        for id_ in gone:
            assert not self._handles[id_].is_kept, "something was lost that must stay"
        for id_ in self._changes.left_handles:
            assert not self._handles[id_].is_owned
            assert not self._handles[id_].is_busy
        for id_ in gone | set(self._changes.left_handles):
            del self._handles[id_], self._part_of[id_]

    def _insert_handles(self) -> None:
        for row, report, condition in self._changes.new_handles:
            id_ = self._record.new_id()
            self._handles[id_] = RecordedHandle(
                id_,
                **_values(report),
                is_owned=False,
                condition=condition,
            )
            self._part_of[id_] = self._part(row)
        _require_unique("key", [handle.key for handle in self._handles.values()])

    def _record_absences(self) -> None:
        for each in self._changes.absent_handles:
            before = self._handles[each.id]
            assert (before.condition, before.is_owned) == (each.before, each.owned)
            assert not (each.before in DIRTY and each.after not in DIRTY), "dirt was forgotten"
            self._handles[each.id] = replace(before, condition=each.after, absence=each.absence)

    def _remove(self) -> None:
        for id_ in self._changes.removed_devices:
            del self._devices[id_]
        gone = {id_ for id_, device in self._device_of.items() if device not in self._devices}
        for id_ in gone | set(self._changes.removed_deployables):
            assert not self._parts[id_].unsettled
            del self._parts[id_], self._device_of[id_]
        assert set(self._part_of.values()) <= set(self._parts), "a handle of no deployable"

    def _finish(self) -> None:
        by_part: dict[int, list[RecordedHandle]] = {}
        for id_ in sorted(self._handles):
            by_part.setdefault(self._part_of[id_], []).append(self._handles[id_])
        by_device: dict[int, list[RecordedDeployable]] = {}
        for id_ in sorted(self._parts):
            part = replace(self._parts[id_], handles=tuple(by_part.get(id_, ())))
            by_device.setdefault(self._device_of[id_], []).append(part)
        self._record.devices = [
            replace(device, deployables=tuple(by_device.get(id_, ())))
            for id_, device in sorted(self._devices.items())
        ]
        if self._changes.sharing is not None:
            self._record.sharing = self._changes.sharing

    def _device(self, row: Row) -> int:
        return self._new_devices[row] if isinstance(row, str) else row

    def _part(self, row: Row) -> int:
        return self._new_parts[row] if isinstance(row, str) else row


def _values(report: HandleReport) -> dict[str, Any]:
    return {
        "key": report.key,
        "type": report.type,
        "info": dict(report.info),
        "shares": report.shares,
    }


def _require_unique(what: str, values: list[str]) -> None:
    assert len(values) == len(set(values)), f"two rows of one {what}: {sorted(values)}"
