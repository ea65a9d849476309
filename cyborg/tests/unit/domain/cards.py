"""Cards as drivers report them, for tests of what becomes of their record."""

from __future__ import annotations

from typing import Any

from cyborg.domain.inventory import DeployableReport, DeviceReport, HandleReport


def part(
    name: str,
    *handles: str | HandleReport,
    resource_class: str = "FPGA",
    needs_release: bool = True,
    **values: Any,
) -> DeployableReport:
    """Return a deployable of these handles, or functions at these addresses."""
    made = tuple(function(each) if isinstance(each, str) else each for each in handles)
    values = {"handles": made, "needs_release": needs_release, **values}
    return DeployableReport(name, resource_class, len(made), "test", **values)


def function(address: str, **info: str) -> HandleReport:
    """Return a PCI function as a handle."""
    domain, bus, rest = address.split(":")
    device, number = rest.split(".")
    place = {"domain": domain, "bus": bus, "device": device, "function": number}
    return HandleReport("PCI", {**place, **info})


def card(identity: str, *parts: DeployableReport, **values: Any) -> DeviceReport:
    """Return a device of these parts."""
    values = {"driver": "test", "type": "FPGA", "vendor": "v", "model": "m", **values}
    return DeviceReport(identity=identity, deployables=parts, **values)


def slot(identity: str, bus: str, functions: int = 1, **values: Any) -> DeviceReport:
    """Return a card of one deployable in a slot, which it is named after."""
    addresses = [f"0000:{bus}:00.{n}" for n in range(functions)]
    return card(identity, part(f"host_{bus}", *addresses, **values))
