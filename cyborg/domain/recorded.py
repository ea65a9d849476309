"""What is recorded of a host's hardware, as far as the next report of it is concerned."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from cyborg.domain.hardware import Share
from cyborg.domain.inventory import DeployableReport, DeviceReport
from cyborg.domain.model import DeviceStatus, HandleCondition, Presence

#: Reports, each some time after the one before, that must lack a thing until it is gone.
ABSENCES_UNTIL_GONE = 3

#: What nobody gets before it has been cleaned, or looked at.
DIRTY = frozenset({HandleCondition.UNCLEAN, HandleCondition.QUARANTINED})


@dataclass(frozen=True, slots=True)
class Absence:
    """How long a thing has been missing in reports."""

    #: Reports that lacked it. Those that follow each other too soon count once.
    count: int = 0
    #: When the last of them came, by the database's clock.
    at: datetime.datetime | None = None

    @property
    def is_over(self) -> bool:
        """Return whether the thing is gone."""
        return self.count >= ABSENCES_UNTIL_GONE

    def again(self, now: datetime.datetime, interval: float) -> Absence:
        """Return the absence after one more report that lacks it.

        :param interval: seconds between two reports, as the agent makes them.
        """
        if self.at is not None and (now - self.at).total_seconds() < interval / 2:
            return self
        return Absence(min(self.count + 1, ABSENCES_UNTIL_GONE), now)


@dataclass(frozen=True, slots=True)
class RecordedHandle:
    """A row of an attach handle."""

    id: int
    key: str
    type: str
    info: Mapping[str, str]
    shares: tuple[Share, ...]
    is_owned: bool
    condition: HandleCondition
    #: An agent is at work on it.
    is_busy: bool = False
    absence: Absence = Absence()

    @property
    def is_kept(self) -> bool:
        """Return whether the row must stay even when the device no longer reports it.

        One that is dirty and forgotten would come back clean to everybody.
        """
        return self.is_owned or self.is_busy or self.condition in DIRTY


@dataclass(frozen=True, slots=True)
class OperatorsWord:
    """An attribute that an operator gave to a part of a device."""

    #: Name of the deployable when it was given, and its position in the device.
    deployable: str
    position: int
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Memory:
    """What must be remembered of a device while other hardware is where it was."""

    #: Something of it was given out and not cleaned since, and no row says which: how handles
    #: come that it has not had, or that were away.
    taint: HandleCondition | None = None
    taint_reason: str | None = None
    #: How many handles it had when that began. It is over when as many are there.
    pieces: int = 0
    #: A programming of it has failed half way.
    content_unknown: bool = False
    words: tuple[OperatorsWord, ...] = ()
    #: It was last seen under its address only.
    anonymous: bool = False

    def __bool__(self) -> bool:
        """Return whether there is anything to remember once it is gone."""
        return bool(self.taint or self.content_unknown or self.words)


@dataclass(frozen=True, slots=True)
class RecordedDeployable:
    """A row of a deployable, with its handles."""

    id: int
    #: As it was last reported, without handles (they are in ``handles``).
    report: DeployableReport
    handles: tuple[RecordedHandle, ...]
    #: It is being programmed.
    programming: bool = False
    #: What it holds is not known: the row must stay, since one that was forgotten would come
    #: back clean to everybody; and what it holds is not the report's to say.
    content_unknown: bool = False
    absence: Absence = Absence()
    #: Key and value of the attributes that an operator gave it.
    words: tuple[tuple[str, str], ...] = ()

    @property
    def unsettled(self) -> bool:
        """Return whether nobody gets any of it, and its content is not the report's to say."""
        return self.programming or self.content_unknown

    @property
    def is_held(self) -> bool:
        """Return whether somebody has a part of it, or works on it."""
        return self.programming or any(handle.is_owned or handle.is_busy for handle in self.handles)

    @property
    def is_busy(self) -> bool:
        """Return whether an agent is at work on it."""
        return self.programming or any(handle.is_busy for handle in self.handles)

    @property
    def is_kept(self) -> bool:
        """Return whether the row must stay even when the device no longer reports it."""
        return self.unsettled or any(handle.is_kept for handle in self.handles)


@dataclass(frozen=True, slots=True)
class RecordedDevice:
    """A row of a device, with its deployables."""

    id: int
    uuid: str
    #: As it was last reported, without deployables.
    report: DeviceReport
    presence: Presence
    status: DeviceStatus = DeviceStatus.ENABLED
    absence: Absence = Absence()
    memory: Memory = field(default_factory=Memory)
    deployables: tuple[RecordedDeployable, ...] = ()

    @property
    def is_busy(self) -> bool:
        """Return whether an agent is at work on it: what it lacks meanwhile says nothing."""
        return any(part.is_busy for part in self.deployables)

    @property
    def is_held(self) -> bool:
        """Return whether somebody has a part of it, or works on it."""
        return any(part.is_held for part in self.deployables)

    @property
    def is_kept(self) -> bool:
        """Return whether the row must stay though the device is gone: because of what it was
        given out for, or of what an operator said of it."""
        return (
            self.status is not DeviceStatus.ENABLED
            or bool(self.memory)
            or any(part.is_kept or part.words for part in self.deployables)
        )
