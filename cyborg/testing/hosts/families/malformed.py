"""Hosts whose files are not as they should be."""

from __future__ import annotations

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.families.nvidia import T4, load_driver
from cyborg.testing.hosts.host import FakeHost
from cyborg.testing.hosts.identifiers import PciAddress
from cyborg.testing.hosts.tree import FUNCTIONS

_NOT_OF_IDENTITY = (
    *("numa_node", "uevent", "subsystem_vendor", "subsystem_device", "local_cpulist"),
    *("reset_method", "driver_override", "modalias", "resource", "iommu_group"),
)


@scenario(
    "bad-missing-files",
    "functions lacking device, class, numa_node, uevent, subsystem_*; one empty directory",
)
def missing_files(host: FakeHost) -> None:
    """Functions that lack what says what they are, and one that lacks all else."""
    _add_good_host(host)
    lacking = {"0000:11:00.0": "vendor", "0000:15:00.0": "device", "0000:19:00.0": "class"}
    for address, name in lacking.items():
        host.remove(_add_t4(host, address), name)
        host.expect_no(address, f"no {name} file")
    host.remove(_add_t4(host, "0000:21:00.0"), *_NOT_OF_IDENTITY)
    host.expect(
        address="0000:21:00.0",
        kind="gpu",
        product="1eb8",
        numa=None,
        attachable=False,
        note="identity is complete, the rest is not",
    )
    empty = "sys/devices/pci0000:30/0000:31:00.0"
    host.directory(empty)
    host.link(f"{FUNCTIONS}/0000:31:00.0", empty)
    host.expect_no("0000:31:00.0", "empty device directory")


def _add_good_host(host: FakeHost) -> None:
    """Add a card that must be found, whatever is beside it."""
    host.add_chipset()
    load_driver(host)
    _add_t4(host, "0000:f1:00.0")
    host.expect(
        address="0000:f1:00.0",
        kind="gpu",
        product="1eb8",
        note="the healthy control device: must always be reported",
    )


def _add_t4(host: FakeHost, address: str) -> str:
    port = host.add_root_port(PciAddress.parse(address).bus - 1, "01.0")
    return host.add_function(address, port, T4)
