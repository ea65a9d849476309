"""The kit on the pci driver."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from cyborg.drivers.contract import Driver
from cyborg.drivers.pci.driver import PciDriver
from cyborg.testing.drivers import HostConformance
from cyborg.testing.drivers.host_conformance import FULL
from cyborg.testing.hosts import Manifest, scenarios
from cyborg.tests.unit.drivers.pci.conftest import entries_of

#: Those that differ for a driver that takes functions as they are.
SHORT = ("pci-groups", "surprise-off", "e810-vfs")


class TestPci(HostConformance):
    driver_class: ClassVar[type[Driver]] = PciDriver
    hosts: ClassVar[tuple[str, ...]] = (
        tuple(sorted(set(scenarios()) - {"many-vfs"})) if FULL else SHORT
    )

    def options(self, manifest: Manifest) -> Mapping[str, Mapping[str, Any]]:
        entries = [{"keeps_data": "allowed", **entry} for entry in entries_of(manifest)]
        return {"pci": {"passthrough_whitelist": [json.dumps(entry) for entry in entries]}}
