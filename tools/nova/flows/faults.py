"""Processes that die, and services that are away for a while."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from settings import COMPARISON, CONDUCTORS
from waiting import eventually, expect, wait_for

from flows.base import Flow
from flows.slow import wait_for_state

if TYPE_CHECKING:
    from bench import Bench


def lost_conductor(bench: Bench) -> None:
    """A conductor is killed while four servers wait for their binds: all become ACTIVE."""
    flavor = bench.flavor()
    bench.change(prepare_delay=10)
    servers = bench.boot(flavor, 4)
    with bench.need("all binds have begun, and been answered: a conductor is killed"):
        # A call that a conductor dies of is answered 503, and Nova gives such a server up.
        for server in servers:
            wait_for("a host", partial(lambda one: bench.cloud.server(one).compute_host, server))
        states = [state for server in servers for state in bench.database.states(server)]
        expect("BindStarted" in states, f"all binds have ended: {states}")
        bench.service.kill(CONDUCTORS[0])
    with bench.check("all are ACTIVE, with one accelerator each"):
        bench.cloud.settle_all(servers, "ACTIVE")
        for server in servers:
            bench.holds(server)
        expect(bench.database.owned_handles() == 4, "other handles are taken")
    with bench.check("with one conductor they are deleted: nothing is left"):
        bench.delete(servers)
        eventually(bench.expect_nothing_left, 30)
    bench.service.launch(CONDUCTORS[0])


def lost_agent(bench: Bench) -> None:
    """An agent is killed in the middle of a bind, and started again: ACTIVE."""
    flavor = bench.flavor()
    bench.change(prepare_delay=4)
    [server] = bench.boot(flavor)
    with bench.need("the bind has begun: the agent is killed, and started a second later"):
        host = wait_for_state(bench, server, "BindStarted")["hostname"]
        bench.service.kill(host)
        time.sleep(1)
        bench.service.launch(host)
    with bench.check("the server becomes ACTIVE"):
        bench.cloud.settle(server, "ACTIVE")
        bench.holds(server, host=host)


def late_placement(bench: Bench) -> None:
    """Placement is away when our service starts: providers come when it does."""
    bench.spoilt = True
    bench.service.stop()
    bench.sweep()
    bench.stack.stop("placement")
    with bench.need("our service starts without Placement, and knows its devices"):
        bench.service.start()
        wait_for("the devices", lambda: len(bench.cloud.devices()) == len(bench.hosts), 40)
    with bench.need("when Placement is there, so are our providers"):
        bench.stack.start_again()
        eventually(lambda: _expect_providers(bench), 60)
    with bench.check("a server boots"):
        [server] = bench.booted(bench.flavor())
        bench.holds(server)


def lost_nova(bench: Bench) -> None:
    """nova-api is away when it should hear that a bind is done: it hears it later."""
    flavor = bench.flavor()
    # nova-api takes up to ten seconds to stop.
    bench.change(prepare_delay=15)
    [server] = bench.boot(flavor)
    with bench.need("the bind has begun: nova-api stops"):
        wait_for_state(bench, server, "BindStarted")
        wait_for("the server to have a host", lambda: bench.cloud.server(server).compute_host, 10)
        bench.stack.stop("nova-api")
        expect(bench.database.states(server) == ["BindStarted"], "it stopped too late")
    with bench.check("the bind is done, and Nova cannot be told"):
        wait_for("the bind's end", lambda: bench.database.states(server) == ["Bound"], 30)
        time.sleep(3)
        told = bench.stack.events(server)
        expect(not told, f"it was told: {told}")
    with bench.check("nova-api comes back: the server becomes ACTIVE"):
        bench.stack.start_again()
        wait_for("an answer of nova-api", lambda: _answers(bench, server), 60)
        bench.cloud.settle(server, "ACTIVE")
        bench.holds(server)


def meddled_placement(bench: Bench) -> None:
    """Somebody changes or deletes our providers in Placement: they are restored."""
    placement = bench.placement
    deployables = [bench.deployable(host) for host in bench.hosts[:2]]
    first, second = (deployable.uuid for deployable in deployables)
    patience = 3 * COMPARISON
    with bench.check("a provider is deleted: it comes back"):
        placement.delete_provider(first)
        eventually(lambda: _expect_providers(bench), patience)
    with bench.check("an inventory is changed: it is put right"):
        placement.set_inventory(deployables[1], 3)
        eventually(lambda: _expect_providers(bench), patience)
    with bench.check("a trait is taken away: it comes back"):
        placement.set_traits(first, ["OWNER_CYBORG"])
        eventually(lambda: _expect_providers(bench), patience)
    with bench.check("a provider is deleted that nobody knows to be ours: it comes back"):
        placement.set_traits(second, [])
        placement.delete_provider(second)
        eventually(lambda: _expect_providers(bench), patience)
    with bench.check("servers boot on both hosts"):
        arqs = [bench.holds(server)[0] for server in bench.booted(bench.flavor(), 4)]
        expect(len(arqs) == 4, "there are too few ARQs")


def _expect_providers(bench: Bench) -> None:
    for host in bench.hosts:
        bench.placement.expect_whole(bench.deployable(host))


def _answers(bench: Bench, server: str) -> bool:
    try:
        return bench.cloud.status(server) != "gone"
    except Exception:  # whatever it is while nova-api starts
        return False


FLOWS = (
    Flow("lost-conductor", lost_conductor),
    Flow("lost-agent", lost_agent),
    Flow("late-placement", late_placement),
    Flow("lost-nova", lost_nova),
    Flow("meddled-placement", meddled_placement),
)
