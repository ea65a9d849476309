"""Servers with several accelerators, and several servers at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from arqs import handle
from cards import VirtualFunctions
from waiting import eventually, expect

from flows.base import Flow

if TYPE_CHECKING:
    from bench import Bench


def groups(bench: Bench) -> None:
    """Profiles of two units, and of two groups."""
    [one] = bench.hardware.groups
    profiles = {
        "two units": [{**one, f"resources:{bench.hardware.resource_class}": "2"}],
        "two groups": [one, dict(one)],
    }
    for what, profile in profiles.items():
        with bench.check(f"{what}: two ARQs, two handles, two allocated"):
            [server] = bench.booted(bench.flavor(profile))
            arqs = bench.holds(server, 2)
            expect(len({handle(arq) for arq in arqs}) == 2, f"they share a handle: {arqs}")
            expect(bench.database.owned_handles() == 2, "other handles are taken")
        # What is prepared is told as soon as it is ready, each by itself.
        prepares, _ = bench.hardware.needs()
        calls = 2 if prepares else 1
        with bench.check(f"{what}: Nova has both events, each once, in no more calls than {calls}"):
            eventually(partial(_expect_two_events, bench, server, calls))
        with bench.check(f"{what}: deleted, nothing is left"):
            bench.delete([server])
            eventually(bench.expect_nothing_left)


def eight(bench: Bench) -> None:
    """Eight servers are booted at once, and deleted at once."""
    with bench.need("all are ACTIVE"):
        servers = bench.booted(bench.flavor(), 8)
    with bench.check("each has a handle of its own"):
        handles = {handle(bench.holds(server)[0]) for server in servers}
        expect(len(handles) == 8, f"there are {len(handles)} handles for 8 servers")
        expect(bench.database.owned_handles() == 8, "other handles are taken")
    with bench.check("all are deleted: nothing is left"):
        bench.delete(servers)
        eventually(bench.expect_nothing_left)


def _expect_two_events(bench: Bench, server: str, most_calls: int) -> None:
    calls = [call["request"]["events"] for call in bench.stack.events(server)]
    counts = [len(events) for events in calls]
    expect(len(calls) <= most_calls, f"calls with so many events each: {counts}")
    tags = [event["tag"] for events in calls for event in events]
    wanted = [arq["uuid"] for arq in bench.cloud.arqs(server)]
    expect(sorted(tags) == sorted(wanted), f"events of {tags}, ARQs {wanted}")


FLOWS = (
    Flow("groups", groups),
    Flow("eight", eight),
    Flow("vf-groups", groups, VirtualFunctions),
    Flow("vf-eight", eight, VirtualFunctions),
)
