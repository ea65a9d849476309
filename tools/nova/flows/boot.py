"""The main job, as people do it: with the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cards import VirtualFunctions
from cli import openstack, shown
from waiting import eventually, expect, steadily

from flows.base import Flow

if TYPE_CHECKING:
    from bench import Bench


def boot(bench: Bench) -> None:
    """An operator makes profile and flavor, a member boots and deletes a server."""
    name = bench.name("cli")
    groups = json.dumps(bench.hardware.groups)
    with bench.need("the operator creates a device profile"):
        made = shown("admin", "accelerator", "device", "profile", "create", name, groups)
        bench.keep_profile(made["uuid"])
    with bench.need("the operator creates a flavor that names it"):
        sizes = ("--ram", "64", "--vcpus", "1", "--disk", "1")
        extra = ("--property", f"accel:device_profile={name}")
        bench.keep_flavor(shown("admin", "flavor", "create", name, *sizes, *extra)["id"])
    with bench.need("a member boots a server: ACTIVE"):
        of_what = ("--nic", "none", "--image", "ms-image", "--flavor", name)
        server = shown("demo", "server", "create", *of_what, name)["id"]
        bench.keep_server(server)
        bench.cloud.settle(server, "ACTIVE")
    with bench.need("it has an ARQ, Bound, of its project, with handle and allocation"):
        [arq] = bench.holds(server)
    with bench.check("the ARQ is on the server's host"):
        host = bench.cloud.server(server).compute_host
        expect(arq["hostname"] == host, f"the server is on {host}, the ARQ on {arq['hostname']}")
    with bench.check("the member sees the ARQ"):
        seen = [arq["uuid"] for arq in bench.cloud.arqs(server, bench.cloud.demo)]
        expect(seen == [arq["uuid"]], f"the member sees {seen}")
    with bench.check("Nova has one call, with one event, from us"):
        _expect_one_call(bench, server, arq)
    with bench.check("the member deletes it: nothing is left"):
        openstack("demo", "server", "delete", "--wait", server)
        eventually(bench.expect_nothing_left)


def _expect_one_call(bench: Bench, server: str, arq: Mapping[str, Any]) -> None:
    def look() -> None:
        calls = bench.stack.events(server)
        expect(len(calls) == 1, f"{len(calls)} calls: {calls}")
        [call] = calls
        expect(call["status"] in (200, 207), f"Nova answers {call['status']}")
        expect("cyborg" in (call["agent"] or ""), f"it comes from {call['agent']}")
        [event] = call["request"]["events"]
        wanted = {
            "name": "accelerator-request-bound",
            "server_uuid": server,
            "tag": arq["uuid"],
            "status": "completed",
        }
        expect(event == wanted, f"the event is {event}")

    eventually(look)
    # A second one would come soon, if at all: the first may have been answered 422.
    steadily(look, 5)


FLOWS = (
    Flow("boot", boot),
    Flow("vf-boot", boot, VirtualFunctions),
)
