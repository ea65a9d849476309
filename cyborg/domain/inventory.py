"""What an agent reports of its host, as values, on the wire, and as a digest.

Drivers make these, the agent sends them, the conductor applies them. The wire form
is plain JSON and is checked against a schema on arrival, since an agent may be old,
new, or broken; what fails the check changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import jsonschema

from cyborg.domain.errors import ReportRefused


def canonical(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@dataclass(frozen=True, slots=True)
class HandleReport:
    """One thing that an instance can be given."""

    #: How it is attached; :mod:`cyborg.domain.handle_types` says what Nova can do with it.
    type: str
    #: Strings only; ``domain``, ``bus``, ``device``, ``function`` in hexadecimal without 0x.
    info: Mapping[str, str]

    @property
    def key(self) -> tuple[str, str]:
        """Return what makes this handle unique within its deployable."""
        return self.type, canonical(dict(self.info))


@dataclass(frozen=True, slots=True)
class DeployableReport:
    """A part of a device that is allocated as a unit: one resource provider."""

    #: Also the provider's name, so unique in the cloud: ``<host>_<address>`` for most.
    name: str
    resource_class: str
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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one scan of a host found, and which drivers could not look."""

    devices: tuple[DeviceReport, ...] = ()
    failed_drivers: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return plain JSON data, in an order that does not depend on the scan's."""
        devices = sorted((asdict(device) for device in self.devices), key=canonical)
        wire = {"devices": devices, "failed_drivers": sorted(self.failed_drivers)}
        return dict(json.loads(json.dumps(wire)))

    def digest(self) -> str:
        """Return a SHA-256 over the canonical wire form: equal if and only if nothing changed."""
        return hashlib.sha256(canonical(self.to_wire()).encode()).hexdigest()


def snapshot_from_wire(wire: object) -> Snapshot:
    """Check and return a snapshot.

    :raises ReportRefused: it breaks the schema, or names a device, deployable or
        handle twice.
    """
    error = jsonschema.exceptions.best_match(_VALIDATOR.iter_errors(wire))
    if error is not None:
        raise ReportRefused(f"report refused at {error.json_path}: {error.message[:300]}")
    assert isinstance(wire, dict)
    snapshot = Snapshot(
        devices=tuple(_device(item) for item in wire["devices"]),
        failed_drivers=tuple(wire["failed_drivers"]),
    )
    _refuse_duplicates(snapshot)
    return snapshot


def _device(wire: Mapping[str, Any]) -> DeviceReport:
    deployables = tuple(
        DeployableReport(
            **{
                **item,
                "traits": tuple(item["traits"]),
                "handles": tuple(HandleReport(**handle) for handle in item["handles"]),
            }
        )
        for item in wire["deployables"]
    )
    return DeviceReport(**{**wire, "deployables": deployables})


def _refuse_duplicates(snapshot: Snapshot) -> None:
    deployables = [part for device in snapshot.devices for part in device.deployables]
    names: Iterator[tuple[str, list[Any]]] = iter(
        [
            ("device identity", [device.identity for device in snapshot.devices]),
            ("deployable name", [part.name for part in deployables]),
            *(
                (f"handle of {part.name}", [handle.key for handle in part.handles])
                for part in deployables
            ),
        ]
    )
    for what, values in names:
        if len(values) != len(set(values)):
            raise ReportRefused(f"report refused: a {what} is there twice")


def _text(limit: int, minimum: int = 1) -> dict[str, Any]:
    return {"type": "string", "minLength": minimum, "maxLength": limit}


def _object(properties: Mapping[str, Any], optional: Collection[str] = ()) -> dict[str, Any]:
    """Return the schema of an object. What agents of the release before lack is optional."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _facts(limit: int) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": _text(limit, 0), "maxProperties": 64}


_UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
# Of devices and of handles. By form only: which ones there are is the drivers'.
_TYPE = {"type": "string", "pattern": r"^[A-Z0-9_]{1,16}\Z"}
_HANDLE = _object({"type": _TYPE, "info": _facts(255)})
_DEPLOYABLE = _object(
    {
        "name": _text(200),
        "resource_class": {"type": "string", "pattern": "^[A-Z0-9_]{1,255}$"},
        "num_accelerators": {"type": "integer", "minimum": 0, "maximum": 4096},
        "driver_name": _text(255),
        "traits": {
            "type": "array",
            "maxItems": 64,
            "items": {"type": "string", "pattern": "^[A-Z0-9_]{1,255}$"},
        },
        "handles": {"type": "array", "maxItems": 4096, "items": _HANDLE},
        "needs_prepare": {"type": "boolean"},
        "needs_release": {"type": "boolean"},
        "programmable": {"type": "boolean"},
        "bitstream_id": {"type": ["string", "null"], "pattern": _UUID, "maxLength": 36},
    },
    optional=("programmable", "bitstream_id"),
)
_DEVICE = _object(
    {
        "driver": _text(255),
        "identity": _text(255),
        "type": _TYPE,
        "vendor": _text(255),
        "model": _text(255),
        "std_board_info": _facts(255),
        "vendor_board_info": _facts(255),
        "control_path": _facts(255),
        "deployables": {"type": "array", "maxItems": 1024, "items": _DEPLOYABLE},
    }
)
_VALIDATOR = jsonschema.Draft202012Validator(
    _object(
        {
            "devices": {"type": "array", "maxItems": 1024, "items": _DEVICE},
            "failed_drivers": {"type": "array", "maxItems": 64, "items": _text(255)},
        }
    )
)
