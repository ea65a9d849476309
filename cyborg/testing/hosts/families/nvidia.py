"""NVIDIA's GPUs that are given whole, and what all of NVIDIA's have beside PCI.

NVML cannot be shown, nor partitions of the fabric while they change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.functions import GIB, KIB, MIB, PciFunction, Sriov
from cyborg.testing.hosts.host import FakeHost
from cyborg.testing.hosts.identifiers import PciAddress, invented_uuid

DRIVER_VERSION = "580.159.04"

T4 = PciFunction(
    "10de:1eb8",
    "030200",
    subsystem="10de:12a2",
    revision="a1",
    driver="nvidia",
    bars=(16 * MIB,),
    reset_methods="bus",
)

_H100 = (
    *("0000:1b:00.0", "0000:43:00.0", "0000:52:00.0", "0000:61:00.0"),
    *("0000:9d:00.0", "0000:c3:00.0", "0000:d1:00.0", "0000:df:00.0"),
)
_NVSWITCHES = ("0000:07:00.0", "0000:08:00.0", "0000:09:00.0", "0000:0a:00.0")
_PCI_SWITCH = "1000:c030"

_SMI_COLUMNS = (
    "index, pci.bus_id, uuid, name, serial, memory.total [MiB], memory.used [MiB], "
    "mig.mode.current, ecc.mode.current, temperature.gpu, power.draw [W], driver_version\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmiRow:
    """What ``nvidia-smi --query-gpu`` says of a card."""

    index: int
    address: str
    name: str
    serial: str
    memory_mib: int
    temperature: int
    power: str
    mig: bool = False

    def __str__(self) -> str:
        values = (
            self.index,
            f"0000{self.address.upper()}",
            f"GPU-{invented_uuid('gpu', self.address)}",
            self.name,
            self.serial,
            self.memory_mib,
            0,
            "Enabled" if self.mig else "Disabled",
            "Enabled",
            self.temperature,
            self.power,
            DRIVER_VERSION,
        )
        return ", ".join(map(str, values)) + "\n"


def smi_table(rows: Sequence[SmiRow]) -> str:
    """Return the output of ``nvidia-smi --query-gpu``."""
    return _SMI_COLUMNS + "".join(map(str, rows))


def load_driver(host: FakeHost, version: str = DRIVER_VERSION) -> None:
    """Add NVIDIA's driver."""
    host.add_driver("nvidia")
    host.write("sys/module/nvidia/version", f"{version}\n")
    host.write(
        "proc/driver/nvidia/version",
        f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}\n",
    )
    host.node("nvidiactl", 0o666)


def add_gpu_entry(
    host: FakeHost, address: str, model: str, minor: int, version: str = DRIVER_VERSION
) -> None:
    """Add what the driver says of a card in /proc, and its node."""
    host.write(
        f"proc/driver/nvidia/gpus/{address}/information",
        f"Model: \t\t {model}\n"
        f"IRQ:   \t\t {200 + minor}\n"
        f"GPU UUID: \t GPU-{invented_uuid('gpu', address)}\n"
        "Video BIOS: \t 96.00.89.00.01\n"
        "Bus Type: \t PCIe\n"
        "DMA Size: \t 52 bits\n"
        "DMA Mask: \t 0xfffffffffffff\n"
        f"Bus Location: \t {address}\n"
        f"Device Minor: \t {minor}\n"
        f"GPU Firmware: \t {version}\n"
        "GPU Excluded:\t No\n",
    )
    host.node(f"nvidia{minor}", 0o666)


@scenario("hgx-h100-8gpu", "8 x H100 SXM5 + 4 NVSwitch, all on the nvidia driver")
def eight_h100(host: FakeHost) -> None:
    """Eight GPUs of one board, and the switches between them."""
    host.add_chipset()
    host.add_numa_node(0, "0-63")
    host.add_numa_node(1, "64-127")
    load_driver(host)
    _add_nvswitches(host)
    for index, address in enumerate(_H100):
        _add_h100(host, index, address)
    rows = [
        SmiRow(
            index=index,
            address=address,
            name="NVIDIA H100 80GB HBM3",
            serial=f"16{50923000000 + index}",
            memory_mib=81559,
            temperature=31 + index,
            power=f"68.{index:02}",
        )
        for index, address in enumerate(_H100)
    ]
    host.tool("nvidia-smi.query-gpu.csv", smi_table(rows))
    host.tool("fabric-manager.partitions.json", _partitions())


def _add_nvswitches(host: FakeHost) -> None:
    switch = PciFunction(
        "10de:22a3",
        "068000",
        subsystem="10de:1796",
        revision="a1",
        driver="nvidia-nvswitch",
        module="nvidia",
        bars=(32 * MIB,),
        speed="5.0 GT/s PCIe",
        width=2,
    )
    port = host.add_root_port(0x04, "01.0")
    upstream = host.add_port("0000:05:00.0", port, _PCI_SWITCH)
    for index, address in enumerate(_NVSWITCHES):
        downstream = host.add_port(f"0000:06:{index:02x}.0", upstream, _PCI_SWITCH)
        host.add_function(address, downstream, switch)
        host.node(f"nvidia-nvswitch{index}", 0o666)
        host.expect_no(address, "NVSwitch: fabric element, never an allocatable accelerator")
    host.node("nvidia-nvswitchctl", 0o666)


def _add_h100(host: FakeHost, index: int, address: str) -> None:
    numa = index // 4
    bus = PciAddress.parse(address).bus
    port = host.add_root_port(bus - 6, "01.0", numa=numa)
    upstream = host.add_port(f"0000:{bus - 2:02x}:00.0", port, _PCI_SWITCH, numa)
    downstream = host.add_port(f"0000:{bus - 1:02x}:01.0", upstream, _PCI_SWITCH, numa)
    card = PciFunction(
        "10de:2330",
        "030200",
        subsystem="10de:16c1",
        revision="a1",
        driver="nvidia",
        numa=numa,
        speed="32.0 GT/s PCIe",
        bars=(64 * MIB, 0, 128 * GIB, 0, 32 * MIB),
        sriov=Sriov(16, "2330", offset=4),
    )
    host.add_function(address, downstream, card)
    add_gpu_entry(host, address, "NVIDIA H100 80GB HBM3", index)
    host.expect(
        address=address,
        kind="gpu",
        vendor="10de",
        product="2330",
        model="NVIDIA H100 SXM5 80GB",
        numa=numa,
        driver="nvidia",
        resource_class="PGPU",
        attach="PCI",
        fabric_module=index + 1,
    )


def _partitions() -> dict[str, object]:
    members = [list(range(1, 9)), [1, 2, 3, 4], [5, 6, 7, 8]]
    members += [[first, first + 1] for first in (1, 3, 5, 7)]
    members += [[module] for module in range(1, 9)]
    partitions = [
        {"partitionId": number, "isActive": 0, "gpus": gpus} for number, gpus in enumerate(members)
    ]
    return {
        "note": "shape is ours; ids and sizes follow the usual 15-partition layout",
        "maxNumPartitions": 31,
        "numPartitions": len(partitions),
        "partitionInfo": partitions,
    }


@scenario(
    "rtx6000ada-audio",
    "two RTX 6000 Ada with their audio functions: one pair on vfio-pci, of the "
    "other the audio function is in use by the host",
)
def with_audio(host: FakeHost) -> None:
    """Two cards of two functions each, one of which cannot be given away."""
    host.add_chipset()
    load_driver(host, "570.133.10")
    _add_rtx6000(host, 0x51, "vfio-pci", "vfio-pci", override="vfio-pci")
    host.expect_no("0000:51:00.1", "audio function: companion of the GPU, never offered alone")
    host.expect(
        address="0000:51:00.0",
        kind="gpu",
        vendor="10de",
        product="26b1",
        companions=["0000:51:00.1"],
        attachable=True,
        resource_class="PGPU",
        attach="PCI",
    )
    _add_rtx6000(host, 0x8A, "nvidia", "snd_hda_intel")
    host.expect_no("0000:8a:00.1", "audio function: companion of the GPU, never offered alone")
    host.expect(
        address="0000:8a:00.0",
        kind="gpu",
        vendor="10de",
        product="26b1",
        companions=["0000:8a:00.1"],
        attachable=False,
        resource_class="PGPU",
        attach="PCI",
        reason="0000:8a:00.1 of its IOMMU group is in use by snd_hda_intel",
    )
    add_gpu_entry(host, "0000:8a:00.0", "NVIDIA RTX 6000 Ada Generation", 0, "570.133.10")


def _add_rtx6000(
    host: FakeHost, bus: int, driver: str, audio_driver: str, override: str | None = None
) -> None:
    group = host.add_iommu_group()
    port = host.add_root_port(bus - 1)
    card = PciFunction(
        "10de:26b1",
        "030000",
        subsystem="10de:16a1",
        revision="a1",
        iommu_group=group,
        driver=driver,
        override=override,
        bars=(16 * MIB, 0, 64 * GIB),
        sriov=Sriov(32, "26b1", offset=4),
    )
    audio = PciFunction(
        "10de:22ba",
        "040300",
        subsystem="10de:16a1",
        revision="a1",
        iommu_group=group,
        driver=audio_driver,
        override=override,
        reset_methods=None,
        bars=(16 * KIB,),
    )
    host.add_function(f"0000:{bus:02x}:00.0", port, card)
    host.add_function(f"0000:{bus:02x}:00.1", port, audio)
