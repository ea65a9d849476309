"""What a report has, and where it goes in the record."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from cyborg.domain.changes import Event, HandleChange, Move, Row
from cyborg.domain.comparison import (
    UNCLEAN,
    Comparison,
    Occupant,
    Place,
    addresses,
    dirt_of,
    handles_of,
    is_of,
    row_of,
)
from cyborg.domain.dirt import Dirt, held_elsewhere
from cyborg.domain.inventory import DeployableReport, DeviceReport, HandleReport
from cyborg.domain.matching import Match, where_it_must_be
from cyborg.domain.memories import give_back
from cyborg.domain.model import DeviceCondition, HandleCondition, Presence
from cyborg.domain.recorded import DIRTY, RecordedDeployable, RecordedDevice, RecordedHandle

_BAD = {DeviceCondition.FAILED: Event.FAILED, DeviceCondition.DEGRADED: Event.DEGRADED}


def leave_places(c: Comparison) -> None:
    """Let what another device is now the place of leave its own.

    Before anything arrives: a card that was swapped with another takes along what is
    remembered of it.
    """
    for each in c.matches.seen:
        # Drivers may well report one function as parts of two devices.
        both = set() if each.recorded is None else _there(each.recorded)
        for part in each.seen.deployables:
            place = c.places.get(part.name.lower())
            if place is not None and not is_of(place.device, each):
                _leave(c, place, each.seen)
            for handle in part.handles:
                _take_place(c, each, addresses(handle), both, handle.key)
        _take_place(c, each, where_it_must_be(each.seen), both)


def arrive(c: Comparison, each: Match) -> None:
    """Record a device that was seen, and all that can be recorded of it now."""
    device, seen = each.recorded, each.seen
    bare = replace(seen, deployables=())
    owner: Row
    if device is None:
        owner = seen.identity
        c.out.new_devices.append(bare)
        c.notice(Event.FOUND, None, seen)
        if seen.condition in _BAD:
            c.notice(_BAD[seen.condition], None, seen, seen.condition_reason or "")
    else:
        owner = device.id
        if device.presence is not Presence.PRESENT or device.report != bare:
            c.out.changed_devices.append((device.id, bare))
        _tell(c, device, seen)
    targets = _Arrival(c, each).deployables(owner)
    if device is not None:
        give_back(c, device, targets)


def _leave(c: Comparison, place: Place, seen: DeviceReport) -> None:
    device, part = place.device, place.part
    if part.is_held:
        why = f"Device {seen.identity} is where {device.report.identity} was."
        c.displaced.update({handle.id: why for handle in part.handles})
        c.out.settled = False
        if any(handle.condition is HandleCondition.READY for handle in part.handles):
            c.notice(Event.REPLACED, device, device.report, why)
    else:
        c.taken_over.add(part.id)
        c.keep_words(device, part)
        if part.content_unknown:
            memory = c.memories[device.id]
            c.memories[device.id] = replace(memory, content_unknown=True)
    for handle in part.handles:
        dirt = dirt_of(part, handle)
        if dirt is not None:
            c.taint(device.id, device, dirt)


def _take_place(
    c: Comparison, each: Match, at: Iterable[str], both: Collection[str], key: str = ""
) -> None:
    """Let what is recorded of other cards where a card is now give way: they are there no longer.

    :param at: addresses of functions.
    :param both: addresses where it was when others were.
    :param key: of the handle that occupies them.
    """
    for address in at:
        for place, row in c.at.get(address, ()):
            if is_of(place.device, each):
                continue
            together = address in both and not row.absence.count
            stays = together or place.device.id in c.seen_at.get(address, ())
            if row.key == key or not (stays or c.is_excused(place.device)):
                _give_way(c, place, row, each, key)


def _there(device: RecordedDevice) -> set[str]:
    """Return the addresses at which something of a device was when it was last reported."""
    rows = [handle for _, handle in handles_of(device) if not handle.absence.count]
    return {address for handle in rows for address in addresses(handle)}


def _give_way(c: Comparison, place: Place, row: RecordedHandle, each: Match, key: str) -> None:
    """Let another card's handle leave what is the place of a card that was seen."""
    c.usurping.add(key)
    dirt = dirt_of(place.part, row)
    if dirt is not None:
        c.taint(place.device.id, place.device, dirt)
    is_held = row.is_owned or row.is_busy
    if is_held and place.part.report.needs_release:
        # Whoever has it reaches the card that is there now.
        c.taint(row_of(each), each.recorded, UNCLEAN)
    if row.key == key:
        return
    if is_held:
        why = f"Device {each.seen.identity} is where {place.device.report.identity} was."
        c.displaced.setdefault(row.id, why)
        c.out.settled = False
    else:
        c.carried.add(row.id)


class _Arrival:
    """One device that was seen, on its way into the record."""

    def __init__(self, c: Comparison, each: Match) -> None:
        self._c = c
        self._each = each
        #: Handles of the card that somebody has, in places where it is no longer.
        self._elsewhere = held_elsewhere(each)
        self._dirt = Dirt(c, each)
        self._is_complete = True
        if each.recorded is not None and self._elsewhere:
            c.out.waiting.append(each.recorded.id)
            c.out.settled = False

    def deployables(self, owner: Row) -> list[tuple[Row, DeployableReport]]:
        """Place the device's deployables; return those that it has now."""
        placed: list[tuple[Row, DeployableReport]] = []
        for part in self._each.seen.deployables:
            place = self._c.places.get(part.name.lower())
            if place is None:
                handles = self._handles(part.name, part)
                self._c.out.new_deployables.append((owner, _with(part, handles)))
                placed.append((part.name, part))
                continue
            if not is_of(place.device, self._each) and place.part.is_held:
                # It waits until nothing of the card that was there is held.
                self._is_complete = False
                continue
            self._c.taken.add(place.part.id)
            handles = self._handles(place.part.id, part)
            got = replace(_with(part, handles), name=place.part.report.name)
            self._take(owner, place, got)
            placed.append((place.part.id, part))
        self._dirt.end(complete=self._is_complete)
        return placed

    def _take(self, owner: Row, place: Place, part: DeployableReport) -> None:
        out, recorded = self._c.out, place.part
        if is_of(place.device, self._each):
            changed = recorded.report != _comparable(part, recorded)
            if changed or recorded.absence.count:
                out.changed_deployables.append((recorded.id, part))
            if recorded.unsettled and _content(part) not in (None, recorded.report.bitstream_id):
                # To be heard again, when its word counts.
                out.settled = False
            return
        another = recorded.id in self._c.taken_over
        out.moved_deployables.append(Move(recorded.id, owner, forget_content=another))
        out.changed_deployables.append((recorded.id, part))

    def _handles(self, target: Row, part: DeployableReport) -> list[HandleReport]:
        """Place the handles of a deployable; return those that it gets."""
        placed = []
        for report in part.handles:
            at, row = self._c.rows.get(report.key, (None, None))
            if at is None or row is None:
                condition = self._dirt.of_new(report, part)
                self._c.out.new_handles.append((target, report, condition))
            elif at.part.id != target and (row.is_owned or row.is_busy):
                # It stays with whom it was reported by until it is free.
                why = f"It is reported as a part of {part.name} now."
                self._c.displaced.setdefault(row.id, why)
                self._c.out.settled = False
                self._is_complete = False
                continue
            else:
                self._change(target, report, part, at, row)
            self._c.occupants.append(Occupant(report.key, report.shares))
            placed.append(report)
        return placed

    def _change(
        self,
        target: Row,
        report: HandleReport,
        part: DeployableReport,
        at: Place,
        row: RecordedHandle,
    ) -> None:
        self._c.assigned.add(row.id)
        after = self._dirt.of_row(report, part, at, row)
        recorded = HandleReport(row.type, row.info, row.key, row.shares)
        moves = at.part.id != target
        turns = after is not row.condition
        if moves or turns or recorded != report or row.absence.count:
            while_free = moves or (turns and after in DIRTY)
            change = HandleChange(row.id, target, report, row.condition, after, while_free)
            self._c.out.changed_handles.append(change)


def _tell(c: Comparison, device: RecordedDevice, seen: DeviceReport) -> None:
    if device.presence is not Presence.PRESENT:
        c.notice(Event.BACK, device, seen)
    before, after = device.report.condition, seen.condition
    if after is before:
        return
    if after in _BAD:
        c.notice(_BAD[after], device, seen, seen.condition_reason or "")
    elif before in _BAD:
        c.notice(Event.MENDED, device, seen)


def _with(part: DeployableReport, handles: Sequence[HandleReport]) -> DeployableReport:
    return replace(part, handles=tuple(handles), num_accelerators=len(handles))


def _content(part: DeployableReport) -> str | None:
    """Return what a report says that a deployable holds; None if it says nothing."""
    return "" if part.is_empty else part.bitstream_id


def _comparable(report: DeployableReport, recorded: RecordedDeployable) -> DeployableReport:
    """Return a report in the form of what is recorded: without what says nothing."""
    if _content(report) is None or recorded.unsettled:
        report = replace(report, bitstream_id=recorded.report.bitstream_id)
    return replace(report, handles=(), is_empty=False)
