"""Devices that must be cleaned before somebody else may have them."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from arqs import fault, handle
from settings import COMPARISON
from waiting import eventually, expect, steadily
from watch import Watch

from flows.base import Flow
from flows.limits import NO_HOST

if TYPE_CHECKING:
    from bench import Bench


def _offered_unclean(bench: Bench, provider: str) -> str | None:
    # Placement first: while handles are cleaned, their number only grows.
    offered = bench.placement.free(provider)
    clean = bench.database.clean_handles(provider)
    return f"{offered} offered, {clean} clean" if offered > clean else None


def cleaning(bench: Bench) -> None:
    """Slow cleaning: the device is offered to nobody until it is clean."""
    bench.change(release_delay=5)
    with bench.need("boots"):
        [server] = bench.booted(bench.flavor())
        [arq] = bench.holds(server)
    provider = arq["device_rp_uuid"]
    with Watch(partial(_offered_unclean, bench, provider)) as watch:
        with bench.check("Nova's DELETE is answered: the device is reserved by then"):
            status = bench.cloud.delete_arqs_as_nova(server)
            inventory = bench.placement.inventory(provider)
            expect(status == 204, f"the answer is {status}")
            expect(inventory["reserved"] == 1, f"the inventory is {inventory}")
        _expect_cleaned(bench, server, provider)
    with bench.check("at no time more was offered than was clean"):
        watch.expect_nothing_wrong()
    with bench.need("another boots"):
        [server] = bench.booted(bench.flavor())
        [arq] = bench.holds(server)
    provider = arq["device_rp_uuid"]
    with Watch(partial(_offered_unclean, bench, provider)) as watch:
        _expect_cleaned(bench, server, provider)
    with bench.check("nor when Nova deletes it in its own time"):
        watch.expect_nothing_wrong()


def _expect_cleaned(bench: Bench, server: str, provider: str) -> None:
    with bench.need("the server is deleted: the ARQ is gone, the device is reserved"):
        bench.delete([server])
        arqs = bench.cloud.arqs(server)
        expect(not arqs, f"its ARQs: {arqs}")
        reserved = bench.placement.inventory(provider)["reserved"]
        expect(reserved == 1, f"{reserved} are reserved")
        expect(bench.database.states(server) == ["Deleting"], "it is not being cleaned")
    with bench.check("when it is clean nothing is reserved"):
        eventually(bench.expect_nothing_left, 20)


def quarantine(bench: Bench) -> None:
    """Cleaning that fails: the handle is kept from everybody, for good."""
    bench.spoilt = True
    flavor = bench.flavor()
    bench.change(handles=2, release_failures=-1)
    with bench.need("boots"):
        [server] = bench.booted(flavor)
        [arq] = bench.holds(server)
    provider = arq["device_rp_uuid"]
    with bench.need("it is deleted: the handle is quarantined, one is reserved"):
        bench.delete([server])

        def look() -> None:
            quarantined = [row["provider"] for row in bench.database.quarantined()]
            expect(quarantined == [provider], f"quarantined are handles of {quarantined}")
            bench.expect_nothing_left()

        eventually(look, 40)
    with bench.check("it stays so"):
        steadily(lambda: _expect_reserved(bench, provider), 1.5 * COMPARISON)
    with bench.need("three servers have the other three handles"):
        bench.change(handles=2)
        servers = bench.booted(flavor, 3)
        handles = {handle(bench.holds(server)[0]) for server in servers}
        expect(len(handles) == 3, f"handles: {handles}")
        expect(handle(arq) not in handles, f"one has the bad handle {handle(arq)}")
    with bench.check("a fourth has none"):
        [server] = bench.boot(flavor)
        failed = bench.cloud.settle(server, "ERROR")
        expect(NO_HOST in fault(failed), f"it says: {fault(failed)}")
    with bench.check("the quarantined handle is the one that the server had"):
        [row] = bench.database.quarantined()
        info: dict[str, Any] = json.loads(row["info"])
        expect(info == arq["attach_handle_info"], f"it is {info}")


def _expect_reserved(bench: Bench, provider: str) -> None:
    [deployable] = [each for each in bench.hardware.deployables() if each.uuid == provider]
    bench.placement.expect_whole(deployable, 1)


FLOWS = (Flow("cleaning", cleaning), Flow("quarantine", quarantine))
