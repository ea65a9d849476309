"""FPGA cards of the device feature list: FPGA management engine, regions, ports.

Requests by ioctl cannot be shown: to release a port, to program a region.
"""

from __future__ import annotations

from dataclasses import dataclass

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.functions import KIB, MIB, PciFunction, Sriov
from cyborg.testing.hosts.host import FakeHost

#: The native loopback function.
_LOOPBACK = "d8424dc4a4a3c413f89e433683f9040b"
_LOOPBACK_UUID = "d8424dc4-a4a3-c413-f89e-433683f9040b"

_D5005_BITSTREAM = 0x2000002000000237
_D5005_INTERFACE = "bfac4d851ee856fe8c95865ce1bbaa2d"
_D5005_INTERFACE_UUID = "bfac4d85-1ee8-56fe-8c95-865ce1bbaa2d"

_FPGAINFO = f"""\
Intel FPGA Programmable Acceleration Card D5005
Board Management Controller, MAX10 NIOS FW version: 2.0.13\x20
Board Management Controller, MAX10 Build version: 2.0.8\x20
//****** FME ******//
Object Id                        : 0xF000000
PCIe s:b:d.f                     : 0000:3B:00.0
Vendor Id                        : 0x8086
Device Id                        : 0x0B2B
SubVendor Id                     : 0x8086
SubDevice Id                     : 0x138D
Socket Id                        : 0x00
Ports Num                        : 01
Bitstream Id                     : 0x{_D5005_BITSTREAM:x}
Pr Interface Id                  : {_D5005_INTERFACE_UUID}
Boot Page                        : user
"""


@dataclass(frozen=True, slots=True)
class _Engine:
    """The management engine of a card, and what it manages."""

    #: Which of the host's it is.
    number: int
    #: The number of its first region; those of the functions follow.
    first_region: int
    #: What bitstreams must be made for.
    interface: str
    #: What each region holds; None: its port is released to a virtual function.
    functions: tuple[str | None, ...]
    bitstream_id: int
    #: In thousandths of a degree.
    temperature: int


@scenario("pac-d5005", "Intel FPGA PAC D5005: DFL FME, one region, one port with an AFU")
def d5005(host: FakeHost) -> None:
    """One card with one region."""
    host.add_chipset()
    card = host.add_function("0000:3b:00.0", host.add_root_port(0x3A), _d5005())
    engine = _Engine(0, 0, _D5005_INTERFACE, (_LOOPBACK,), _D5005_BITSTREAM, 45000)
    _add_engine(host, card, engine)
    host.tool("fpgainfo.fme.txt", _FPGAINFO)
    host.expect(
        address="0000:3b:00.0",
        kind="fpga",
        vendor="8086",
        product="0b2b",
        model="Intel FPGA PAC D5005",
        resource_class="FPGA",
        attach="PCI",
        regions=[{"id": _D5005_INTERFACE_UUID, "function": _LOOPBACK_UUID}],
    )


def _d5005() -> PciFunction:
    return PciFunction(
        "8086:0b2b",
        "120000",
        subsystem="8086:138d",
        revision="01",
        driver="dfl-pci",
        bars=(512 * KIB, 0, 64 * MIB),
        sriov=Sriov(1, "b2c"),
    )


@scenario(
    "dfl-two-regions",
    "a Silicom N5010 (FME, two regions with different functions) and a PAC D5005 "
    "whose port is released to a VF",
)
def two_regions(host: FakeHost) -> None:
    """A card with two regions, and one whose region a virtual function has."""
    host.add_chipset()
    _add_n5010(host)
    card = host.add_function("0000:5b:00.0", host.add_root_port(0x5A), _d5005())
    engine = _Engine(1, 3, _D5005_INTERFACE, (None,), _D5005_BITSTREAM, 44000)
    _add_engine(host, card, engine)
    virtual = PciFunction("8086:0b2c", "120000", subsystem="8086:138d", driver="vfio-pci")
    [vf] = host.add_vfs(card, 1, virtual)
    host.expect(
        address="0000:5b:00.0",
        kind="fpga",
        vendor="8086",
        product="0b2b",
        resource_class="FPGA",
        attach="PCI",
        attach_address=vf.address,
        regions=[{"id": _D5005_INTERFACE_UUID, "function": None}],
        note="a port that is released shows no function: not an error",
    )


def _add_n5010(host: FakeHost) -> None:
    function = PciFunction(
        "1c2c:1000",
        "120000",
        subsystem="1c2c:1000",
        driver="dfl-pci",
        bars=(512 * KIB, 0, 64 * MIB),
    )
    card = host.add_function("0000:1f:00.0", host.add_root_port(0x1E), function)
    # That it has two ports, and all of its ids, is invented.
    interface = "0b4e2f5f5d1b4f3ea0a1f8f1b6c5a7d3"
    interface_uuid = "0b4e2f5f-5d1b-4f3e-a0a1-f8f1b6c5a7d3"
    functions = ("f7df405cbd7acf7222f144b0b93acd18", _LOOPBACK)
    _add_engine(host, card, _Engine(0, 0, interface, functions, 0x5010202000000A12, 51000))
    host.expect(
        address="0000:1f:00.0",
        kind="fpga",
        vendor="1c2c",
        product="1000",
        model="Silicom N5010",
        resource_class="FPGA",
        attach="PCI",
        regions=[
            {
                "id": interface_uuid,
                "function": "f7df405c-bd7a-cf72-22f1-44b0b93acd18",
                "port": 0,
            },
            {"id": interface_uuid, "function": _LOOPBACK_UUID, "port": 1},
        ],
        note="one PF, two regions: each is a deployable, and only one of them can be attached "
        "by the PF; region and fpga numbers are not stable across boots",
    )


def _add_engine(host: FakeHost, card: str, engine: _Engine) -> None:
    """Add the engine of a card, its manager, its regions and its ports."""
    number, first = engine.number, engine.first_region
    static_region = f"{card}/fpga_region/region{first}"
    host.add_class_link("fpga_region", f"region{first}", static_region)
    host.link(f"{static_region}/device", card)
    path = f"{static_region}/dfl-fme.{number}"
    values = {
        "ports_num": len(engine.functions),
        "bitstream_id": f"0x{engine.bitstream_id:x}",
        "bitstream_metadata": "0x120030220210202",
        "cache_size": 0,
        "fabric_version": 0,
        "socket_id": 0,
        "dev": f"240:{number}",
    }
    host.attributes(path, values)
    host.link(f"{path}/subsystem", "sys/bus/platform")
    host.add_bus_link("platform", f"dfl-fme.{number}", path)
    host.node(f"dfl-fme.{number}")
    _add_engine_errors(host, path)
    _add_sensors(host, path, engine.temperature)
    manager = f"{path}/dfl-fme-mgr.{number}/fpga_manager/fpga{number}"
    host.attributes(manager, {"name": "DFL FME FPGA Manager", "state": "operating", "status": ""})
    host.add_class_link("fpga_manager", f"fpga{number}", manager)
    for index, function in enumerate(engine.functions):
        _add_region(host, path, first + index, engine.interface)
        if function is not None:
            _add_port(host, f"{static_region}/dfl-port.{first + index}", index, function)


def _add_engine_errors(host: FakeHost, engine: str) -> None:
    clearable = ("fme_errors", "pcie0_errors", "pcie1_errors", "inject_errors")
    host.attributes(f"{engine}/errors", dict.fromkeys(clearable, "0x0"), 0o644)
    others = ("first_error", "next_error", "nonfatal_errors", "catfatal_errors")
    host.attributes(f"{engine}/errors", dict.fromkeys(others, "0x0"))


def _add_sensors(host: FakeHost, engine: str, temperature: int) -> None:
    thermal = {
        "name": "dfl_fme_thermal",
        "temp1_input": temperature,
        "temp1_max": 85000,
        "temp1_crit": 95000,
        "temp1_emergency": 100000,
        "temp1_max_alarm": 0,
        "temp1_crit_alarm": 0,
    }
    power = {
        "name": "dfl_fme_power",
        "power1_input": 65000000,
        "power1_max": 110000000,
        "power1_crit": 120000000,
    }
    host.add_hwmon(engine, thermal)
    host.add_hwmon(engine, power)


def _add_region(host: FakeHost, engine: str, number: int, interface: str) -> None:
    name = f"region{number + 1}"
    path = f"{engine}/dfl-fme-region.{number}/fpga_region/{name}"
    host.attributes(path, {"compat_id": interface})
    host.add_class_link("fpga_region", name, path)
    bridge = f"{engine}/dfl-fme-br.{number}/fpga_bridge/br{number}"
    host.attributes(bridge, {"name": "DFL FPGA FME Bridge"})


def _add_port(host: FakeHost, path: str, index: int, function: str) -> None:
    name = path.rpartition("/")[2]
    number = name.rpartition(".")[2]
    values = {
        "id": index,
        "afu_id": function,
        "power_state": "0x0",
        "errors/first_error": "0x0",
        "errors/first_malformed_req": f"0x{0:032x}",
        "dev": f"239:{number}",
    }
    host.attributes(path, values)
    writable = {"ap1_event": 0, "ap2_event": 0, "ltr": 0, "errors/errors": "0x0"}
    host.attributes(path, writable, 0o644)
    host.link(f"{path}/subsystem", "sys/bus/platform")
    host.add_bus_link("platform", name, path)
    host.node(name)
