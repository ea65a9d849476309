from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest

from cyborg.agent.card_queues import CardQueues
from cyborg.agent.threads import Threads
from cyborg.tests.unit.agent.helpers import PATIENCE


class Bench:
    """Queues of names; what runs waits for its gate, if there is one."""

    def __init__(self) -> None:
        self.gates: dict[str, threading.Event] = {}
        self.begun: queue.Queue[str] = queue.Queue()
        self.ended: list[str] = []
        self.threads = Threads("test-cards")
        self.queues = CardQueues[str](self.run, self.threads)

    def run(self, name: str) -> None:
        self.begun.put(name)
        if name in self.gates:
            assert self.gates[name].wait(PATIENCE)
        if name == "broken":
            raise ZeroDivisionError
        self.ended.append(name)

    def holding(self, name: str, card: str = "card-1") -> threading.Event:
        """Occupy a card until the event that is returned is set."""
        gate = self.gates[name] = threading.Event()
        self.queues.add(card, name)
        assert self.begun.get(timeout=PATIENCE) == name
        return gate

    def finish(self) -> None:
        for gate in self.gates.values():
            gate.set()
        assert self.threads.wait_until_ended(PATIENCE)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.finish()


def test_one_after_the_other_on_a_card(bench: Bench) -> None:
    bench.holding("a")
    bench.queues.add("card-1", "b")
    bench.queues.add("card-1", "c")
    assert bench.begun.empty()
    bench.finish()
    assert bench.ended == ["a", "b", "c"]


def test_cards_beside_each_other(bench: Bench) -> None:
    bench.holding("a", "card-1")
    bench.holding("b", "card-2")


def test_what_waits_can_be_removed_and_what_runs_cannot(bench: Bench) -> None:
    bench.holding("a")
    bench.queues.add("card-1", "b")
    assert not bench.queues.remove("card-1", "a")
    assert not bench.queues.remove("card-2", "b")
    assert bench.queues.remove("card-1", "b")
    assert not bench.queues.remove("card-1", "b")
    bench.finish()
    assert bench.ended == ["a"]


def test_clear_returns_what_waited(bench: Bench) -> None:
    bench.holding("a", "card-1")
    bench.holding("b", "card-2")
    bench.queues.add("card-1", "c")
    bench.queues.add("card-2", "d")
    assert bench.queues.clear() == ["c", "d"]
    assert not bench.threads.wait_until_ended(0)
    bench.finish()
    assert sorted(bench.ended) == ["a", "b"]


def test_a_card_goes_on_after_a_bug(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    gate = bench.holding("broken")
    bench.queues.add("card-1", "b")
    gate.set()
    bench.finish()
    assert bench.ended == ["b"]
    assert "ZeroDivisionError" in caplog.text


def test_an_idle_card_has_no_thread(bench: Bench) -> None:
    bench.queues.add("card-1", "a")
    bench.finish()
    assert not any(thread.name == "test-cards" for thread in threading.enumerate())
    bench.queues.add("card-1", "b")
    bench.finish()
    assert bench.ended == ["a", "b"]


def test_without_a_thread_nothing_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            bench.queues.add("card-1", "a")
    assert bench.queues.clear() == []
    assert bench.threads.wait_until_ended(0)
    bench.queues.add("card-1", "b")
    bench.finish()
    assert bench.ended == ["b"]


def test_a_thread_that_fails_is_over(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.threads.start(bench.run, "broken")
    assert bench.threads.wait_until_ended(PATIENCE)
    assert "thread failed name=test-cards" in caplog.text
