"""What an audit reads of the database: each table's rows, as far as they can contradict others.

States and conditions are the texts that are stored: what is not in the tables of this release is
one of the things that an audit says. Seconds are by the database's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cyborg.domain.hardware import Share


@dataclass(frozen=True, slots=True)
class RequestFact:
    """An ARQ."""

    id: int
    uuid: str
    state: str
    hostname: str | None
    device_rp_uuid: str | None
    instance_uuid: str | None
    bound_by_service: bool
    #: Seconds since it was bound; None: it is not.
    bound_for: float | None
    generation: int


@dataclass(frozen=True, slots=True)
class HandleFact:
    """An attach handle, with its deployable and its device."""

    id: int
    uuid: str
    #: Name of its own host, and of its device's.
    host: str
    device_host: str
    rp_uuid: str
    device_uuid: str
    hardware: str
    shares: tuple[Share, ...]
    condition: str
    #: Id of the ARQ that owns it.
    owner: int | None
    #: It is unclean, there, and nobody's.
    can_be_cleaned: bool
    #: Seconds since it was changed.
    unchanged_for: float
    generation: int

    @property
    def key(self) -> str:
        """Which hardware it is; see :class:`cyborg.domain.hardware.Occupant`."""
        return self.hardware


@dataclass(frozen=True, slots=True)
class DeviceFact:
    """A device."""

    uuid: str
    host: str
    status: str
    presence: str
    condition: str
    generation: int


@dataclass(frozen=True, slots=True)
class DeployableFact:
    """A deployable."""

    uuid: str
    name: str
    rp_uuid: str
    host: str
    programming_state: str
    programming_job: str | None
    content_unknown: bool
    bitstream_id: str | None
    generation: int


@dataclass(frozen=True, slots=True)
class JobFact:
    """A job, of an agent or about a provider."""

    id: int
    uuid: str
    kind: str
    #: Such as ``arq/<uuid>``.
    subject: str
    host: str
    request: int | None
    handle: int | None
    generation: int
    failures: int
    last_error: str | None
    #: Seconds since anybody may take it; below 0, seconds until then.
    due_for: float
    #: Seconds since its deadline; None: it has none.
    late_for: float | None
    #: Why nobody can do it: its row is not understood.
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class EventFact:
    """A row of the outbox."""

    id: int
    batch: str
    request: int
    request_uuid: str
    instance_uuid: str
    status: str
    state: str
    attempt: int
    #: Seconds since it was written, since it may be sent, and since its deadline.
    age: float
    due_for: float
    late_for: float | None


@dataclass(frozen=True, slots=True)
class HostFact:
    """A host."""

    id: int
    name: str
    #: Seconds since its agent was heard.
    silence: float
    #: Seconds between the reports of that agent, if it said so.
    interval: float | None
    #: Its next report is applied in full.
    is_asked: bool
    withheld: str | None


@dataclass(frozen=True, slots=True)
class CounterFact:
    """A counter of which more is offered than there is."""

    host: str
    name: str
    capacity: int
    #: Key of a handle to what it takes.
    amounts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """The database at one moment."""

    requests: Mapping[int, RequestFact]
    handles: Mapping[int, HandleFact]
    devices: tuple[DeviceFact, ...]
    #: By uuid.
    deployables: Mapping[str, DeployableFact]
    jobs: tuple[JobFact, ...]
    events: tuple[EventFact, ...]
    #: By name.
    hosts: Mapping[str, HostFact]
    counters: tuple[CounterFact, ...]
