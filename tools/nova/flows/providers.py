"""What Placement is told of our devices."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cards import VirtualFunctions, WholeCards
from waiting import eventually, expect

from flows.base import Flow

if TYPE_CHECKING:
    from bench import Bench


def providers(bench: Bench) -> None:
    """Each host has our providers below its compute node's, with inventory and traits."""
    deployables = bench.hardware.deployables()
    for deployable in deployables:
        with bench.need(f"{deployable.name} is a provider, whole"):
            eventually(partial(bench.placement.expect_whole, deployable), 60)
    wanted = {deployable.uuid for deployable in deployables}
    with bench.check("there are no others of ours"):
        ours = set(bench.placement.ours())
        expect(ours == wanted, f"others: {ours ^ wanted}")
    with bench.check("the API names the providers"):
        listed = bench.cloud.ask("/deployables")["deployables"]
        seen = {deployable["rp_uuid"] for deployable in listed}
        expect(seen == wanted, f"it names {seen}")


def changing(bench: Bench) -> None:
    """The number of handles changes, and inventories follow."""
    for handles in (3, 16):
        with bench.check(f"each device has {handles}"):
            bench.change(handles=handles)


FLOWS = (
    Flow("providers", providers),
    Flow("changing", changing),
    Flow("vf-providers", providers, VirtualFunctions),
    Flow("card-providers", providers, WholeCards),
)
