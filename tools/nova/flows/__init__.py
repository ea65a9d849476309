"""What is tried, hardware by hardware, and on each in this order."""

from __future__ import annotations

from cards import VirtualFunctions, WholeCards
from fake_devices import FakeDevices
from hardware import Hardware

from flows import (
    boot,
    cleaning,
    clients,
    evacuate,
    faults,
    life,
    limits,
    many,
    outages,
    providers,
    resets,
    slow,
    withdrawn,
)
from flows.base import Flow

__all__ = ["FLOWS", "Flow"]

#: In this order, since all begins anew where the next flow needs another kind.
_HARDWARE: tuple[type[Hardware], ...] = (FakeDevices, VirtualFunctions, WholeCards)

_MODULES = (
    providers,
    boot,
    life,
    evacuate,
    limits,
    many,
    slow,
    cleaning,
    resets,
    withdrawn,
    faults,
    outages,
    clients,
)

FLOWS: tuple[Flow, ...] = tuple(
    sorted(
        (flow for module in _MODULES for flow in module.FLOWS),
        key=lambda flow: _HARDWARE.index(flow.hardware),
    )
)
