"""When there are too few accelerators, or an operator keeps some back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arqs import fault
from cli import openstack
from waiting import eventually, expect

from flows.base import Flow

if TYPE_CHECKING:
    from bench import Bench

NO_HOST = "No valid host"


def surplus(bench: Bench) -> None:
    """More servers than accelerators: so many run, the others fail, and leave nothing."""
    flavor = bench.flavor()
    with bench.need("each host has one accelerator only"):
        bench.change(handles=1)
    with bench.need("of four servers two are ACTIVE and two are in ERROR"):
        servers = bench.boot(flavor, 4)
        by_status = bench.cloud.settle_any(servers)
        seen = {status: len(some) for status, some in by_status.items()}
        expect(seen == {"ACTIVE": 2, "ERROR": 2}, f"they are {seen}")
    with bench.check("the two that run have one each, on different hosts"):
        arqs = [bench.holds(server.id)[0] for server in by_status["ACTIVE"]]
        expect(len({arq["hostname"] for arq in arqs}) == 2, f"they are {arqs}")
    for server in by_status["ERROR"]:
        with bench.check("one that failed says that there is no host, and has no ARQ"):
            expect(NO_HOST in fault(server), f"it says: {fault(server)}")
            bench.holds(server.id, 0)
    with bench.check("there are no other ARQs"):
        expect(len(bench.cloud.arqs()) == 2, f"ARQs: {bench.cloud.arqs()}")
    with bench.check("after the deletion one can boot again"):
        bench.delete(servers)
        eventually(bench.expect_nothing_left)
        bench.booted(flavor)


def disabled(bench: Bench) -> None:
    """A device that is disabled gets no server; enabled again it does."""
    flavor = bench.flavor()
    devices = {host: device["uuid"] for host, device in bench.cloud.devices().items()}
    first, second = bench.hosts[:2]

    def switch(action: str, host: str) -> None:
        openstack("admin", "accelerator", "device", action, devices[host])
        deployable = bench.deployable(host)
        reserved = 0 if action == "enable" else deployable.total
        eventually(lambda: bench.placement.expect_whole(deployable, reserved))

    try:
        with bench.need("the administrator disables a device: all of it is reserved"):
            switch("disable", first)
        with bench.check("three servers land on the other host"):
            for server in bench.booted(flavor, 3):
                bench.holds(server, host=second)
        with bench.need("the other one is disabled too, though servers use it"):
            switch("disable", second)
        with bench.check("no server lands anywhere"):
            [server] = bench.boot(flavor)
            failed = bench.cloud.settle(server, "ERROR")
            expect(NO_HOST in fault(failed), f"it says: {fault(failed)}")
        with bench.need("the first is enabled again: nothing is reserved"):
            switch("enable", first)
        with bench.check("a server lands there"):
            [server] = bench.booted(flavor)
            bench.holds(server, host=first)
    finally:
        with bench.check("both are enabled again"):
            for host in (first, second):
                switch("enable", host)


FLOWS = (Flow("surplus", surplus), Flow("disabled", disabled))
