"""The difference between what is recorded of a host and what its agent reports.

Pure: values in, values out. ``cyborg.conductor.inventory`` writes the result in one
transaction.

A device that a scan does not see is *suspect* first and *missing* after
:data:`ABSENCES_UNTIL_MISSING` scans; only then, and only if nothing of it is owned or
quarantined, is it removed. Devices of a driver whose scan failed count as seen and unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cyborg.domain.inventory import DeployableReport, DeviceReport, HandleReport, Snapshot
from cyborg.domain.model import HandleCondition, Presence

ABSENCES_UNTIL_MISSING = 3


@dataclass(frozen=True, slots=True)
class RecordedHandle:
    id: int
    key: tuple[str, str]
    owned: bool
    condition: HandleCondition

    @property
    def kept(self) -> bool:
        """Return whether the row must stay even when the device no longer reports it.

        A quarantined handle that was forgotten would come back clean to everybody.
        """
        return self.owned or self.condition is HandleCondition.QUARANTINED


@dataclass(frozen=True, slots=True)
class RecordedDeployable:
    id: int
    #: As it was last reported, without handles (they are in ``handles``).
    report: DeployableReport
    handles: tuple[RecordedHandle, ...]
    #: It is being programmed, or what it holds is not known: the row must stay, since one
    #: that was forgotten would come back clean to everybody; and what it holds is not the
    #: report's to say.
    unsettled: bool = False


@dataclass(frozen=True, slots=True)
class RecordedDevice:
    id: int
    #: As it was last reported, without deployables.
    report: DeviceReport
    presence: Presence
    absences: int
    deployables: tuple[RecordedDeployable, ...]


@dataclass(slots=True)
class Difference:
    """What has to be written. Ids are rows', reports are what to store."""

    new_devices: list[DeviceReport] = field(default_factory=list)
    changed_devices: list[tuple[int, DeviceReport]] = field(default_factory=list)
    #: (device id, presence, absences)
    absent_devices: list[tuple[int, Presence, int]] = field(default_factory=list)
    removed_devices: list[int] = field(default_factory=list)
    new_deployables: list[tuple[int, DeployableReport]] = field(default_factory=list)
    changed_deployables: list[tuple[int, DeployableReport]] = field(default_factory=list)
    removed_deployables: list[int] = field(default_factory=list)
    #: (deployable id, handle)
    new_handles: list[tuple[int, HandleReport]] = field(default_factory=list)
    returned_handles: list[int] = field(default_factory=list)
    #: Owned, so they stay until their owner goes.
    vanished_handles: list[int] = field(default_factory=list)
    removed_handles: list[int] = field(default_factory=list)
    #: False while the record holds what the report does not (a suspect device, an owned
    #: handle that is gone): the host must report again, even when nothing changes there.
    settled: bool = True

    def __bool__(self) -> bool:
        """Return whether there is anything to write."""
        return any(
            value for name in self.__slots__ if isinstance(value := getattr(self, name), list)
        )


def difference(recorded: Sequence[RecordedDevice], reported: Snapshot) -> Difference:
    """Return what must change so that the record equals the report."""
    result = Difference()
    found = {device.identity: device for device in reported.devices}
    for device in recorded:
        seen = found.pop(device.report.identity, None)
        if seen is not None:
            _present(device, seen, result)
        elif device.report.driver not in reported.failed_drivers:
            _absent(device, result)
    result.new_devices.extend(found.values())
    return result


def _present(device: RecordedDevice, seen: DeviceReport, result: Difference) -> None:
    if device.presence is not Presence.PRESENT or device.report != _bare_device(seen):
        result.changed_devices.append((device.id, seen))
    parts = {part.name: part for part in seen.deployables}
    for recorded in device.deployables:
        part = parts.pop(recorded.report.name, None)
        if part is None:
            _deployable_gone(recorded, result)
            continue
        if recorded.report != _comparable(part, recorded):
            result.changed_deployables.append((recorded.id, part))
        if recorded.unsettled and part.bitstream_id != recorded.report.bitstream_id:
            # To be heard again, when its word counts.
            result.settled = False
        _handles(recorded, {handle.key: handle for handle in part.handles}, result)
    result.new_deployables.extend((device.id, part) for part in parts.values())


def _absent(device: RecordedDevice, result: Difference) -> None:
    result.settled = False
    absences = min(device.absences + 1, ABSENCES_UNTIL_MISSING)
    if absences < ABSENCES_UNTIL_MISSING:
        result.absent_devices.append((device.id, Presence.SUSPECT, absences))
        return
    if not any(_kept(part) for part in device.deployables):
        result.removed_devices.append(device.id)
    elif device.presence is not Presence.MISSING:
        result.absent_devices.append((device.id, Presence.MISSING, absences))


def _deployable_gone(part: RecordedDeployable, result: Difference) -> None:
    if _kept(part):
        result.settled = False
        _handles(part, {}, result)
    else:
        result.removed_deployables.append(part.id)


def _kept(part: RecordedDeployable) -> bool:
    return part.unsettled or any(handle.kept for handle in part.handles)


def _handles(
    part: RecordedDeployable,
    reported: Mapping[tuple[str, str], HandleReport],
    result: Difference,
) -> None:
    recorded = {handle.key: handle for handle in part.handles}
    for key, handle in recorded.items():
        if key in reported:
            if handle.condition is HandleCondition.VANISHED:
                result.returned_handles.append(handle.id)
        elif not handle.kept:
            result.removed_handles.append(handle.id)
        else:
            result.settled = False
            if handle.condition is HandleCondition.READY:
                result.vanished_handles.append(handle.id)
    result.new_handles.extend(
        (part.id, handle) for key, handle in reported.items() if key not in recorded
    )


def _bare_device(report: DeviceReport) -> DeviceReport:
    values = {name: getattr(report, name) for name in report.__slots__}
    return DeviceReport(**{**values, "deployables": ()})


def _comparable(report: DeployableReport, recorded: RecordedDeployable) -> DeployableReport:
    """Return a report in the form of what is recorded: without what says nothing."""
    if report.bitstream_id is None or recorded.unsettled:
        report = replace(report, bitstream_id=recorded.report.bitstream_id)
    return replace(report, handles=())
