"""The records that travel between layers: one frozen dataclass a table.

No ORM object exists; ``cyborg.db`` makes these from rows, and everything
above reads them. Times are aware UTC datetimes, uuids are lower-case strings.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping
from dataclasses import dataclass

from cyborg.domain.states import ArqState


class DeviceStatus(enum.StrEnum):
    """What the operator wants of a device."""

    ENABLED = "enabled"
    MAINTAINING = "maintaining"


class Presence(enum.StrEnum):
    """What discovery last said of a device."""

    PRESENT = "present"
    SUSPECT = "suspect"
    MISSING = "missing"


class Withheld(enum.StrEnum):
    """Why nothing of a host is offered, whatever its devices are like."""

    #: Its agent has not been heard for too long.
    SILENT = "silent"
    #: It was booted, and what its servers have is being prepared again.
    RESTORING = "restoring"


class DeviceCondition(enum.StrEnum):
    """Whether a device that is there works."""

    HEALTHY = "healthy"
    #: It works, and somebody should look at it. Offered.
    DEGRADED = "degraded"
    #: It does not work. Not offered; what has it keeps it.
    FAILED = "failed"
    #: Nobody can tell. Offered.
    UNMONITORED = "unmonitored"


class HandleCondition(enum.StrEnum):
    """Whether a handle can be given out once nobody owns it."""

    READY = "ready"
    #: Nobody knows that it is clean: its device was away when it was to be released, or has
    #: come to where another was. Cleaned as soon as that is possible.
    UNCLEAN = "unclean"
    #: Its cleaning failed; kept from everybody until an operator looks at it.
    QUARANTINED = "quarantined"
    #: The device no longer reports it; removed as soon as nobody owns it.
    VANISHED = "vanished"


class JobKind(enum.StrEnum):
    """The kinds of an agent's work that this release begins, by their names in rows."""

    PREPARE = "prepare"
    RELEASE = "release"
    PROGRAM = "program"
    #: A release for nobody: of a handle that is unclean.
    CLEAN = "clean"
    #: A preparation once more: of a handle whose host was booted while an instance had it.
    RESTORE = "restore"


class ProgrammingState(enum.StrEnum):
    """How the newest programming of a deployable stands."""

    #: It was never programmed by us.
    NONE = "none"
    #: Begun and not ended: no bind takes a handle meanwhile.
    PROGRAMMING = "programming"
    PROGRAMMED = "programmed"
    FAILED = "failed"


#: Nobody gets a deployable if any of these fields has any of these values: it is being
#: programmed, or what it holds is not known. The SQL of ``cyborg.db`` comes from it too.
UNSETTLED_IF: Mapping[str, frozenset[object]] = {
    "programming_state": frozenset({ProgrammingState.PROGRAMMING}),
    "content_unknown": frozenset({True}),
}


#: Nobody gets anything of a device if any of these fields has any of these values; who has
#: something keeps it. The SQL of ``cyborg.db`` comes from it too.
WITHHELD_IF: Mapping[str, frozenset[object]] = {
    "status": frozenset({DeviceStatus.MAINTAINING}),
    "presence": frozenset({Presence.MISSING}),
    "condition": frozenset({DeviceCondition.FAILED}),
}


class ProviderJobKind(enum.StrEnum):
    """What of a provider in Placement must be made as it should be. The conductor's own jobs."""

    #: All of it: that it is there, or gone, below its host's, with what the others are about.
    PROVIDER = "provider"
    INVENTORY = "inventory"
    TRAITS = "traits"


class EventState(enum.StrEnum):
    """Where an outbox row stands."""

    #: No Nova is configured: kept for the reader, never tried.
    NOT_SENT = "not_sent"
    #: To be sent until Nova has it.
    WAITING = "waiting"


class EventStatus(enum.StrEnum):
    """The status of an event as Nova knows it."""

    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Usage:
    """How many attach handles there are of a device or deployable."""

    total: int
    #: Somebody owns them, be it only until they are clean.
    used: int
    #: They can be given out. What is neither used nor free is quarantined or unclean, or its
    #: device, its deployable or its hardware in this shape is given to nobody.
    free: int


@dataclass(frozen=True, slots=True)
class DeviceWork:
    """What an agent is at with a device."""

    #: Of the job: ``release`` and others.
    kind: str
    step: str
    since: datetime.datetime
    percent: int | None


@dataclass(frozen=True, slots=True)
class Device:
    id: int
    uuid: str
    type: str
    vendor: str
    model: str
    std_board_info: str
    vendor_board_info: str
    hostname: str
    status: DeviceStatus
    presence: Presence
    condition: DeviceCondition
    #: In plain words, why the condition is what it is.
    condition_reason: str | None
    created_at: datetime.datetime
    updated_at: datetime.datetime | None
    #: Only where it was asked for.
    usage: Usage | None = None
    #: Only where it was asked for.
    work: tuple[DeviceWork, ...] = ()


@dataclass(frozen=True, slots=True)
class Deployable:
    id: int
    uuid: str
    name: str
    num_accelerators: int
    device_id: int
    device_uuid: str
    resource_class: str
    rp_uuid: str
    driver_name: str
    #: The image that it holds, where that is known.
    bitstream_id: str | None
    #: Its driver can program it.
    programmable: bool
    programming_state: ProgrammingState
    #: In plain words, why the newest programming failed.
    programming_reason: str | None
    #: A programming has begun to write it, and none has succeeded since: nobody gets it.
    content_unknown: bool
    #: ``(key, value)`` in the order they were reported: traits, then the class.
    attributes: tuple[tuple[str, str], ...]
    created_at: datetime.datetime
    updated_at: datetime.datetime | None
    #: Only where it was asked for.
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Attribute:
    id: int
    uuid: str
    deployable_id: int
    deployable_uuid: str
    key: str
    value: str
    created_at: datetime.datetime
    updated_at: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    id: int
    uuid: str
    name: str
    description: str | None
    #: Flat string to string; the position is the group's id.
    groups: tuple[Mapping[str, str], ...]
    created_at: datetime.datetime
    updated_at: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class AttachHandle:
    """What one instance gets: consumed by libvirt or Neutron through Nova."""

    uuid: str
    type: str
    info: Mapping[str, str]


class HandleState(enum.StrEnum):
    """What an attach handle is doing, for its reader."""

    FREE = "free"
    USED = "used"
    #: Nobody sees its ARQ any more, and the agent gives it back and cleans it; or it has none,
    #: and must be cleaned first, once its device is there.
    CLEANING = "cleaning"
    QUARANTINED = "quarantined"
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True)
class ListedHandle:
    """An attach handle of a deployable, for its reader."""

    uuid: str
    type: str
    info: Mapping[str, str]
    state: HandleState
    #: In plain words, what is wrong with it.
    state_reason: str | None
    #: The owner, and the owner's project.
    accelerator_request_uuid: str | None
    project_id: str | None
    created_at: datetime.datetime
    updated_at: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class AcceleratorRequest:
    uuid: str
    state: ArqState
    device_profile_name: str
    device_profile_group_id: int
    #: The group as it was when the ARQ was made.
    group: Mapping[str, str]
    project_id: str | None
    hostname: str | None
    device_rp_uuid: str | None
    instance_uuid: str | None
    #: Bound by a service (Nova) on a service token, not by a user directly.
    bound_by_service: bool
    #: Made by a service (Nova), not by a user directly.
    created_by_service: bool
    bound_at: datetime.datetime | None
    #: In plain words, why a bind or a release failed; else what is wrong with its handle.
    state_reason: str | None
    generation: int
    #: Only while the ARQ is Bound.
    attach_handle: AttachHandle | None
    created_at: datetime.datetime
    updated_at: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class ProviderJob:
    """A leased piece of work on one provider."""

    id: int
    kind: ProviderJobKind
    provider_uuid: str
    #: Name of the host, and of its compute node's provider.
    host: str
    generation: int
    failures: int
    request_id: str | None
    global_request_id: str | None


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of one instance that are sent together."""

    uuid: str
    instance_uuid: str
    status: EventStatus
    request_uuids: tuple[str, ...]
    #: Told again and again, whatever the answer, until a deadline.
    repeated: bool
    #: How often it has been tried, this time included.
    attempt: int
    request_id: str | None
    global_request_id: str | None
    #: How often it has been told in vain, or was to be told again.
    failures: int = 0
