"""NVIDIA's GPUs whose virtual functions are vGPUs by a VFIO of NVIDIA's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Unpack

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.families.nvidia import SmiRow, add_gpu_entry, load_driver, smi_table
from cyborg.testing.hosts.functions import GIB, MIB, PciFunction, Sriov
from cyborg.testing.hosts.host import FakeHost
from cyborg.testing.hosts.identifiers import PciAddress
from cyborg.testing.hosts.manifest import DeviceEntry
from cyborg.testing.hosts.tree import VirtualFunction
from cyborg.testing.hosts.vgpu import L40S_MIB, L40S_TYPES, creatable

_L40S_VERSION = "570.133.10"
_L40S_NAMES = {number: each.name for number, each in L40S_TYPES.items()}
_L40S_8Q, _L40S_24Q = 1152, 1155
_H200_MIG, _H200_WHOLE = 1414, 1428
_H200_NAMES = {_H200_MIG: "NVIDIA H200X-1-18C", _H200_WHOLE: "NVIDIA H200X-141C"}


@dataclass(frozen=True, slots=True)
class _Card:
    """A card, and which vGPUs it has."""

    address: str
    product: str
    subsystem: str
    _: KW_ONLY
    vfs: int = 32
    most_vfs: int = 32
    numa: int = 0
    #: The vGPUs that are there: types, by the index of their virtual function.
    current: Mapping[int, int]
    #: The types of which there can be another one.
    free: Mapping[int, str]
    first_vfio: int = 0


def _add_card(host: FakeHost, port: str, card: _Card) -> list[VirtualFunction]:
    """Add a card; return its virtual functions."""
    physical = PciFunction(
        f"10de:{card.product}",
        "030200",
        subsystem=card.subsystem,
        revision="a1",
        driver="nvidia",
        numa=card.numa,
        bars=(16 * MIB, 0, 64 * GIB, 0, 32 * MIB),
        sriov=Sriov(card.most_vfs, card.product, offset=4),
    )
    virtual = PciFunction(
        f"10de:{card.product}",
        "030200",
        subsystem="10de:0000",
        revision="a1",
        driver="nvidia",
        numa=card.numa,
        bars=(16 * MIB, 0, 2 * GIB, 0, 32 * MIB),
    )

    def fill(vf: VirtualFunction) -> None:
        current = card.current.get(vf.index, 0)
        host.attributes(f"{vf.path}/nvidia", {"current_vgpu_type": current}, 0o644)
        types = creatable({} if current else card.free)
        host.write(f"{vf.path}/nvidia/creatable_vgpu_types", types)
        host.write(f"{vf.path}/nvidia/vgpu_params", mode=0o644)
        number = card.first_vfio + vf.index
        host.add_class_device(vf.path, "vfio-dev", f"vfio{number}", f"511:{number}")
        host.node(f"vfio/devices/vfio{number}")

    return host.add_vfs(host.add_function(card.address, port, physical), card.vfs, virtual, fill)


@scenario(
    "l40s-vendor-vfio",
    "3 x L40S on kernel 6.8: vendor-specific VFIO, no mdev_bus; one card holds an "
    "8Q (others limited to 8Q), one is full, one has its VFs off",
)
def three_l40s(host: FakeHost) -> None:
    """Cards with room, without room, and without virtual functions."""
    host.add_chipset()
    load_driver(host, _L40S_VERSION)
    cards = (
        _l40s("0000:3d:00.0", {0: _L40S_8Q}, {_L40S_8Q: _L40S_NAMES[_L40S_8Q]}),
        _l40s("0000:82:00.0", {0: _L40S_24Q, 1: _L40S_24Q}, {}, first_vfio=32),
        _l40s("0000:c2:00.0", {}, _L40S_NAMES, vfs=0),
    )
    for index, card in enumerate(cards):
        bus = PciAddress.parse(card.address).bus - 1
        _add_card(host, host.add_root_port(bus, "01.0"), card)
        add_gpu_entry(host, card.address, "NVIDIA L40S", index, _L40S_VERSION)
    host.tool("nvidia-smi.vgpu-supported.txt", _supported_l40s())
    _expect_l40s(
        host,
        address="0000:3d:00.0",
        current={"0000:3d:00.4": _L40S_8Q},
        free_of_type={str(_L40S_8Q): 5},
    )
    _expect_l40s(
        host,
        address="0000:82:00.0",
        current={"0000:82:00.4": _L40S_24Q, "0000:82:00.5": _L40S_24Q},
        free_of_type={},
        note="catalogue is only its header: type names must come from elsewhere",
    )
    host.expect(
        address="0000:c2:00.0",
        kind="gpu",
        model="NVIDIA L40S",
        mode="vendor-vfio",
        vfs_enabled=False,
        resource_class="PGPU",
        attach="PCI",
    )


@scenario("l40s-free", "one L40S, 32 VFs on, nothing created: the full catalogue")
def free_l40s(host: FakeHost) -> None:
    """One card with all of its room."""
    host.add_chipset()
    load_driver(host, _L40S_VERSION)
    port = host.add_root_port(0x3C, "01.0")
    vfs = _add_card(host, port, _l40s("0000:3d:00.0", {}, _L40S_NAMES))
    add_gpu_entry(host, "0000:3d:00.0", "NVIDIA L40S", 0, _L40S_VERSION)
    _expect_l40s(host, address="0000:3d:00.0", current={}, vfs=[vf.address for vf in vfs])


def _l40s(
    address: str,
    current: Mapping[int, int],
    free: Mapping[int, str],
    *,
    vfs: int = 32,
    first_vfio: int = 0,
) -> _Card:
    return _Card(
        address, "26b9", "10de:1851", current=current, free=free, vfs=vfs, first_vfio=first_vfio
    )


def _expect_l40s(host: FakeHost, **entry: Unpack[DeviceEntry]) -> None:
    common: DeviceEntry = {
        **entry,
        "kind": "gpu",
        "model": "NVIDIA L40S",
        "mode": "vendor-vfio",
        "resource_class": "VGPU",
        "attach": "PCI",
        "managed": "no",
    }
    host.expect(**common)


def _supported_l40s() -> str:
    return "".join(
        f"    vGPU Type ID                      : 0x{number:x}\n"
        f"        Name                          : {each.name}\n"
        "        GPU Instance Profile ID       : N/A\n"
        f"        Max Instances                 : {min(32, L40S_MIB // each.framebuffer_mib)}\n"
        f"        FB Memory                     : {each.framebuffer_mib} MiB\n"
        for number, each in L40S_TYPES.items()
    )


@scenario(
    "h200-mig-vendor-vfio",
    "two H200: one in MIG mode with two of its VFs holding 1g vGPUs, one not "
    "in MIG mode with a whole-card vGPU",
)
def two_h200(host: FakeHost) -> None:
    """A card in slices, and one whose only vGPU is as large as itself."""
    host.add_chipset()
    load_driver(host)
    in_mig = {_H200_MIG: _H200_NAMES[_H200_MIG]}
    _add_h200(host, 0, "0000:1b:00.0", {0: _H200_MIG, 3: _H200_MIG}, in_mig)
    _add_h200(host, 1, "0000:9d:00.0", {0: _H200_WHOLE}, {})
    rows = (
        _h200_row(0, "0000:1b:00.0", "1650525000001", 33, "78.10"),
        _h200_row(1, "0000:9d:00.0", "1650525000002", 34, "77.42"),
    )
    host.tool("nvidia-smi.query-gpu.csv", smi_table(rows))
    host.tool("nvidia-smi.vgpu-supported.txt", _supported_h200())


def _add_h200(
    host: FakeHost, index: int, address: str, current: Mapping[int, int], free: Mapping[int, str]
) -> None:
    in_mig = index == 0
    card = _Card(
        address,
        "2335",
        "10de:18be",
        vfs=16,
        most_vfs=16,
        numa=index,
        current=current,
        free=free,
        first_vfio=16 * index,
    )
    port = host.add_root_port(PciAddress.parse(address).bus - 1, numa=index)
    vfs = _add_card(host, port, card)
    add_gpu_entry(host, address, "NVIDIA H200", index)
    for number in current:
        # They cannot be read before there is a vGPU. The numbers are invented.
        instance = 7 + number if in_mig else 0
        ids = {"gpu_instance_id": instance, "placement_id": number}
        host.attributes(f"{vfs[number].path}/nvidia", ids)
    host.expect(
        address=address,
        kind="gpu",
        model="NVIDIA H200",
        mode="vendor-vfio",
        mig=in_mig,
        numa=index,
        current={vfs[number].address: each for number, each in current.items()},
        resource_class="VGPU",
        attach="PCI",
        managed="no",
    )


def _h200_row(index: int, address: str, serial: str, temperature: int, power: str) -> SmiRow:
    return SmiRow(
        index=index,
        address=address,
        name="NVIDIA H200",
        serial=serial,
        memory_mib=143771,
        temperature=temperature,
        power=power,
        mig=index == 0,
    )


def _supported_h200() -> str:
    profiles = {_H200_MIG: "19", _H200_WHOLE: "N/A"}
    return "".join(
        f"    vGPU Type ID                      : 0x{number:x}\n"
        f"        Name                          : {_H200_NAMES[number]}\n"
        f"        GPU Instance Profile ID       : {profile}\n"
        for number, profile in profiles.items()
    )
