"""What drivers report of hardware that exists: addresses, slices and cards."""

from __future__ import annotations

import dataclasses
from typing import Any

from cyborg.domain.hardware import Share
from cyborg.domain.inventory import DeployableReport, DeviceReport, HandleReport


def at(address: str, **more: str) -> dict[str, str]:
    """Return an address as info of a handle, in the spelling in which it is written here."""
    domain, bus, rest = address.split(":")
    device, function = rest.split(".")
    return {"domain": domain, "bus": bus, "device": device, "function": function, **more}


def pci(address: str, *shares: Share, **more: str) -> HandleReport:
    """Return a PCI function as a handle."""
    return HandleReport("PCI", at(address, **more), shares=shares)


def mdev(parent: str, asked_type: str, slot: int, *shares: Share) -> HandleReport:
    """Return a mediated device of a parent as a handle: the one in this slot of its type."""
    key = f"{parent}/{asked_type}/{slot}"
    return HandleReport("MDEV", at(parent, asked_type=asked_type), key=key, shares=shares)


def part(name: str, resource_class: str, *handles: HandleReport, **values: Any) -> DeployableReport:
    """Return a deployable of these handles."""
    values = {"num_accelerators": len(handles), "driver_name": "test", **values}
    return DeployableReport(name, resource_class, handles=handles, **values)


def card(
    identity: str, *parts: DeployableReport, driver: str = "gpu_driver", **values: Any
) -> DeviceReport:
    """Return a device of these parts."""
    values = {"type": "GPU", "vendor": "10de", "model": "A100", **values}
    return DeviceReport(driver, identity, deployables=parts, **values)


def gpu(identity: str, address: str, host: str = "compute-1", **values: Any) -> DeviceReport:
    """Return a card that is given as a whole, in a slot."""
    values = {"needs_release": True, **values}
    return card(identity, part(f"{host}_{address}", "PGPU", pci(address), **values))


def but(device: DeviceReport, **values: Any) -> DeviceReport:
    """Return a device that is reported otherwise: its own values, or those of all its parts."""
    own = {field.name for field in dataclasses.fields(DeviceReport)}
    of_device = {name: value for name, value in values.items() if name in own}
    of_parts = {name: value for name, value in values.items() if name not in own}
    parts = tuple(dataclasses.replace(each, **of_parts) for each in device.deployables)
    return dataclasses.replace(device, **{"deployables": parts, **of_device})
