"""What the kernel shows of a host: ``sys``, and some of ``dev`` and ``proc``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cyborg.testing.hosts.files import Files
from cyborg.testing.hosts.functions import PciFunction, attributes_of
from cyborg.testing.hosts.identifiers import PciAddress

FUNCTIONS = "sys/bus/pci/devices"
DRIVERS = "sys/bus/pci/drivers"
GROUPS = "sys/kernel/iommu_groups"

_NODES = "sys/devices/system/node"
_HWMON = "sys/class/hwmon"


@dataclass(frozen=True, slots=True)
class VirtualFunction:
    """A virtual function that is there."""

    index: int
    address: str
    path: str


class Tree(Files):
    """A host's directory, and how hardware is added to it."""

    def __init__(self, root: Path) -> None:
        """Take a directory, with or without hardware in it."""
        super().__init__(root)
        self._groups = 1 + max(map(int, self.names_in(GROUPS)), default=-1)
        self._hwmons = len(self.names_in(_HWMON))

    def make_base(self) -> None:
        """Make what is there without any hardware."""
        for path in ("sys/devices", "sys/class", "sys/module", "proc", "tools", "dev"):
            self.directory(path)
        for path in (FUNCTIONS, DRIVERS, GROUPS):
            self.directory(path)
        self.triggers("sys/bus/pci", "rescan", "drivers_probe")
        self.write("sys/bus/pci/drivers_autoprobe", "1\n")

    def add_numa_node(self, node: int, cpus: str) -> None:
        """Add a NUMA node with a list of processors: ``0-63``."""
        self.write(f"{_NODES}/node{node}/cpulist", f"{cpus}\n")
        nodes = [name.removeprefix("node") for name in self.names_in(_NODES)]
        last = max(int(name) for name in nodes if name.isdigit())
        self.write(f"{_NODES}/online", f"0-{last}\n" if last else "0\n")

    def add_iommu_group(self, number: int | None = None) -> int:
        """Add an IOMMU group, the next one if no number is given; return its number."""
        if number is None:
            number = self._groups
        self._groups = max(self._groups, number + 1)
        path = f"{GROUPS}/{number}"
        self.directory(f"{path}/devices")
        self.write(f"{path}/type", "DMA-FQ\n", 0o644)
        self.write(f"{path}/reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n")
        return number

    def add_vfio_node(self, group: int) -> None:
        """Add the nodes through which a process uses the devices of a group."""
        self.node(f"vfio/{group}")
        self.node("vfio/vfio", 0o666)

    def add_driver(self, name: str, module: str | None = None) -> str:
        """Add a driver of PCI functions and its module, if it is not there."""
        path = f"{DRIVERS}/{name}"
        if not (self.root / path).is_dir():
            self.triggers(path, "bind", "unbind", "new_id", "remove_id", "uevent")
            module_path = f"sys/module/{(module or name).replace('-', '_')}"
            self.attributes(module_path, {"refcnt": 0, "initstate": "live"})
            self.link(f"{path}/module", module_path)
            self.link(f"{module_path}/drivers/pci:{name}", path)
        return path

    def add_class_link(self, of_class: str, name: str, target: str) -> None:
        """Make a thing known as one of its class: ``/sys/class/drm/card0``."""
        self.link(f"sys/class/{of_class}/{name}", target)
        self.link(f"{target}/subsystem", f"sys/class/{of_class}")

    def add_class_device(self, parent: str, of_class: str, name: str, numbers: str) -> str:
        """Add a thing that has a node, whose numbers are ``226:128``, to a device."""
        path = f"{parent}/{of_class}/{name}"
        self.attributes(path, {"dev": numbers})
        self.add_class_link(of_class, name, path)
        return path

    def add_bus_link(self, bus: str, name: str, target: str) -> None:
        """Make a thing known on its bus: ``/sys/bus/cxl/devices/mem0``."""
        self.link(f"sys/bus/{bus}/devices/{name}", target)

    def add_hwmon(self, parent: str, values: Mapping[str, object]) -> None:
        """Add sensors to a device."""
        name = f"hwmon{self._hwmons}"
        self._hwmons += 1
        path = f"{parent}/hwmon/{name}"
        self.attributes(path, values)
        self.add_class_link("hwmon", name, path)

    def add_root_bus(self, bus: int) -> str:
        """Add a bus that is the processor's own."""
        path = f"sys/devices/pci0000:{bus:02x}"
        self.directory(f"{path}/power")
        return path

    def add_port(self, address: str, parent: str, ids: str = "8086:352a", numa: int = 0) -> str:
        """Add a port of PCI Express, behind which a function can be."""
        function = PciFunction(
            ids,
            "060400",
            subsystem="8086:0000",
            revision="04",
            driver="pcieport",
            numa=numa,
            reset_methods="pm",
            is_bridge=True,
        )
        return self.add_function(address, parent, function)

    def add_root_port(
        self, bus: int, slot: str = "00.0", ids: str = "8086:352a", numa: int = 0
    ) -> str:
        """Add a port on a root bus, and the bus if it is not there."""
        return self.add_port(f"0000:{bus:02x}:{slot}", self.add_root_bus(bus), ids, numa)

    def add_function(self, address: str, parent: str, function: PciFunction) -> str:
        """Add a PCI function, with the group and the driver that it has."""
        path = f"{parent}/{address}"
        for attribute in attributes_of(function, PciAddress.parse(address)):
            self.write(f"{path}/{attribute.name}", attribute.content, attribute.mode)
        self.link(f"{path}/subsystem", "sys/bus/pci")
        self.link(f"{FUNCTIONS}/{address}", path)
        if function.driver:
            self.bind(path, function.driver, function.module)
        if function.has_iommu:
            group = self.add_iommu_group(function.iommu_group)
            self.link(f"{path}/iommu_group", f"{GROUPS}/{group}")
            self.link(f"{GROUPS}/{group}/devices/{address}", path)
            if function.on_vfio:
                self.add_vfio_node(group)
        return path

    def bind(self, path: str, driver: str, module: str | None = None) -> None:
        """Link a function and its driver, which is added if it is not there."""
        driver_path = self.add_driver(driver, module)
        self.link(f"{path}/driver", driver_path)
        self.link(f"{driver_path}/{path.rpartition('/')[2]}", path)

    def add_vfs(
        self,
        path: str,
        count: int,
        function: PciFunction,
        each: Callable[[VirtualFunction], None] | None = None,
    ) -> list[VirtualFunction]:
        """Add virtual functions to a physical one, which says where they are.

        :param each: adds what belongs to one of them, before the next one is added.
        """
        parent, _, physical = path.rpartition("/")
        virtual = replace(function, speed=None, reset_methods="flr", is_virtual=True)
        offset, stride = (int(self.read(f"{path}/sriov_{name}")) for name in ("offset", "stride"))
        added = []
        for index in range(count):
            address = str(PciAddress.parse(physical).virtual_function(index, offset, stride))
            vf = VirtualFunction(index, address, self.add_function(address, parent, virtual))
            self.link(f"{vf.path}/physfn", path)
            self.link(f"{path}/virtfn{index}", vf.path)
            if each:
                each(vf)
            added.append(vf)
        self.write(f"{path}/sriov_numvfs", f"{count}\n", 0o644)
        return added
