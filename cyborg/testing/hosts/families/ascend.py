"""Ascend accelerators.

On later cards npu-smi prints other columns: what is here is too little to parse it by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.functions import GIB, KIB, MIB, PciFunction
from cyborg.testing.hosts.host import FakeHost

_BUSES = (0xC1, 0x81, 0x41, 0x01, 0xC2, 0x82, 0x42, 0x02)
_CPUS_OF_A_NODE = 48

_FRAME = f"+{'-' * 96}+\n"
_LINE = f"+{'-' * 27}+{'-' * 15}+{'-' * 52}+\n"
_DOUBLE_LINE = _LINE.replace("-", "=")
_HEAD = (
    "| NPU   Name                | Health        "
    "| Power(W)    Temp(C)           Hugepages-Usage(page)|\n"
    "| Chip                      | Bus-Id        "
    "| AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |\n"
)
_TEMPLATES = """\
Name   AICORE  Memory(GB)
vir02  2       2.1
vir04  4       4.3
vir08  8       8.6
vir16  16      17.1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """What ``npu-smi info`` says of a chip. Memory is in MiB."""

    npu: int
    name: str
    address: str
    health: str
    power: str
    temperature: int
    used: int
    total: int

    def __str__(self) -> str:
        return (
            f"| {self.npu:<5} {self.name:<19} | {self.health:<13} "
            f"| {self.power:<11} {self.temperature:<17} 0    / 0             |\n"
            f"| {'0':<25} | {self.address.upper():<13} "
            f"| {'0':<11} {'0    / 0':<17} {self.used:<5}/ {self.total:<13} |\n"
        )


def _npu_smi(rows: Sequence[_Row], version: str) -> str:
    title = f"| npu-smi {version:<24} Version: {version:<53}|\n"
    body = "".join(f"{row}{_DOUBLE_LINE}" for row in rows)
    return _FRAME + title + _LINE + _HEAD + _DOUBLE_LINE + body


@scenario("ascend-910", "arm64 host with 8 x Ascend 910 (19e5:d801), one with Health Warning")
def eight_ascend910(host: FakeHost) -> None:
    """Eight cards on four NUMA nodes."""
    for node in range(4):
        host.add_numa_node(node, _cpus_of(node))
    rows = []
    for index, bus in enumerate(_BUSES):
        node = bus >> 6
        port = host.add_root_port(bus & 0xF0, f"{bus & 0xF:02x}.0", "19e5:a120", node)
        address = f"0000:{bus:02x}:00.0"
        host.add_function(address, port, _ascend910(node))
        host.node(f"davinci{index}", 0o660)
        host.attributes(f"sys/class/davinci/davinci{index}", {"dev": f"235:{index}"})
        row = _Row(
            npu=index,
            name="910A",
            address=address,
            health="Warning" if index == 6 else "OK",
            power=f"{66.2 + index:.1f}",
            temperature=38 + index,
            used=2200 + index,
            total=32768,
        )
        rows.append(row)
        _expect_chip(host, row, "d801", "Ascend 910")
    for name in ("davinci_manager", "devmm_svm", "hisi_hdc"):
        host.node(name, 0o660)
    host.tool("npu-smi.info.txt", _npu_smi(rows, "24.1.rc2.1"))
    host.tool("npu-smi.template-info.txt", _TEMPLATES)
    host.note(
        note="npu-smi prints the bus id in upper case; the template table's "
        "exact columns differ between releases (layout here is ours)"
    )


def _cpus_of(node: int) -> str:
    return f"{_CPUS_OF_A_NODE * node}-{_CPUS_OF_A_NODE * (node + 1) - 1}"


def _ascend910(node: int) -> PciFunction:
    return PciFunction(
        "19e5:d801",
        "120000",
        subsystem="0200:0100",
        revision="20",
        driver="devdrv_device_driver",
        module="drv_pcie_host",
        numa=node,
        cpus=_cpus_of(node),
        reset_methods="bus",
        bars=(128 * KIB, 0, 1 * MIB, 0, 32 * GIB),
    )


def _expect_chip(host: FakeHost, row: _Row, product: str, model: str) -> None:
    host.expect(
        address=row.address,
        kind="aichip",
        vendor="19e5",
        product=product,
        model=model,
        npu=row.npu,
        healthy=row.health == "OK",
        attach="PCI",
    )


@scenario("ascend-310-quad", "one Atlas 300I (3010): four Ascend 310 behind a switch, one Critical")
def four_ascend310(host: FakeHost) -> None:
    """One card with four chips."""
    host.add_chipset()
    switch = "10b5:8747"
    upstream = host.add_port("0000:81:00.0", host.add_root_port(0x80), switch)
    chip = PciFunction(
        "19e5:d100",
        "120000",
        subsystem="0200:0100",
        revision="20",
        driver="devdrv_device_driver",
        module="drv_pcie_host",
        reset_methods="bus",
        bars=(64 * KIB, 0, 1 * MIB, 0, 8 * GIB),
    )
    rows = []
    for index in range(4):
        downstream = host.add_port(f"0000:82:{4 * index:02x}.0", upstream, switch)
        address = f"0000:{0x83 + index:02x}:00.0"
        host.add_function(address, downstream, chip)
        host.node(f"davinci{index}", 0o660)
        row = _Row(
            npu=index,
            name="310",
            address=address,
            health="Critical" if index == 2 else "OK",
            power="12.8",
            temperature=55 + index,
            used=2457,
            total=8192,
        )
        rows.append(row)
        _expect_chip(host, row, "d100", "Ascend 310")
    host.tool("npu-smi.info.txt", _npu_smi(rows, "23.0.rc2"))
