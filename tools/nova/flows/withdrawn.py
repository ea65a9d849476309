"""Servers that are deleted while they are built: Nova leaves their ARQs to us."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from waiting import eventually, expect

from flows.base import Flow
from flows.slow import wait_for_state

if TYPE_CHECKING:
    from bench import Bench

#: Seconds until nothing must be left.
PATIENCE = 30


def withdrawn(bench: Bench) -> None:
    """Servers are deleted at any moment of their making: all comes back."""
    flavor = bench.flavor()
    with bench.need("ten of them, with binds that are done at once"):
        _boot_and_delete(bench, flavor, 10, 1.5)
    with bench.need("one whose ARQ is bound, and which has no host yet"):
        _delete_without_host(bench, flavor, "Bound")
    bench.change(prepare_delay=2)
    with bench.need("one whose bind is under way, and which has no host yet"):
        _delete_without_host(bench, flavor, "BindStarted")
    with bench.need("six of them, with binds that take two seconds"):
        _boot_and_delete(bench, flavor, 6, 3)


def _delete_without_host(bench: Bench, flavor: str, state: str) -> None:
    """Let nobody take the server. Nova 34 then deletes it without a word to us."""
    bench.stop_computes()
    [server] = bench.boot(flavor)
    wait_for_state(bench, server, state)
    expect(bench.cloud.server(server).compute_host is None, "it has a host")
    bench.delete([server])
    bench.stack.start_again()
    eventually(bench.expect_nothing_left, PATIENCE)
    bench.wait_for_computes()


def _boot_and_delete(bench: Bench, flavor: str, count: int, longest: float) -> None:
    # The same delays in each run; where they hit is chance enough.
    chance = random.Random(count)  # noqa: S311 -- no secret
    servers: list[str] = []
    for _ in range(count):
        [server] = bench.boot(flavor)
        time.sleep(chance.uniform(0, longest) if servers else 0)
        bench.cloud.demo.compute.delete_server(server)
        servers.append(server)
    bench.cloud.wait_gone(servers)
    eventually(bench.expect_nothing_left, PATIENCE)
    bench.delete(servers)


FLOWS = (Flow("withdrawn", withdrawn),)
