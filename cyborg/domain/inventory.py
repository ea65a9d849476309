"""What an agent reports of its host, as values, on the wire, and as a digest.

Drivers make these, the agent sends them, the conductor applies them. Both check each device on
its own (:mod:`cyborg.domain.report_check`), since a driver may be wrong and an agent may be old,
new or broken: one bad device costs itself, and never its host.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cyborg.domain.hardware import Share, canonical
from cyborg.domain.model import DeviceCondition


@dataclass(frozen=True, slots=True)
class HandleReport:
    """One thing that an instance can be given."""

    #: How it is attached; :mod:`cyborg.domain.handle_types` says what Nova can do with it.
    type: str
    #: Strings only; ``domain``, ``bus``, ``device``, ``function`` in hexadecimal without 0x.
    #: It may change while somebody has the handle.
    info: Mapping[str, str]
    #: Which hardware it is, and stays whatever becomes of ``info``. Empty for PCI functions,
    #: whose address says it, and where all of ``info`` does.
    key: str = ""
    #: What it occupies beside itself: a virtual function a share of its physical function, a
    #: slice a share of its card. Its own function counts without being named.
    shares: tuple[Share, ...] = ()


@dataclass(frozen=True, slots=True)
class DeployableReport:
    """A part of a device that is allocated as a unit: one resource provider."""

    #: Also the provider's name, so unique in the cloud: ``<host>_<address>`` for most.
    name: str
    resource_class: str
    #: As many as there are handles.
    num_accelerators: int
    #: The vendor's short name as clients see it (``fake``, ``intel``); not the entry point.
    driver_name: str
    traits: tuple[str, ...] = ()
    handles: tuple[HandleReport, ...] = ()
    #: The driver's ``prepare`` must run before an instance gets a handle.
    needs_prepare: bool = False
    #: The driver's ``release`` must run before a used handle is free again.
    needs_release: bool = False
    #: The driver's ``program`` can be called for it.
    programmable: bool = False
    #: The image that it was programmed with, where the driver can tell. None says nothing.
    bitstream_id: str | None = None
    #: It holds no image, and the driver can tell: a card that lost power, for instance.
    is_empty: bool = False

    def attributes(self) -> tuple[tuple[str, str], ...]:
        """Return the attributes that clients see: ``traitN`` for each trait, and ``rc``."""
        traits = [(f"trait{n}", name) for n, name in enumerate(self.traits, start=1)]
        return (*traits, ("rc", self.resource_class))


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """A physical card."""

    #: Entry point name of the driver that found it.
    driver: str
    #: Serial number or UUID where one can be read, else the address. Unique on its host.
    identity: str
    #: What it is: ``FPGA``, ``GPU``. ``NIC`` is everything that carries the traffic of others:
    #: only the administrator of the cloud may program it.
    type: str
    vendor: str
    model: str
    std_board_info: Mapping[str, str] = field(default_factory=dict)
    vendor_board_info: Mapping[str, str] = field(default_factory=dict)
    #: How the agent addresses the card: the PCI address of its physical function.
    control_path: Mapping[str, str] = field(default_factory=dict)
    deployables: tuple[DeployableReport, ...] = ()
    condition: DeviceCondition = DeviceCondition.UNMONITORED
    #: Why it is so, in plain words that stay the same while it is so: no counts, no times.
    condition_reason: str | None = None


@dataclass(frozen=True, slots=True)
class UnseenDevice:
    """A device that could not be looked at, though its driver could look."""

    driver: str
    identity: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one scan of a host found, and where it could not look."""

    devices: tuple[DeviceReport, ...] = ()
    #: Drivers that could not look: none of their devices counts as absent.
    failed_drivers: tuple[str, ...] = ()
    #: Devices that do not count as absent.
    unseen: tuple[UnseenDevice, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON data, in an order that does not depend on the scan's."""
        wire = {
            "devices": sorted((asdict(device) for device in self.devices), key=canonical),
            "failed_drivers": sorted(self.failed_drivers),
            "unseen": sorted((asdict(unseen) for unseen in self.unseen), key=canonical),
        }
        return dict(json.loads(json.dumps(wire)))

    def digest(self) -> str:
        """Return what is equal if and only if nothing changed; see :func:`digest_of`."""
        return digest_of(self.to_wire())


def digest_of(wire: object) -> str:
    """Return a SHA-256 over a report as it crossed, fields that nobody here knows included."""
    return hashlib.sha256(canonical(wire).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A device, or a part of one, that is not in a report as it was made, and why."""

    #: Whose driver it is; None if that cannot be read.
    driver: str | None
    #: Which device; None if that cannot be read.
    identity: str | None
    why: str
    #: The device itself is in the report, without a part of it.
    partly: bool = False
    #: Whose driver has it instead, which may be the same; None if nobody has.
    holder: str | None = None
    #: The keys of the handles that it loses; empty where all of it is left out as it is.
    hardware: tuple[str, ...] = ()

    @property
    def is_of_others(self) -> bool:
        """Return whether another driver has it: nothing is wrong with this one's device."""
        return self.holder is not None and self.holder != self.driver

    def __str__(self) -> str:
        whole = f"device {self.identity or '(unknown)'}"
        return f"{'a part of ' if self.partly else ''}{whole} left out: {self.why}"
