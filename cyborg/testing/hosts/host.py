"""A host that is being built."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from cyborg.testing.hosts.functions import PciFunction
from cyborg.testing.hosts.manifest import DeviceEntry, NoteEntry
from cyborg.testing.hosts.tree import Tree


class FakeHost(Tree):
    """A tree that is being built, and what is true of it."""

    def __init__(self, root: Path) -> None:
        """Make a host without hardware."""
        super().__init__(root)
        self.make_base()
        self.devices: list[DeviceEntry] = []
        self.notes: list[NoteEntry] = []

    def expect(self, **device: Unpack[DeviceEntry]) -> None:
        """Say of a device that it must be found."""
        self.devices.append(device)

    def expect_no(self, address: str, why: str) -> None:
        """Say of a function that it must not be reported."""
        self.notes.append({"address": address, "must_not_be_reported": why})

    def note(self, **note: Unpack[NoteEntry]) -> None:
        """Say what else there is to know."""
        self.notes.append(note)

    def add_chipset(self) -> str:
        """Add what every server has and no driver reports; return the first root bus."""
        self.add_numa_node(0, "0-63")
        root_bus = self.add_root_bus(0)
        system = PciFunction("8086:09a2", "088000", revision="04", reset_methods=None, speed=None)
        self.add_function("0000:00:00.0", root_bus, system)
        port = self.add_port("0000:00:1c.5", root_bus, "8086:1bbd")
        bridge = PciFunction(
            "1a03:1150", "060400", revision="06", reset_methods=None, speed=None, is_bridge=True
        )
        display = PciFunction(
            "1a03:2000",
            "030000",
            subsystem="1a03:2000",
            revision="52",
            driver="ast",
            reset_methods="pm",
            speed=None,
        )
        behind = self.add_function("0000:02:00.0", port, bridge)
        path = self.add_function("0000:03:00.0", behind, display)
        self.write(f"{path}/boot_vga", "1\n")
        self.expect_no("0000:03:00.0", "BMC display adapter (boot_vga=1)")
        return root_bus
