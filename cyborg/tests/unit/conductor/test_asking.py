"""Asking services before an answer: nobody waits longer than one budget, and not for ever anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from oslo_context import context

from cyborg.clients.http import NoAnswer
from cyborg.conductor.asking import PAUSE, Asking, Budget
from cyborg.domain.errors import Forbidden, ServiceUnavailable
from cyborg.rpc.context import working_for


class Clock:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What a hanging service waits for, at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def test_it_returns_what_was_asked_and_raises_what_was_raised() -> None:
    asking = Asking()
    assert asking.ask("Nova", lambda: 42, Budget()) == 42

    def refuse() -> None:
        raise Forbidden("no")

    with pytest.raises(Forbidden):
        asking.ask("Nova", refuse, Budget())
    assert asking.ask("Nova", lambda: 43, Budget()) == 43


def test_who_does_not_answer_is_left_alone_for_a_while(hanging: threading.Event) -> None:
    clock = Clock()
    asking = Asking(clock)
    calls = []

    def hang() -> bool:
        calls.append(1)
        return hanging.wait(10)

    with pytest.raises(ServiceUnavailable, match="in time"):
        asking.ask("Placement", hang, Budget(0.01))
    for _ in range(3):
        with pytest.raises(ServiceUnavailable, match="a moment ago"):
            asking.ask("Placement", hang, Budget())
    assert calls == [1]
    # Another one is none of this.
    assert asking.ask("Nova", lambda: 1, Budget()) == 1
    clock.now += PAUSE + 1
    with pytest.raises(ServiceUnavailable, match="in time"):
        asking.ask("Placement", hang, Budget(0.01))
    assert calls == [1, 1]


def test_the_first_after_a_pause_finds_out_and_nobody_waits_beside_it() -> None:
    clock = Clock()
    asking = Asking(clock)

    def time_out() -> None:
        raise NoAnswer("nothing came")

    with pytest.raises(NoAnswer):
        asking.ask("Placement", time_out, Budget())
    clock.now += PAUSE + 1

    def ask_beside() -> str:
        with pytest.raises(ServiceUnavailable, match="a moment ago"):
            asking.ask("Placement", lambda: None, Budget())
        return "answered"

    assert asking.ask("Placement", ask_beside, Budget()) == "answered"
    # And then it is as it was.
    assert asking.ask("Placement", lambda: 1, Budget()) == 1


def test_many_at_once_wait_for_one_budget_each(hanging: threading.Event) -> None:
    asking = Asking()
    spent: list[float] = []

    def request() -> None:
        began = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            asking.ask("Placement", lambda: hanging.wait(10), Budget(0.3))
        spent.append(time.monotonic() - began)

    threads = [threading.Thread(target=request) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(spent) == 32
    # One after the other they would take ten seconds.
    assert max(spent) < 2


def test_one_budget_is_for_all_that_a_request_asks() -> None:
    clock = Clock()
    asking = Asking(clock)
    budget = Budget(5)

    def take(seconds: float) -> None:
        clock.now += seconds

    asking.ask("Nova", lambda: take(3), budget)
    assert budget.left == 2
    asking.ask("Placement", lambda: take(3), budget)
    assert budget.left == 0
    with pytest.raises(ServiceUnavailable):
        asking.ask("Placement", lambda: None, budget)


def test_after_the_stop_nobody_is_asked() -> None:
    asking = Asking()
    assert asking.ask("Nova", lambda: 1, Budget()) == 1
    asking.stop()
    for service in ("Nova", "Placement"):
        with pytest.raises(ServiceUnavailable, match="stops"):
            asking.ask(service, lambda: 1, Budget())


def test_who_asks_carries_the_id_of_the_request() -> None:
    with working_for("req-1", "req-2"):
        seen = Asking().ask("Nova", context.get_current, Budget())
    assert seen is not None
    assert (seen.request_id, seen.global_request_id) == ("req-1", "req-2")
