"""Accelerators of data streaming and of analytics: work queues of the driver idxd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cyborg.testing.hosts.catalogue import scenario
from cyborg.testing.hosts.functions import KIB, PciFunction
from cyborg.testing.hosts.host import FakeHost
from cyborg.testing.hosts.identifiers import PciAddress
from cyborg.testing.hosts.manifest import DeviceEntry

_DSA = "0b25"
_QUEUES = 8
_ENGINES = 4
_QUEUE = {
    "threshold": 0,
    "block_on_fault": 0,
    "max_transfer_size": 2097152,
    "occupancy": 0,
    "clients": 0,
}
_QUEUE_OF_A_USER = {
    **_QUEUE,
    "state": "enabled",
    "mode": "dedicated",
    "type": "user",
    "name": "app1",
    "size": 16,
    "group_id": 0,
    "priority": 10,
    "cdev_minor": 0,
    "driver_name": "user",
}
_QUEUE_OF_THE_KERNEL = {
    **_QUEUE_OF_A_USER,
    "mode": "shared",
    "type": "kernel",
    "name": "dmaengine",
    "driver_name": "dmaengine",
}
_FREE_QUEUE = {
    **_QUEUE,
    "state": "disabled",
    "mode": "dedicated",
    "type": "none",
    "name": "",
    "size": 0,
    "group_id": -1,
    "priority": 0,
    "cdev_minor": -1,
    "driver_name": "",
}


@dataclass(frozen=True, slots=True)
class _Accelerator:
    """One of the accelerators that are parts of a processor."""

    address: str
    product: str
    #: The kernel's: ``dsa0``, ``iax1``.
    name: str
    is_enabled: bool

    @property
    def kind(self) -> str:
        """Return what it is for."""
        return "dsa" if self.product == _DSA else "iaa"

    @property
    def state(self) -> str:
        """Return the state as the kernel calls it."""
        return "enabled" if self.is_enabled else "disabled"

    @property
    def number(self) -> str:
        """Return its number among the host's."""
        return self.name[3:]


_ACCELERATORS = (
    _Accelerator("0000:6a:01.0", _DSA, "dsa0", True),
    _Accelerator("0000:e7:01.0", _DSA, "dsa2", False),
    _Accelerator("0000:6a:02.0", "0cfe", "iax1", True),
)


@scenario(
    "dsa-iaa",
    "two DSA and one IAA: one DSA enabled with a user and a kernel work queue",
)
def three_accelerators(host: FakeHost) -> None:
    """Two that are in use, and one that is not."""
    host.add_chipset()
    for each in _ACCELERATORS:
        _add_accelerator(host, each)
        _expect_accelerator(host, each)
    host.tool("accel-config.list.json", [_listed(each) for each in _ACCELERATORS])


def _add_accelerator(host: FakeHost, each: _Accelerator) -> None:
    function = PciFunction(
        f"8086:{each.product}",
        "088000",
        subsystem="8086:0000",
        driver="idxd",
        bars=(64 * KIB, 0, 128 * KIB),
        speed=None,
        reset_methods="flr",
    )
    root_bus = host.add_root_bus(PciAddress.parse(each.address).bus)
    path = f"{host.add_function(each.address, root_bus, function)}/{each.name}"
    host.attributes(path, _capabilities(each), 0o644)
    host.link(f"{path}/subsystem", "sys/bus/dsa")
    host.add_bus_link("dsa", each.name, path)
    for number in range(_QUEUES):
        _add_queue(host, path, f"wq{each.number}.{number}", _queue(each, number))
    for number in range(_ENGINES):
        name = f"engine{each.number}.{number}"
        host.attributes(f"{path}/{name}", {"group_id": 0 if number < 2 else -1})
        host.add_bus_link("dsa", name, f"{path}/{name}")
    if each.is_enabled:
        host.node(f"{each.name[:3]}/wq{each.number}.0")


def _capabilities(each: _Accelerator) -> dict[str, object]:
    return {
        "version": "0x100",
        "state": each.state,
        "max_groups": 4,
        "max_work_queues": _QUEUES,
        "max_engines": 4 if each.product == _DSA else 8,
        "max_work_queues_size": 128,
        "max_batch_size": 1024,
        "max_transfer_size": 2147483648,
        "max_read_buffers": 96,
        "read_buffer_limit": 0,
        "numa_node": 0,
        "configurable": 1,
        "pasid_enabled": 1,
        "cdev_major": 234,
        "clients": 0,
        "errors": "0x0 0x0 0x0 0x0",
        "cmd_status": "0x0",
        "op_cap": ",".join(["00000000"] * 6 + ["00000001", "003f03ff"]),
    }


def _queue(each: _Accelerator, number: int) -> Mapping[str, object]:
    if each.is_enabled and number == 0:
        return _QUEUE_OF_A_USER
    if each.is_enabled and number == 1:
        return _QUEUE_OF_THE_KERNEL
    return {**_FREE_QUEUE, "mode": "shared" if number == 1 else "dedicated"}


def _add_queue(host: FakeHost, accelerator: str, name: str, values: Mapping[str, object]) -> None:
    host.attributes(f"{accelerator}/{name}", values, 0o644)
    host.add_bus_link("dsa", name, f"{accelerator}/{name}")


def _listed(each: _Accelerator) -> dict[str, object]:
    return {
        "dev": each.name,
        "max_groups": 4,
        "max_work_queues": _QUEUES,
        "work_queue_size": 128,
        "numa_node": 0,
        "version": "0x100",
        "state": each.state,
        "configurable": 1,
        "pasid_enabled": 1,
        "clients": 0,
    }


def _expect_accelerator(host: FakeHost, each: _Accelerator) -> None:
    entry: DeviceEntry = {
        "address": each.address,
        "kind": each.kind,
        "vendor": "8086",
        "product": each.product,
        "state": each.state,
        "attach": "PCI",
        "note": "work queues have no Nova attach handle; only the whole function does",
    }
    if each.is_enabled:
        entry["attachable"] = False
        entry["reason"] = "work queues of it are enabled"
    host.expect(**entry)
