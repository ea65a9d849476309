"""NVIDIA's GPUs that are divided into mediated devices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.families.nvidia import T4, add_gpu_entry, load_driver
from cyborg.testing.hosts.functions import GIB, MIB, PciFunction, Sriov
from cyborg.testing.hosts.host import FakeHost
from cyborg.testing.hosts.identifiers import invented_uuid
from cyborg.testing.hosts.mdev import MdevType, add_mdev, add_mdev_type
from cyborg.testing.hosts.tree import VirtualFunction

_T4 = replace(T4, speed="8.0 GT/s PCIe", bars=(16 * MIB, 0, 256 * MIB, 0, 32 * MIB))
_V100 = replace(_T4, ids="10de:1db4", subsystem="10de:1214", numa=1)

_T4_TYPES = (
    MdevType(222, "GRID T4-1B", 16, 1024, 4, "5120x2880", 45),
    MdevType(223, "GRID T4-2B", 8, 2048, 4, "5120x2880", 45),
    MdevType(224, "GRID T4-2B4", 8, 2048, 4, "5120x2880", 45),
    MdevType(225, "GRID T4-1A", 16, 1024, 1, "1280x1024"),
    MdevType(226, "GRID T4-2A", 8, 2048, 1, "1280x1024"),
    MdevType(227, "GRID T4-4A", 4, 4096, 1, "1280x1024"),
    MdevType(228, "GRID T4-8A", 2, 8192, 1, "1280x1024"),
    MdevType(229, "GRID T4-16A", 1, 16384, 1, "1280x1024"),
    MdevType(230, "GRID T4-1Q", 16, 1024, 4, "5120x2880"),
    MdevType(231, "GRID T4-2Q", 8, 2048, 4, "7680x4320"),
    MdevType(232, "GRID T4-4Q", 4, 4096, 4, "7680x4320"),
    MdevType(233, "GRID T4-8Q", 2, 8192, 4, "7680x4320"),
    MdevType(234, "GRID T4-16Q", 1, 16384, 4, "7680x4320"),
    MdevType(252, "GRID T4-1B4", 16, 1024, 4, "5120x2880", 45),
    MdevType(319, "GRID T4-4C", 4, 4096),
    MdevType(320, "GRID T4-8C", 2, 8192),
    MdevType(321, "GRID T4-16C", 1, 16384),
)
_V100_TYPES = (
    MdevType(105, "GRID V100-1Q", 16, 1024, 4, "5120x2880"),
    MdevType(106, "GRID V100-2Q", 8, 2048, 4, "7680x4320"),
    MdevType(107, "GRID V100-4Q", 4, 4096, 4, "7680x4320"),
    MdevType(108, "GRID V100-8Q", 2, 8192, 4, "7680x4320"),
    MdevType(109, "GRID V100-16Q", 1, 16384, 4, "7680x4320"),
)
# Names with two numbers are of MIG slices: 1-5C is on one of seven.
_A100_TYPES = (
    MdevType(468, "GRID A100-4C", 10, 4096),
    MdevType(469, "GRID A100-5C", 8, 5120),
    MdevType(470, "GRID A100-8C", 5, 8192),
    MdevType(471, "GRID A100-10C", 4, 10240),
    MdevType(472, "GRID A100-20C", 2, 20480),
    MdevType(473, "GRID A100-40C", 1, 40960),
    MdevType(474, "GRID A100-1-5C", 7, 5120),
    MdevType(475, "GRID A100-2-10C", 3, 10240),
    MdevType(476, "GRID A100-3-20C", 2, 20480),
    MdevType(477, "GRID A100-4-20C", 1, 20480),
    MdevType(478, "GRID A100-7-40C", 1, 40960),
)
_A100_SXM_TYPES = (
    MdevType(457, "GRID A100X-4C", 10, 4096),
    MdevType(460, "GRID A100X-10C", 4, 10240),
    MdevType(462, "GRID A100X-40C", 1, 40960),
    MdevType(463, "GRID A100X-1-5C", 7, 5120),
    MdevType(464, "GRID A100X-2-10C", 3, 10240),
    MdevType(465, "GRID A100X-3-20C", 2, 20480),
)


@scenario(
    "t4-v100-mdev",
    "Tesla T4 (one T4-2Q vGPU already made) and V100 PCIe 16GB, legacy mdev on the PF",
)
def on_physical_functions(host: FakeHost) -> None:
    """Two cards that have no virtual functions."""
    host.add_chipset()
    host.add_numa_node(0, "0-23")
    host.add_numa_node(1, "24-47")
    load_driver(host, "535.161.05")
    port = host.add_root_port(0x5D)
    t4 = _add_card(host, "0000:5e:00.0", port, _T4)
    for each in _T4_TYPES:
        add_mdev_type(host, t4, each, each.most - 1 if each.number == 231 else 0)
    add_mdev(host, t4, 231, invented_uuid("mdev", "0000:5e:00.0", 0))
    port = host.add_root_port(0xC0, "01.0", numa=1)
    v100 = _add_card(host, "0000:c1:00.0", port, _V100)
    for each in _V100_TYPES:
        add_mdev_type(host, v100, each, each.most)
    host.expect(
        address="0000:5e:00.0",
        kind="gpu",
        model="Tesla T4",
        mode="mdev-pf",
        created={"nvidia-231": 1},
        available={"nvidia-231": 7, "nvidia-230": 0},
        resource_class="VGPU",
        attach="MDEV",
    )
    host.expect(
        address="0000:c1:00.0",
        kind="gpu",
        model="Tesla V100 PCIe 16GB",
        mode="mdev-pf",
        created={},
        available={"nvidia-105": 16, "nvidia-109": 1},
        resource_class="VGPU",
        attach="MDEV",
    )


def _add_card(host: FakeHost, address: str, port: str, function: PciFunction) -> str:
    path = host.add_function(address, port, function)
    host.link(f"sys/class/mdev_bus/{address}", path)
    return path


@scenario("a100-sriov-mdev", "A100 PCIe 40GB, 16 VFs on, mdev types on each VF, one A100-10C made")
def on_virtual_functions(host: FakeHost) -> None:
    """One card, each of whose virtual functions can be one vGPU."""
    host.add_chipset()
    load_driver(host, "550.163.02")
    port = host.add_root_port(0x40, "01.1", "1022:1483")
    card = host.add_function("0000:41:00.0", port, _a100("10de:20f1", "10de:145f"))
    add_gpu_entry(host, "0000:41:00.0", "NVIDIA A100-PCIE-40GB", 0)
    virtual = PciFunction(
        "10de:20f1",
        "030200",
        subsystem="10de:0000",
        revision="a1",
        driver="nvidia",
        bars=(16 * MIB, 0, 2 * GIB, 0, 32 * MIB),
    )
    vfs = _add_places(host, card, virtual, _Places(_A100_TYPES, 471, made=(0,)))
    host.expect(
        address="0000:41:00.0",
        kind="gpu",
        model="NVIDIA A100 PCIe 40GB",
        mode="mdev-vf",
        mig=False,
        vfs=[vf.address for vf in vfs],
        created={vfs[0].address: "nvidia-471"},
        resource_class="VGPU",
        attach="MDEV",
        note="the card is one device; its 16 VFs are places for mdevs, not GPUs",
    )


@scenario(
    "a100sxm-mig7-mdev",
    "A100 SXM4 40GB in MIG mode, seven 1g instances, three of them with an mdev "
    "on a VF; a leftover mdev definition of a uuid that does not run",
)
def on_virtual_functions_in_mig_mode(host: FakeHost) -> None:
    """One card in slices, each of which can be one vGPU on any virtual function."""
    host.add_chipset()
    load_driver(host, "550.163.02")
    port = host.add_root_port(0x46, "01.0", "1022:1483")
    card = host.add_function("0000:47:00.0", port, _a100("10de:20b0", "10de:134f"))
    add_gpu_entry(host, "0000:47:00.0", "NVIDIA A100-SXM4-40GB", 0)
    virtual = PciFunction(
        "10de:20b0", "030200", subsystem="10de:0000", revision="a1", driver="nvidia"
    )
    made = (0, 1, 5)
    vfs = _add_places(host, card, virtual, _Places(_A100_SXM_TYPES, 463, made))
    # What Nova, through libvirt and mdevctl, leaves behind when only sysfs is cleaned.
    left = f"etc/mdevctl.d/{vfs[7].address}/{invented_uuid('left', 7)}"
    host.write(left, '{"mdev_type":"nvidia-463","start":"auto"}\n', 0o644)
    host.expect(
        address="0000:47:00.0",
        kind="gpu",
        model="NVIDIA A100 SXM4 40GB",
        mode="mdev-vf",
        mig=True,
        vfs=[vf.address for vf in vfs],
        created={vfs[index].address: "nvidia-463" for index in made},
        free_of_type={"nvidia-463": 4},
        resource_class="VGPU",
        attach="MDEV",
        note="thirteen VFs read available 1, but four GPU instances are free",
    )


def _a100(ids: str, subsystem: str) -> PciFunction:
    return PciFunction(
        ids,
        "030200",
        subsystem=subsystem,
        revision="a1",
        driver="nvidia",
        bars=(16 * MIB, 0, 64 * GIB, 0, 32 * MIB),
        sriov=Sriov(16, ids.partition(":")[2], offset=4),
    )


@dataclass(frozen=True, slots=True)
class _Places:
    """What virtual functions can be."""

    types: Sequence[MdevType]
    #: The type of which there can be some.
    number: int
    #: Which virtual functions have one.
    made: Collection[int]


def _add_places(
    host: FakeHost, card: str, virtual: PciFunction, places: _Places
) -> list[VirtualFunction]:
    """Add 16 virtual functions, each of which has a mediated device or can have one."""

    def fill(vf: VirtualFunction) -> None:
        is_taken = vf.index in places.made
        for each in places.types:
            available = int(each.number == places.number and not is_taken)
            add_mdev_type(host, vf.path, each, available)
        host.link(f"sys/class/mdev_bus/{vf.address}", vf.path)
        if is_taken:
            add_mdev(host, vf.path, places.number, invented_uuid("mdev", vf.address))

    return host.add_vfs(card, 16, virtual, fill)
