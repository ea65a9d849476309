"""What a driver must find on a host, and what it must not.

The driver of a family agrees with a manifest if

* each address of ``devices`` that is of its family is in what it reports, as a control path or
  in a handle, and no address of a note that says ``must_not_be_reported``;
* what it reports is what an entry says: ``resource_class``, ``model``, ``numa``, ``vfs``,
  ``attach_address``, ``healthy``, ``regions``;
* it reports what is not ``attachable`` without a handle, and says why.

For that it is configured to take every device of its family, and not at all otherwise. It has the
``allow_list`` of a note, where there is one; for each card that is divided into vGPUs the
type of ``created``, ``current`` or ``free_of_type``, else the last of ``available``; and a
physical network for each port of a network card.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Required, TypedDict

_FILE = "manifest.json"


class RegionEntry(TypedDict, total=False):
    """A region of an FPGA that can be programmed alone."""

    #: What a bitstream must be made for.
    id: Required[str]
    #: Which function it holds; None: it does not show any.
    function: Required[str | None]
    port: int


class DeviceEntry(TypedDict, total=False):
    """A device that must be found. None: it cannot be known. What is missing is not said."""

    #: Of its PCI function; a name where it is none.
    address: Required[str]
    kind: str
    vendor: str
    product: str
    model: str | None
    serial: str
    numa: int | None
    driver: str
    resource_class: str
    #: The type that a handle would have, which is no promise of one.
    attach: str
    #: What an instance is given, where it is another function.
    attach_address: str
    #: False: found, and not offered; ``reason`` is for people.
    attachable: bool
    reason: str
    healthy: bool | None
    #: Functions that are parts of this device.
    companion: str
    companions: list[str]
    #: In which of its ways it is divided.
    mode: str
    vfs: list[str]
    vfs_enabled: bool
    mig: bool
    partition: list[str]
    #: vGPUs that are there, and of which types there can be more.
    created: dict[str, int] | dict[str, str]
    current: dict[str, int]
    available: dict[str, int]
    free_of_type: dict[str, int]
    managed: str
    memory_mib: int
    size: int
    fabric_module: int
    module: int | None
    npu: int
    regions: list[RegionEntry]
    function: str | None
    shell: str | None
    shell_uuid: str
    state: str | None
    services: list[str] | None
    ifname: str
    eswitch: str
    trusted: list[str]
    ddp: str
    note: str | None


class NoteEntry(TypedDict, total=False):
    """What else there is to know of a host."""

    address: str
    #: Why the device at the address must not be reported.
    must_not_be_reported: str
    #: What the operator allows, where drivers report only that.
    allow_list: list[dict[str, str]]
    note: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is true of a host, as ``manifest.json`` says it."""

    scenario: str
    description: str
    devices: tuple[DeviceEntry, ...]
    notes: tuple[NoteEntry, ...]

    @classmethod
    def read(cls, root: Path) -> Manifest:
        """Return the manifest of a host that has been built."""
        content = json.loads((root / _FILE).read_bytes())
        devices, notes = (tuple(content.pop(key)) for key in ("devices", "notes"))
        return cls(devices=devices, notes=notes, **content)

    def write(self, root: Path) -> None:
        """Write ``manifest.json``."""
        text = json.dumps(asdict(self), indent=1, sort_keys=True)
        (root / _FILE).write_text(f"{text}\n")
