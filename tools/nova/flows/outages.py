"""Everything that our service needs is away: when it starts, and while it is at work."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import requests
from settings import CONDUCTORS
from waiting import expect, wait_for

from flows.base import Flow
from flows.slow import wait_for_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench import Bench

#: Seconds for which something is away in the middle of a bind.
AWAY = 5

#: Seconds until nova-compute has asked for the ARQs of a server that it has. It gives up where it
#: is not answered, and nothing shows when it has asked.
ASKED = 3


def nothing_there(bench: Bench) -> None:
    """Nothing is there when our service starts; it comes bit by bit."""
    bench.spoilt = True
    try:
        _bit_by_bit(bench)
    finally:
        for way in bench.service.ways.values():
            way.mend()


def _bit_by_bit(bench: Bench) -> None:
    service, stack = bench.service, bench.stack
    service.stop()
    bench.sweep()
    service.prepare()
    for way in service.ways.values():
        way.cut()
    stack.stop("keystone", "placement", "nova-api")
    service.launch_all()
    with bench.need("all processes live, and say what they wait for, without a traceback"):
        for conductor in CONDUCTORS:
            tried = partial(_tried, bench, conductor, "waiting for the database")
            wait_for(f"{conductor} to try", tried, 40)
        wait_for("the API to answer", lambda: _status(bench, "/") == 200, 40)
        _expect_sound(bench)
    with bench.need("the database is there: the conductors look for the message queue"):
        service.ways["database"].mend()
        for conductor in CONDUCTORS:
            wait_for(f"{conductor} to go on", partial(_tried, bench, conductor, "retrying in"), 40)
        _expect_sound(bench)
    with bench.need("the message queue is there: the agents report their devices"):
        service.ways["queue"].mend()
        service.wait_for_reports()
    with bench.need("Keystone, Placement and Nova are there: so are our providers"):
        stack.start_again()
        wait_for("an answer of nova-api", partial(_answers, bench), 60)
        bench.wait_for_providers(60)
        _expect_sound(bench)
    with bench.check("a server boots"):
        [server] = bench.booted(bench.flavor())
        bench.holds(server)


def without(bench: Bench, what: str, away: Callable[[Bench], AbstractContextManager[None]]) -> None:
    """Lose something during a bind: the server becomes ACTIVE when it is back."""
    flavor = bench.flavor()
    bench.change(prepare_delay=3 + ASKED + AWAY)
    [server] = bench.boot(flavor)
    with bench.need(f"the bind has begun: {what} is away"):
        wait_for_state(bench, server, "BindStarted")
        wait_for("the server to have a host", lambda: bench.cloud.server(server).compute_host, 10)
        time.sleep(ASKED)
        expect(bench.database.states(server) == ["BindStarted"], "the bind has ended already")
    with away(bench), bench.check("no process of ours ends"):
        time.sleep(AWAY)
        expect(bench.service.running(), "one has ended")
    with bench.check("it is back: the server becomes ACTIVE"):
        wait_for("an answer of nova-api", partial(_answers, bench, server), 60)
        bench.cloud.settle(server, "ACTIVE")
        bench.holds(server)
    with bench.check("it is deleted: nothing is left"):
        bench.delete([server])


@contextmanager
def _cut(way: str, bench: Bench) -> Iterator[None]:
    bench.service.ways[way].cut()
    try:
        yield
        status = _status(bench, "/v2/devices")
        # Without the queue the API still reads; nobody is authenticated here.
        expect(status in (401, 503), f"the API answers {status}")
    finally:
        bench.service.ways[way].mend()


@contextmanager
def _stopped(name: str, bench: Bench) -> Iterator[None]:
    bench.stack.stop(name)
    try:
        yield
    finally:
        bench.stack.start_again()


def lost_database(bench: Bench) -> None:
    """The database is away for a while during a bind: ACTIVE when it is back."""
    without(bench, "the database", partial(_cut, "database"))


def lost_queue(bench: Bench) -> None:
    """The message queue is away for a while during a bind: ACTIVE when it is back."""
    without(bench, "the message queue", partial(_cut, "queue"))


def lost_keystone(bench: Bench) -> None:
    """Keystone is away for a while during a bind: ACTIVE when it is back."""
    without(bench, "Keystone", partial(_stopped, "keystone"))


def lost_placement(bench: Bench) -> None:
    """Placement is away for a while during a bind: ACTIVE when it is back."""
    without(bench, "Placement", partial(_stopped, "placement"))


def _status(bench: Bench, path: str) -> int:
    try:
        return requests.get(bench.service.url + path, timeout=10).status_code
    except requests.ConnectionError:
        return 0


def _tried(bench: Bench, process: str, text: str) -> bool:
    return bench.service.log(process).count(text) >= 2


def _expect_sound(bench: Bench) -> None:
    expect(bench.service.running(), "a process has ended")
    for name in (*CONDUCTORS, *bench.hosts, "api"):
        expect("Traceback" not in bench.service.log(name), f"{name} has a traceback in its log")


def _answers(bench: Bench, server: str | None = None) -> bool:
    try:
        if server is None:
            return bench.cloud.service_of(bench.hosts[0]) is not None
        return bench.cloud.status(server) != "gone"
    except Exception:  # whatever it is while the services start
        return False


FLOWS = (
    Flow("nothing-there", nothing_there),
    Flow("lost-database", lost_database),
    Flow("lost-queue", lost_queue),
    Flow("lost-keystone", lost_keystone),
    Flow("lost-placement", lost_placement),
)
