"""A report beside the record, and what has been found out about the two so far."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cyborg.domain.changes import Difference, Event, Move, Notice, Row
from cyborg.domain.hardware import Share, is_address, same_identity
from cyborg.domain.inventory import DeviceReport, HandleReport, Snapshot
from cyborg.domain.matching import Match, addresses_of, match
from cyborg.domain.model import HandleCondition
from cyborg.domain.recorded import (
    DIRTY,
    Memory,
    OperatorsWord,
    RecordedDeployable,
    RecordedDevice,
    RecordedHandle,
)

#: How a device's handles come back that were given out and not cleaned.
UNCLEAN = HandleCondition.UNCLEAN


@dataclass(frozen=True, slots=True)
class Place:
    """A deployable that is recorded, and the device of which it is recorded."""

    device: RecordedDevice
    part: RecordedDeployable


@dataclass(frozen=True, slots=True)
class Occupant:
    """A handle that there is, and what it occupies when somebody has it."""

    key: str
    shares: tuple[Share, ...]


class Comparison:
    """What :mod:`cyborg.domain.arrivals` and :mod:`cyborg.domain.departures` work on."""

    def __init__(
        self,
        recorded: Sequence[RecordedDevice],
        reported: Snapshot,
        now: datetime.datetime,
        interval: float,
    ) -> None:
        self.recorded = recorded
        self.reported = reported
        self.now = now
        self.interval = interval
        self.matches = match(recorded, reported.devices)
        places = [Place(device, part) for device in recorded for part in device.deployables]
        #: By the deployable's name, in small letters.
        self.places = {place.part.report.name.lower(): place for place in places}
        #: By key.
        self.rows = {
            handle.key: (place, handle) for place in places for handle in place.part.handles
        }
        #: Handles by the addresses of the functions that they occupy a part of.
        self.at: dict[str, list[tuple[Place, RecordedHandle]]] = {}
        for place, handle in self.rows.values():
            for address in addresses(handle):
                self.at.setdefault(address, []).append((place, handle))
        #: Addresses of functions to the ids of those devices that are reported to be there.
        self.seen_at: dict[str, set[int]] = {}
        for each in self.matches.seen:
            if each.recorded is not None:
                for address in _addresses_of_all(each.seen):
                    self.seen_at.setdefault(address, set()).add(each.recorded.id)
        self.out = Difference()
        #: Of new devices by their identities.
        self.memories: dict[Row, Memory] = {device.id: device.memory for device in recorded}
        #: All that operators say of deployables, as far as it changes.
        self.words: dict[Row, tuple[tuple[str, str], ...]] = {}
        #: Ids of handles that a deployable of the report has.
        self.assigned: set[int] = set()
        #: Ids of deployables that a device of the report has, and of those that were another's,
        #: which is surely another card.
        self.taken: set[int] = set()
        self.taken_over: set[int] = set()
        #: Why a handle is not where the report says that its hardware is.
        self.displaced: dict[int, str] = {}
        #: Ids of handles whose card is not at their place, or is offered in another shape: how
        #: clean it is, is known of the card or of that shape.
        self.carried: set[int] = set()
        #: Keys of reported handles that are where something of another card is recorded.
        self.usurping: set[str] = set()
        self.occupants: list[Occupant] = []
        strays = [device for device in self.matches.unseen if _was_used(device)]
        #: Some card that is not in any place may carry traces of whoever had it.
        self.has_strays = bool(strays)
        #: Also one whose serial number was never read.
        self.has_nameless_strays = any(is_address(device.report.identity) for device in strays)

    def taint(self, row: Row, device: RecordedDevice | None, dirt: HandleCondition) -> None:
        """Remember of a card that it is not clean, wherever it is now.

        :param device: what is recorded of it.
        """
        memory = self.memories.get(row, Memory())
        handles = [] if device is None else list(handles_of(device))
        known = [handle for part, handle in handles if not handle.absence.count]
        if memory.taint is None:
            # Also what was away when this began.
            known += [h for part, h in handles if h.absence.count and dirt_of(part, h)]
        if memory.taint is not HandleCondition.QUARANTINED:
            why = "It was given out and not cleaned before its card went."
            memory = replace(memory, taint=dirt, taint_reason=why)
        self.memories[row] = replace(memory, pieces=max(memory.pieces, len(known)))

    def is_excused(self, device: RecordedDevice) -> bool:
        """Return whether the agent says that it could not look at a device.

        By its address, where that is all that can still be read of it.
        """
        if device.report.driver in self.reported.failed_drivers:
            return True
        known = {same_identity(device.report.identity), *addresses_of(device)}
        return any(same_identity(unseen.identity) in known for unseen in self.reported.unseen)

    def keep_words(self, device: RecordedDevice, part: RecordedDeployable) -> None:
        """Remember of a device what operators said of a part that it loses."""
        if not part.words or part.id in self.words:
            return
        position = [other.id for other in device.deployables].index(part.id)
        words = tuple(
            OperatorsWord(part.report.name, position, key, value) for key, value in part.words
        )
        memory = self.memories[device.id]
        self.memories[device.id] = replace(memory, words=(*memory.words, *words))
        self.words[part.id] = ()

    def forget_content(self, device: RecordedDevice, part: RecordedDeployable) -> None:
        """Remember of a device, and not of a part that it loses, that its content is unknown."""
        memory = self.memories[device.id]
        self.memories[device.id] = replace(memory, content_unknown=True)
        self.out.moved_deployables.append(Move(part.id, device.id, forget_content=True))

    def keep(self, handles: Iterable[RecordedHandle]) -> None:
        """Note that handles go on to occupy what they occupy."""
        self.occupants += [
            Occupant(handle.key, handle.shares)
            for handle in handles
            if handle.is_kept or handle.condition is not HandleCondition.VANISHED
        ]

    def notice(
        self,
        event: Event,
        device: RecordedDevice | None,
        report: DeviceReport,
        why: str = "",
    ) -> None:
        """Note what an operator is told of a device."""
        uuid = device.uuid if device else None
        in_use = device is not None and device.is_held
        self.out.notices.append(Notice(event, uuid, report.identity, why, in_use))


def dirt_of(part: RecordedDeployable, handle: RecordedHandle) -> HandleCondition | None:
    """Return how the hardware of a handle is, if somebody may have left something on it."""
    if handle.condition in DIRTY:
        return handle.condition
    return UNCLEAN if handle.is_owned and part.report.needs_release else None


def row_of(each: Match) -> Row:
    """Return by what a device that was seen is known in a difference."""
    return each.seen.identity if each.recorded is None else each.recorded.id


def is_of(device: RecordedDevice, each: Match) -> bool:
    """Return whether a recorded device is the one that was seen."""
    return each.recorded is not None and each.recorded.id == device.id


def handles_of(device: RecordedDevice) -> Iterator[tuple[RecordedDeployable, RecordedHandle]]:
    """Yield what is recorded of a device, each with the part that it belongs to."""
    return ((part, handle) for part in device.deployables for handle in part.handles)


def addresses(handle: HandleReport | RecordedHandle) -> frozenset[str]:
    """Return the addresses of the functions that a handle occupies a part of."""
    names = (handle.key, *(share.counter for share in handle.shares))
    return frozenset(name for name in names if is_address(name))


def _addresses_of_all(device: DeviceReport) -> set[str]:
    handles = [handle for part in device.deployables for handle in part.handles]
    return {address for handle in handles for address in addresses(handle)}


def _was_used(device: RecordedDevice) -> bool:
    return device.memory.taint is not None or any(
        dirt_of(part, handle) for part, handle in handles_of(device)
    )
