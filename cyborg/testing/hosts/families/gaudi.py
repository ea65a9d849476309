"""Gaudi accelerators. There is none of the third generation."""

from __future__ import annotations

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.functions import GIB, MIB, PciFunction
from cyborg.testing.hosts.host import FakeHost
from cyborg.testing.hosts.identifiers import invented_uuid

_BUSES = (0x19, 0x1A, 0x33, 0x34, 0x9A, 0x9B, 0xB3, 0xB4)
_IN_RESET = 5

_HL_SMI_COLUMNS = (
    "index, uuid, name, bus_id, module_id, memory.total, memory.used, temperature.aip, power.draw\n"
)


@scenario("gaudi2-8", "8 x Gaudi2 on habanalabs, one in 'In reset' state")
def eight_gaudi2(host: FakeHost) -> None:
    """Eight cards, one of which cannot be used."""
    host.add_chipset()
    host.add_numa_node(0, "0-79")
    host.add_numa_node(1, "80-159")
    lines = []
    for index, bus in enumerate(_BUSES):
        address = f"0000:{bus:02x}:00.0"
        odd = bus & 1
        port = host.add_root_port(bus - 3 - odd, f"{1 + odd:02x}.0", numa=index // 4)
        card = host.add_function(address, port, _card("habanalabs", index // 4))
        _add_nodes(host, card, index)
        _add_attributes(host, card, address, index)
        uuid = invented_uuid("hl", index)
        lines.append(f"{index}, {uuid}, HL-225, {address}, {index}, 98304 MiB, 768 MiB, 34, 98\n")
        host.expect(
            address=address,
            kind="aichip",
            vendor="1da3",
            product="1020",
            model="Intel Gaudi2",
            module=index,
            healthy=index != _IN_RESET,
            attach="PCI",
        )
    host.tool("hl-smi.csv", _HL_SMI_COLUMNS + "".join(lines))


def _card(driver: str, numa: int = 0, override: str | None = None) -> PciFunction:
    return PciFunction(
        "1da3:1020",
        "120000",
        subsystem="1da3:1020",
        revision="01",
        driver=driver,
        override=override,
        numa=numa,
        reset_methods=None,
        bars=(16 * MIB, 0, 64 * MIB, 0, 128 * GIB),
    )


def _add_nodes(host: FakeHost, card: str, index: int) -> None:
    path = host.add_class_device(card, "accel", f"accel{index}", f"261:{index}")
    host.link(f"{path}/device", card)
    host.attributes(f"{card}/infiniband/hbl_{index}", {"node_type": "1: CA"})
    host.attributes(f"{card}/infiniband_verbs/uverbs{index}", {"dev": f"231:{192 + index}"})
    host.node(f"accel/accel{index}", 0o666)
    host.node(f"accel/accel_controlD{index}", 0o666)


def _add_attributes(host: FakeHost, card: str, address: str, index: int) -> None:
    values = {
        "status": "In reset" if index == _IN_RESET else "Operational",
        "device_type": "GAUDI2",
        "module_id": index,
        "pci_addr": address,
        "hard_reset_cnt": 0,
        "soft_reset_cnt": 0,
        "clk_max_freq_mhz": 1650,
        "max_power": 600000,
        "cpucp_ver": "1.21.0-fw-59.2.1.0",
        "cpld_ver": "0x00000010",
    }
    host.attributes(card, values, 0o644)
    host.triggers(card, "hard_reset", "soft_reset")


@scenario(
    "gaudi2-old-kernel",
    "two Gaudi2 under a kernel before 6.2 (class habanalabs), one on vfio-pci",
)
def under_an_old_kernel(host: FakeHost) -> None:
    """A card in a class of its vendor's, and one that only PCI tells of."""
    host.add_chipset()
    address = "0000:0d:00.0"
    card = host.add_function(address, host.add_root_port(0x0C), _card("habanalabs"))
    path = f"{card}/habanalabs/hl0"
    values = {
        "status": "Operational",
        "device_type": "GAUDI2",
        "module_id": 3,
        "pci_addr": address,
        "hard_reset_cnt": 2,
        "soft_reset_cnt": 0,
    }
    host.attributes(path, values, 0o644)
    host.add_class_link("habanalabs", "hl0", path)
    host.link(f"{path}/device", card)
    host.node("hl0", 0o666)
    _expect_one(host, address, 3, True, None)
    given_away = _card("vfio-pci", override="vfio-pci")
    host.add_function("0000:1d:00.0", host.add_root_port(0x1C), given_away)
    _expect_one(host, "0000:1d:00.0", None, None, "on vfio-pci: nothing but PCI can be read")


def _expect_one(
    host: FakeHost, address: str, module: int | None, healthy: bool | None, note: str | None
) -> None:
    host.expect(
        address=address,
        kind="aichip",
        vendor="1da3",
        product="1020",
        model="Intel Gaudi2",
        module=module,
        healthy=healthy,
        attach="PCI",
        note=note,
    )
