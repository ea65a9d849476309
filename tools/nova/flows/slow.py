"""Binds that take their time, and binds that fail."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from waiting import eventually, expect, steadily, wait_for

from flows.base import Flow

if TYPE_CHECKING:
    from bench import Bench

#: Nova itself gives up after this many seconds; we must be much faster.
NOVA_PATIENCE = 300


def slow(bench: Bench) -> None:
    """Devices that need time: the server waits in BUILD until Nova has the event."""
    flavor = bench.flavor()
    bench.change(prepare_delay=4)
    began = time.monotonic()
    with bench.need("the ARQ is BindStarted and the server in BUILD"):
        [server] = bench.boot(flavor)
        wait_for_state(bench, server, "BindStarted")
        status = bench.cloud.status(server)
        expect(status == "BUILD", f"the server is in {status}")
    with bench.need("the server becomes ACTIVE"):
        bench.cloud.settle(server, "ACTIVE")
        bench.holds(server)
    with bench.check("not before the device was ready"):
        seconds = time.monotonic() - began
        expect(seconds > 4, f"it took only {seconds:.1f} s")
    with bench.check("Nova has taken an event 'completed'"):
        _expect_events(bench, server, "completed")
    with bench.check("deleted: nothing is left"):
        bench.delete([server])
        eventually(bench.expect_nothing_left)


def failing(bench: Bench) -> None:
    """Devices that cannot be made ready, known at once: ERROR, never ACTIVE."""
    flavor = bench.flavor()
    bench.change(prepare_failures=-1)
    [server] = bench.boot(flavor)
    _expect_failure(bench, server, 60)


def failing_early(bench: Bench) -> None:
    """Devices that cannot be made ready, known before the server has a host."""
    flavor = bench.flavor()
    bench.change(prepare_failures=-1)
    bench.stop_computes()
    [server] = bench.boot(flavor)
    with bench.need("Nova is told that it failed, and answers that there is no host yet"):
        eventually(lambda: _expect_answer(bench, server, 422), 30)
    bench.stack.start_again()
    # nova-compute starts with calling the build interrupted, and the server ERROR. Then it
    # builds it all the same: ACTIVE without its device, if it found the bind at an end.
    _expect_failure(bench, server, 60)


def failing_late(bench: Bench) -> None:
    """Devices that cannot be made ready, known when nova-compute already waits."""
    flavor = bench.flavor()
    bench.change(prepare_failures=-1, prepare_delay=5)
    [server] = bench.boot(flavor)
    with bench.check("nova-compute waits before it is known"):
        wait_for_state(bench, server, "BindStarted")
        wait_for("the server to have a host", lambda: bench.cloud.server(server).compute_host, 10)
    _expect_failure(bench, server, 90)


def failing_unheard(bench: Bench) -> None:
    """As failing-late, and Nova gets the event much later: never ACTIVE all the same."""
    flavor = bench.flavor()
    bench.change(prepare_failures=-1, prepare_delay=2)
    with bench.stack.held_events():
        [server] = bench.boot(flavor)
        with bench.need("the bind fails, and Nova does not know"):
            wait_for("the failure", lambda: "failed" in bench.database.outbox(server), 40)
        with bench.check("the server waits, and reads no ARQ that looks resolved"):

            def look() -> None:
                states = [arq["state"] for arq in bench.cloud.arqs(server)]
                expect(states == ["BindStarted"], f"its ARQs read {states}")
                status = bench.cloud.status(server)
                expect(status == "BUILD", f"the server is in {status}")

            steadily(look, 6)
    _expect_failure(bench, server, 60)


def wait_for_state(bench: Bench, server: str, state: str, patience: float = 20) -> dict[str, Any]:
    """Wait until a server has an ARQ in a state; return it."""

    def look() -> dict[str, Any]:
        arqs = bench.cloud.arqs(server)
        states = [arq["state"] for arq in arqs]
        expect(state in states, f"its ARQs are {states}, none is {state}")
        return arqs[states.index(state)]

    return eventually(look, patience, 0.2)


def _expect_failure(bench: Bench, server: str, patience: float) -> None:
    began = time.monotonic()
    with bench.need("the server is in ERROR, long before Nova's own patience ends"):
        _settle_in_error(bench, server, patience)
        seconds = time.monotonic() - began
        expect(seconds < NOVA_PATIENCE / 3, f"it took {seconds:.0f} s")
    with bench.check("Nova has taken an event 'failed'"):
        _expect_events(bench, server, "failed")
    with bench.check("nothing is left, though the server is still there"):
        bench.holds(server, 0)
        eventually(bench.expect_nothing_left, 30)
    with bench.check("it never was ACTIVE"):

        def look() -> None:
            found = bench.cloud.server(server)
            expect(found.status == "ERROR", f"it is in {found.status}")
            expect(found.launched_at is None, f"it ran from {found.launched_at}")

        steadily(look, 3)
    with bench.check("nothing is left when it is deleted"):
        bench.delete([server])
        eventually(bench.expect_nothing_left)


def _settle_in_error(bench: Bench, server: str, patience: float) -> None:
    seen: list[str] = []

    def ended() -> bool:
        status = bench.cloud.status(server)
        if status not in seen:
            seen.append(status)
        return status not in ("BUILD",)

    wait_for("the end of the build", ended, patience, 0.2)
    expect(seen[-1] == "ERROR", f"the server went through {', '.join(seen)}")


def _expect_events(bench: Bench, server: str, status: str) -> None:
    def look() -> None:
        calls = bench.stack.events(server)
        sent = [event["status"] for call in calls for event in call["request"]["events"]]
        expect(sent and set(sent) == {status}, f"events: {sent}")
        _expect_answer(bench, server, 200)

    eventually(look)


def _expect_answer(bench: Bench, server: str, code: int) -> None:
    calls = bench.stack.events(server)
    answers = [event.get("code") for call in calls for event in call["response"]["events"]]
    expect(code in answers, f"Nova answers {answers}")


FLOWS = (
    Flow("slow", slow),
    Flow("failing", failing),
    Flow("failing-early", failing_early),
    Flow("failing-late", failing_late),
    Flow("failing-unheard", failing_unheard),
)
