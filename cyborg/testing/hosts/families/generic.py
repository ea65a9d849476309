"""PCI functions that no family knows, and what can be wrong with any function.

What fails or blocks when it is read cannot be shown.
"""

from __future__ import annotations

from dataclasses import replace

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.families.nvidia import T4, load_driver
from cyborg.testing.hosts.functions import KIB, MIB, PciFunction, Sriov
from cyborg.testing.hosts.host import FakeHost

_CARD = PciFunction("1e52:401e", "120000", subsystem="1e52:0014", bars=(512 * MIB,))
_NO_RESET = PciFunction(
    "1234:11e8",
    "00ff00",
    reset_methods=None,
    power_state="unknown",
    speed=None,
    bars=(1 * MIB,),
)
_ALLOWED = [
    {"vendor_id": "1e52", "product_id": "401e"},
    {"vendor_id": "8086", "product_id": "10d3", "address": "0000:29:00.1"},
    {"vendor_id": "1234", "product_id": "11e8"},
]


@scenario("empty-host", "a server without any accelerator")
def empty(host: FakeHost) -> None:
    """Nothing that any driver reports."""
    host.add_chipset()


@scenario(
    "pci-groups",
    "generic PCI: a card alone, two functions of one slot in one IOMMU group (one in "
    "use by the host), two cards behind a conventional bridge, one without reset, one excluded",
)
def groups(host: FakeHost) -> None:
    """Functions that can be given away, and functions that cannot for each of the reasons."""
    root_bus = host.add_chipset()
    host.add_function("0000:21:00.0", host.add_root_port(0x20), _CARD)
    host.expect(
        address="0000:21:00.0",
        kind="pci",
        vendor="1e52",
        product="401e",
        attachable=True,
        resource_class="CUSTOM_PCI",
        attach="PCI",
        numa=0,
    )
    _add_shared_slot(host)
    _add_conventional_bridge(host)
    host.add_function("0000:00:05.0", root_bus, _NO_RESET)
    host.expect(
        address="0000:00:05.0",
        kind="pci",
        vendor="1234",
        product="11e8",
        attachable=False,
        reason="no reset method: only for whoever the operator trusts",
    )
    port = host.add_root_port(0x38, numa=-1)
    host.add_function("0000:39:00.0", port, replace(_CARD, numa=-1))
    host.expect(
        address="0000:39:00.0",
        kind="pci",
        vendor="1e52",
        product="401e",
        attachable=True,
        numa=None,
    )
    host.note(allow_list=_ALLOWED)


def _add_shared_slot(host: FakeHost) -> None:
    group = host.add_iommu_group()
    port = host.add_root_port(0x28)
    free = PciFunction(
        "8086:10d3",
        "020000",
        subsystem="8086:a01f",
        iommu_group=group,
        bars=(128 * KIB,),
        reset_methods="pm",
    )
    host.add_function("0000:29:00.0", port, replace(free, driver="e1000e"))
    host.add_function("0000:29:00.1", port, free)
    host.expect(
        address="0000:29:00.1",
        kind="pci",
        vendor="8086",
        product="10d3",
        attachable=False,
        reason="0000:29:00.0 of its IOMMU group is in use by e1000e",
    )
    host.expect_no("0000:29:00.0", "in use by a driver of the host, and not in the allow-list")


def _add_conventional_bridge(host: FakeHost) -> None:
    function = PciFunction("1b36:000e", "060400", reset_methods=None, is_bridge=True)
    bridge = host.add_function("0000:31:00.0", host.add_root_port(0x30), function)
    group = host.add_iommu_group()
    for address in ("0000:32:01.0", "0000:32:02.0"):
        card = replace(_NO_RESET, iommu_group=group)
        host.add_function(address, bridge, card)
        host.expect(
            address=address,
            kind="pci",
            vendor="1234",
            product="11e8",
            attachable=False,
            reason="its IOMMU group is shared, and it has no reset",
        )


@scenario("iommu-off", "a QAT 4xxx and an E810 port on a host whose IOMMU is off")
def without_iommu(host: FakeHost) -> None:
    """Two functions of two families, neither of which can be given away."""
    host.add_chipset()
    qat = PciFunction(
        "8086:4940",
        "0b4000",
        subsystem="8086:0000",
        driver="4xxx",
        module="qat_4xxx",
        has_iommu=False,
        speed="2.5 GT/s PCIe",
        sriov=Sriov(16, "4941"),
    )
    nic = PciFunction(
        "8086:159b",
        "020000",
        subsystem="8086:0003",
        driver="ice",
        has_iommu=False,
        sriov=Sriov(128, "1889", offset=8),
    )
    functions = {"0000:6b:00.0": qat, "0000:71:00.0": nic}
    for bus, (address, function) in zip((0x6A, 0x70), functions.items(), strict=True):
        host.add_function(address, host.add_root_port(bus), function)
        host.expect(
            address=address,
            vendor=function.vendor,
            product=function.product,
            attachable=False,
            reason="no IOMMU group: nothing of this host can be given to an instance",
        )


@scenario(
    "surprise-off",
    "two T4: one answers all-ones in config space, its cached files as before",
)
def surprise(host: FakeHost) -> None:
    """Two cards, one of which has lost its power or its link."""
    host.add_chipset()
    load_driver(host, "535.161.05")
    card = replace(T4, speed="8.0 GT/s PCIe")
    host.add_function("0000:5e:00.0", host.add_root_port(0x5D), card)
    gone = replace(card, power_state="D3cold")
    path = host.add_function("0000:b1:00.0", host.add_root_port(0xB0), gone)
    host.write(f"{path}/config", b"\xff" * 4096, 0o644)
    host.attributes(path, {"current_link_speed": "Unknown", "current_link_width": 63})
    host.expect(
        address="0000:5e:00.0", kind="gpu", product="1eb8", healthy=True, resource_class="PGPU"
    )
    host.expect(
        address="0000:b1:00.0",
        kind="gpu",
        product="1eb8",
        healthy=False,
        reason="config space reads all ones; vendor, device and class are cached by the kernel",
    )
