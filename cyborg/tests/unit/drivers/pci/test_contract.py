"""The contract, asked of the pci driver."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from oslo_config import cfg

from cyborg.drivers.contract import Driver, DriverEnvironment
from cyborg.drivers.pci.driver import PciDriver
from cyborg.testing.drivers import Machine, UnreadableDeviceConformance
from cyborg.testing.hosts import FakeHost, PciFunction, Sriov


class TestPciContract(UnreadableDeviceConformance):
    driver_class: ClassVar[type[Driver]] = PciDriver

    def populate(self, directory: Path) -> None:
        host = FakeHost(directory / "root")
        host.add_chipset()
        for bus in (0x21, 0x31):
            card = PciFunction("1e52:401e", "120000", driver="acme")
            host.add_function(f"0000:{bus:02x}:00.0", host.add_root_bus(bus), card)
        sriov = Sriov(4, "1889", offset=8)
        card = PciFunction("8086:1592", "020000", driver="ice", sriov=sriov)
        path = host.add_function("0000:41:00.0", host.add_root_bus(0x41), card)
        host.add_vfs(path, 4, PciFunction("8086:1889", "020000"))

    def options(self, directory: Path) -> Mapping[str, Mapping[str, object]]:
        whitelist = ['{"vendor_id": "1e52"}', '{"vendor_id": "8086", "product_id": "1889"}']
        return {"pci": {"passthrough_whitelist": whitelist}}

    def environment(self, conf: cfg.ConfigOpts, directory: Path) -> DriverEnvironment:
        return Machine(directory / "root", directory / "state", conf).environment()

    def spoil(self, directory: Path) -> None:
        (directory / "root/sys/bus/pci/devices/0000:31:00.0/vendor").unlink()
