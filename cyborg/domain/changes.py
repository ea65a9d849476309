"""What has to be written so that the record of a host equals its report. Values only."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from cyborg.domain.hardware import Sharing
from cyborg.domain.inventory import DeployableReport, DeviceReport, HandleReport
from cyborg.domain.model import HandleCondition, Presence
from cyborg.domain.recorded import Absence, Memory

#: A row by its id, or one that is new by its name: a device's identity, a deployable's name.
Row = int | str


class Event(enum.StrEnum):
    """What an operator is told of a device, once."""

    FOUND = "found"
    BACK = "is back"
    MISSING = "is missing"
    REMOVED = "is removed"
    FAILED = "has failed"
    DEGRADED = "is degraded"
    MENDED = "works again"
    REPLACED = "is not where it was"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened to a device."""

    event: Event
    #: None of one that is new.
    device_uuid: str | None
    identity: str
    #: In plain words; may be empty.
    why: str = ""
    #: Somebody has a part of it.
    in_use: bool = False


@dataclass(frozen=True, slots=True)
class HandleChange:
    """A handle's row as it shall be."""

    id: int
    deployable: Row
    report: HandleReport
    #: As it was read: somebody who was faster shows.
    before: HandleCondition
    after: HandleCondition
    #: It must not have got an owner meanwhile.
    while_free: bool


@dataclass(frozen=True, slots=True)
class HandleAbsence:
    """A handle's row that the report lacks."""

    id: int
    absence: Absence
    owned: bool
    before: HandleCondition
    #: Nobody gets it any more.
    after: HandleCondition
    #: What its owner is told.
    why: str


@dataclass(frozen=True, slots=True)
class Move:
    """A deployable that is now a part of another device."""

    id: int
    device: Row
    #: What it was programmed with is not in the other device.
    forget_content: bool


@dataclass(slots=True)
class Difference:
    """What has to be written. Reports are what to store."""

    new_devices: list[DeviceReport] = field(default_factory=list)
    changed_devices: list[tuple[int, DeviceReport]] = field(default_factory=list)
    absent_devices: list[tuple[int, Presence, Absence]] = field(default_factory=list)
    removed_devices: list[int] = field(default_factory=list)
    memories: list[tuple[Row, Memory]] = field(default_factory=list)
    #: (device, deployable)
    new_deployables: list[tuple[Row, DeployableReport]] = field(default_factory=list)
    changed_deployables: list[tuple[int, DeployableReport]] = field(default_factory=list)
    moved_deployables: list[Move] = field(default_factory=list)
    absent_deployables: list[tuple[int, Absence]] = field(default_factory=list)
    removed_deployables: list[int] = field(default_factory=list)
    #: Programmable ones whose content was unknown when their device went.
    unknown_contents: list[Row] = field(default_factory=list)
    #: (deployable, handle, whether it is ready or unclean)
    new_handles: list[tuple[Row, HandleReport, HandleCondition]] = field(default_factory=list)
    changed_handles: list[HandleChange] = field(default_factory=list)
    absent_handles: list[HandleAbsence] = field(default_factory=list)
    removed_handles: list[int] = field(default_factory=list)
    #: Of a card that was where another is now; however they are, the card takes that along.
    left_handles: list[int] = field(default_factory=list)
    #: Deployable to all that operators say of it from now on.
    words: list[tuple[Row, tuple[tuple[str, str], ...]]] = field(default_factory=list)
    #: None: as it was.
    sharing: Sharing | None = None
    notices: list[Notice] = field(default_factory=list)
    #: Devices whose handles are not cleaned yet, since a part of them is held elsewhere.
    waiting: list[int] = field(default_factory=list)
    #: False while the record holds what the report does not, or the other way round: the host
    #: must report again, even when nothing changes there.
    settled: bool = True

    def __bool__(self) -> bool:
        """Return whether there is anything to write."""
        written = (getattr(self, name) for name in self.__slots__ if name not in _NOT_WRITTEN)
        return self.sharing is not None or any(written)


_NOT_WRITTEN = frozenset({"sharing", "notices", "waiting", "settled"})
