"""Memory that is a device: on CXL, and persistent."""

from __future__ import annotations

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.functions import GIB, KIB, PciFunction
from cyborg.testing.hosts.host import FakeHost

_NVDIMM_BUS = "nd"  # codespell:ignore nd
_BUS = "sys/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0012:00/ndbus0"
_CXL_SIZE = 256 * GIB
_PMEM_SIZE = 1008 * GIB


@scenario("cxl-pmem", "one CXL type-3 memory device and two Optane NVDIMMs")
def cxl_and_persistent(host: FakeHost) -> None:
    """A PCI function with memory, and modules of memory that are no PCI functions."""
    host.add_chipset()
    _add_cxl(host)
    for index in range(2):
        _add_module(host, index)
    region = f"{_BUS}/region0"
    values = {
        "size": _PMEM_SIZE,
        "available_size": _PMEM_SIZE,
        "mappings": 2,
        "nstype": 4,
        "numa_node": 0,
        "set_cookie": "0x1",
    }
    host.attributes(region, values)
    host.add_bus_link(_NVDIMM_BUS, "region0", region)
    host.expect(address="0000:35:00.0", kind="cxl-mem", size=_CXL_SIZE)
    host.expect(address="region0", kind="pmem", size=_PMEM_SIZE)


def _add_cxl(host: FakeHost) -> None:
    function = PciFunction(
        "8086:0d93", "050210", subsystem="8086:0000", driver="cxl_pci", bars=(64 * KIB,)
    )
    path = f"{host.add_function('0000:35:00.0', host.add_root_port(0x34), function)}/mem0"
    values = {
        "firmware_version": "BWFW VERSION 00",
        "serial": "0x1234abcd00000001",
        "numa_node": 0,
        "ram/size": f"0x{_CXL_SIZE:x}",
        "pmem/size": "0x0",
        "security/state": "disabled",
    }
    host.attributes(path, values)
    host.triggers(f"{path}/security", "sanitize", "erase")
    host.link(f"{path}/subsystem", "sys/bus/cxl")
    host.add_bus_link("cxl", "mem0", path)


def _add_module(host: FakeHost, index: int) -> None:
    name = f"nmem{index}"
    values = {
        "state": "idle",
        "security": "disabled",
        "available_slots": 2,
        "nfit/handle": f"0x{1 + 0x10 * index:x}",
        "nfit/phys_id": "0x10",
        "nfit/flags": "",
        "nfit/serial": f"0x0000ab{index:02x}",
        "nfit/id": f"8089-a2-1919-0000ab{index:02x}",
    }
    host.attributes(f"{_BUS}/{name}", values, 0o644)
    host.add_bus_link(_NVDIMM_BUS, name, f"{_BUS}/{name}")
