"""The fake driver's devices: one a host, which do what its configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hardware import Hardware

#: [fake_driver] as it is between the flows.
BETWEEN_FLOWS: Mapping[str, Any] = {
    "devices": 1,
    "handles": 16,
    "prepare_delay": 0,
    "prepare_failures": 0,
    "release_delay": 0,
    "release_failures": 0,
}


class FakeDevices(Hardware):
    """Changes are options of the driver."""

    driver: ClassVar[str] = "fake_driver"
    resource_class: ClassVar[str] = "FPGA"
    traits: ClassVar[frozenset[str]] = frozenset({"CUSTOM_FAKE_DEVICE"})
    attach_type: ClassVar[str] = "TEST_PCI"

    _options: Mapping[str, Any] = BETWEEN_FLOWS

    def totals(self, host: str) -> dict[str, int]:
        """See :class:`Hardware`."""
        return {f"{host}_FakeDevice": int(self._options["handles"])}

    def needs(self) -> tuple[bool, bool]:
        """See :class:`Hardware`."""
        options = self._options
        prepare = bool(options["prepare_delay"] or options["prepare_failures"])
        release = bool(options["release_delay"] or options["release_failures"])
        return prepare, prepare or release

    def build(self) -> None:
        """See :class:`Hardware`."""
        self._options = BETWEEN_FLOWS

    def change(self, **changes: Any) -> bool:
        """See :class:`Hardware`."""
        before, self._options = self._options, {**BETWEEN_FLOWS, **changes}
        return before != self._options

    def mark(self) -> None:
        """See :class:`Hardware`. Nothing is recorded of it."""

    def settings(self) -> dict[str, dict[str, Any]]:
        """See :class:`Hardware`."""
        return {"fake_driver": dict(self._options)}

    def agent(self, commands: Path, host: str) -> list[str]:
        """See :class:`Hardware`."""
        return [str(commands / "cyborg-agent")]
