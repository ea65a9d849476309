"""What is tried, in this order."""

from __future__ import annotations

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
    slow,
    withdrawn,
)
from flows.base import Flow

__all__ = ["FLOWS", "Flow"]

FLOWS: tuple[Flow, ...] = tuple(
    flow
    for module in (
        providers,
        boot,
        life,
        evacuate,
        limits,
        many,
        slow,
        cleaning,
        withdrawn,
        faults,
        outages,
        clients,
    )
    for flow in module.FLOWS
)
