"""What Placement is told of our devices."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from placement import provider_uuid
from waiting import eventually, expect

from flows.base import Flow

if TYPE_CHECKING:
    from bench import Bench


def providers(bench: Bench) -> None:
    """Each host has our provider below its compute node's, with inventory and traits."""
    for host in bench.hosts:
        with bench.need(f"{host} has its provider, whole"):
            eventually(partial(bench.placement.expect_whole, host, 16), 60)
    with bench.check("there are no others of ours"):
        ours, wanted = set(bench.placement.ours()), {provider_uuid(host) for host in bench.hosts}
        expect(ours == wanted, f"others: {ours ^ wanted}")
    with bench.check("the API names the providers"):
        deployables = bench.cloud.ask("/deployables")["deployables"]
        seen = {deployable["rp_uuid"] for deployable in deployables}
        expect(seen == {provider_uuid(host) for host in bench.hosts}, f"it names {seen}")
    with bench.check("inventories follow the devices"):
        bench.fake(handles=3)
        bench.fake(handles=16)


FLOWS = (Flow("providers", providers),)
