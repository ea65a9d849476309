"""QuickAssist: compression and cryptography. Its heartbeat does not beat here."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.functions import KIB, MIB, PciFunction, Sriov
from cyborg.testing.hosts.host import FakeHost


@dataclass(frozen=True, slots=True)
class _Card:
    """A function of the fourth generation."""

    address: str
    state: str
    services: str
    vfs: int
    _: KW_ONLY
    product: str = "4940"
    vf_product: str = "4941"
    numa: int = 0


def _physical_function(card: _Card) -> PciFunction:
    return PciFunction(
        f"8086:{card.product}",
        "0b4000",
        subsystem="8086:0000",
        revision="40",
        driver="4xxx",
        module="qat_4xxx",
        numa=card.numa,
        bars=(4 * KIB, 0, 4 * MIB, 0, 256 * KIB),
        speed="2.5 GT/s PCIe",
        sriov=Sriov(16, card.vf_product),
    )


def _add_card(host: FakeHost, port: str, card: _Card) -> list[str]:
    """Add a function and its virtual ones; return the addresses of these."""
    path = host.add_function(card.address, port, _physical_function(card))
    configuration = {
        "state": card.state,
        "cfg_services": card.services,
        "pm_idle_enabled": 1,
        "num_rps": 64,
        "rp2srv": "sym",
        "auto_reset": "off",
    }
    host.attributes(f"{path}/qat", configuration, 0o644)
    counters = ("errors_correctable", "errors_nonfatal", "errors_fatal")
    host.attributes(f"{path}/qat_ras", dict.fromkeys(counters, 0))
    host.triggers(f"{path}/qat_ras", "reset_error_counters")
    debug = f"sys/kernel/debug/qat_4xxx_{card.address}"
    heartbeat = {
        "status": 0 if card.state == "up" else -1,
        "queries_sent": 12,
        "queries_failed": 0,
    }
    host.attributes(f"{debug}/heartbeat", heartbeat)
    host.attributes(f"{debug}/telemetry", {"control": 0}, 0o644)
    virtual = PciFunction(
        f"8086:{card.vf_product}",
        "0b4000",
        subsystem="8086:0000",
        revision="40",
        driver="vfio-pci",
        numa=card.numa,
        bars=(16 * KIB, 0, 4 * KIB),
    )
    return [vf.address for vf in host.add_vfs(path, card.vfs, virtual)]


@scenario(
    "qat-4xxx-16vf",
    "two QAT 4xxx: one up with sym;asym and 16 VFs on vfio-pci, one down with no VF",
)
def two_of_the_fourth_generation(host: FakeHost) -> None:
    """One that works, and one that can be configured."""
    host.add_chipset()
    host.add_numa_node(1, "64-127")
    cards = (
        _Card("0000:6b:00.0", "up", "sym;asym", 16),
        _Card("0000:e8:00.0", "down", "dc", 0, numa=1),
    )
    for bus, card in zip((0x6A, 0xE7), cards, strict=True):
        vfs = _add_card(host, host.add_root_port(bus, numa=card.numa), card)
        host.expect(
            address=card.address,
            kind="qat",
            vendor="8086",
            product="4940",
            model="QAT 4xxx",
            state=card.state,
            services=card.services.split(";"),
            vfs=vfs,
            resource_class="CUSTOM_QAT",
            attach="PCI",
        )


@scenario(
    "qat-old-and-new",
    "DH895xCC without a qat/ directory (32 VFs), and a 402xx that offers dc only",
)
def two_generations(host: FakeHost) -> None:
    """One that cannot be configured here, and one of the fourth generation."""
    host.add_chipset()
    old = PciFunction(
        "8086:0435",
        "0b4000",
        subsystem="8086:0000",
        driver="dh895xcc",
        module="qat_dh895xcc",
        bars=(512 * KIB, 0, 256 * KIB),
        speed="5.0 GT/s PCIe",
        sriov=Sriov(32, "443", offset=8),
    )
    path = host.add_function("0000:05:00.0", host.add_root_port(0x04), old)
    old_virtual = PciFunction("8086:0443", "0b4000", subsystem="8086:0000")
    vfs = [vf.address for vf in host.add_vfs(path, 32, old_virtual)]
    host.expect(
        address="0000:05:00.0",
        kind="qat",
        product="0435",
        state=None,
        services=None,
        vfs=vfs,
        resource_class="CUSTOM_QAT",
        attach="PCI",
    )
    card = _Card("0000:f1:00.0", "up", "dc", 4, product="4944", vf_product="4945")
    vfs = _add_card(host, host.add_root_port(0xF0), card)
    host.expect(
        address=card.address,
        kind="qat",
        product="4944",
        state="up",
        services=["dc"],
        vfs=vfs,
        resource_class="CUSTOM_QAT",
        attach="PCI",
    )
