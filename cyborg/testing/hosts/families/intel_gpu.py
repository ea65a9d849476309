"""Intel's GPUs on the driver xe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.functions import GIB, MIB, PciFunction, Sriov
from cyborg.testing.hosts.host import FakeHost
from cyborg.testing.hosts.tree import VirtualFunction

_FLEX_QUOTA = 3909091328
_ARC_QUOTA = 8589934592
_SCHEDULING = {"preempt_timeout_us": "0", "sched_priority": "[low] normal high"}
_FLEX = PciFunction(
    "8086:56c0",
    "038000",
    subsystem="8086:4905",
    revision="08",
    driver="xe",
    bars=(16 * MIB, 0, 16 * GIB),
    sriov=Sriov(31, "56c0"),
)
_FLEX_VF = replace(_FLEX, driver="xe-vfio-pci", bars=(16 * MIB, 0, 4 * GIB), sriov=None)


@scenario(
    "intel-flex-sriov",
    "Data Center GPU Flex 170 on xe with 4 of 31 VFs and sriov_admin; VFs on xe-vfio-pci",
)
def flex(host: FakeHost) -> None:
    """A card with some of its virtual functions."""
    host.add_chipset()
    card = host.add_function("0000:4d:00.0", host.add_root_port(0x4C, "01.0"), _FLEX)
    path = host.add_class_device(card, "drm", "card1", "226:1")
    host.link(f"{path}/device", card)
    host.add_class_device(card, "drm", "renderD128", "226:128")
    host.node("dri/renderD128", 0o666)
    vfs = host.add_vfs(card, 4, _FLEX_VF)
    administration = f"{card}/sriov_admin"
    _add_administration(host, administration, vfs, quota=_FLEX_QUOTA, most=31)
    for number in range(1, 32):
        host.attributes(f"{administration}/vf{number}/profile", _SCHEDULING, 0o644)
    host.expect(
        address="0000:4d:00.0",
        kind="gpu",
        vendor="8086",
        product="56c0",
        model="Intel Data Center GPU Flex 170",
        mode="sriov",
        vfs=[vf.address for vf in vfs],
        resource_class="VGPU",
        attach="PCI",
    )


def _add_administration(
    host: FakeHost, path: str, vfs: Sequence[VirtualFunction], *, quota: int, most: int
) -> None:
    """Add where quotas are set: for each virtual function that there can be."""
    host.link(f"{path}/pf/device", path.rpartition("/")[0])
    for number in range(1, most + 1):
        vf = f"{path}/vf{number}"
        values = {"exec_quantum_ms": 0, "vram_quota": quota if number <= len(vfs) else 0}
        host.attributes(f"{vf}/profile", values, 0o644)
        host.triggers(vf, "stop")
    for number, each in enumerate(vfs, start=1):
        host.link(f"{path}/vf{number}/device", each.path)


@scenario(
    "arc-pro",
    "two Arc Pro cards on xe (one with two VFs and a quota, one without VFs) beside the "
    "boot display of the processor",
)
def arc_pro(host: FakeHost) -> None:
    """Two cards, and a GPU that is part of the processor."""
    root_bus = host.add_chipset()
    display = PciFunction(
        "8086:a780",
        "030000",
        subsystem="8086:a780",
        revision="04",
        driver="i915",
        reset_methods="flr",
        speed=None,
        sriov=Sriov(7, "a780"),
    )
    path = host.add_function("0000:00:02.0", root_bus, display)
    host.write(f"{path}/boot_vga", "1\n")
    host.expect_no("0000:00:02.0", "integrated graphics, boot_vga=1")
    _add_arc_pro(host, 0x05, "e211", 2)
    _add_arc_pro(host, 0x85, "e212", 0)


def _add_arc_pro(host: FakeHost, bus: int, product: str, count: int) -> None:
    address = f"0000:{bus:02x}:00.0"
    physical = PciFunction(
        f"8086:{product}",
        "030000",
        subsystem="8086:1214",
        driver="xe",
        bars=(16 * MIB, 0, 16 * GIB),
        # How many there can be is invented.
        sriov=Sriov(12, product),
    )
    virtual = PciFunction(
        f"8086:{product}",
        "030000",
        subsystem="8086:1214",
        driver="xe-vfio-pci",
        bars=(16 * MIB, 0, 8 * GIB),
    )
    card = host.add_function(address, host.add_root_port(bus - 1), physical)
    vfs = host.add_vfs(card, count, virtual)
    host.triggers(f"{card}/sriov_admin/.bulk_profile", "vram_quota")
    _add_administration(host, f"{card}/sriov_admin", vfs, quota=_ARC_QUOTA, most=12)
    host.expect(
        address=address,
        kind="gpu",
        vendor="8086",
        product=product,
        mode="sriov" if count else "whole",
        vfs=[vf.address for vf in vfs],
        resource_class="VGPU" if count else "PGPU",
        attach="PCI",
    )
