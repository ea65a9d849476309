"""Threads that tell Nova: what is told first does not wait for what is told again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from cyborg.conductor.senders import AGAIN, FIRST, Senders
from cyborg.domain.errors import ServiceUnavailable

PATIENCE = 10


class Slow:
    """Something that waits until it is let go, and says that it has begun."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.begun = threading.Semaphore(0)

    def __call__(self) -> None:
        self.begun.release()
        assert self.let_go.wait(PATIENCE)

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.begun.acquire(timeout=PATIENCE)


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.let_go.set()


@pytest.fixture
def senders(slow: Slow) -> Iterator[Senders]:
    senders = Senders()
    yield senders
    slow.let_go.set()
    senders.stop()


def test_what_waits_or_is_told_is_not_taken_again(senders: Senders, slow: Slow) -> None:
    assert senders.first("a", slow)
    assert not senders.first("a", slow)
    assert not senders.again("a", slow)
    slow.let_go.set()
    told = threading.Event()
    while not senders.again("a", told.set):
        pass
    assert told.wait(PATIENCE)


def test_what_is_told_again_has_a_few_threads_and_takes_no_other(
    senders: Senders, slow: Slow
) -> None:
    assert senders.room() == AGAIN
    taken = [senders.again(f"again {number}", slow) for number in range(AGAIN + 3)]
    assert taken == [True] * AGAIN + [False] * 3
    slow.wait_for(AGAIN)
    assert senders.room() == 0
    told = threading.Event()
    assert senders.first("first", told.set)
    assert told.wait(PATIENCE)


def test_what_is_told_first_finds_a_thread_beside_many_that_wait(
    senders: Senders, slow: Slow
) -> None:
    for number in range(FIRST - 1):
        assert senders.first(str(number), slow)
    slow.wait_for(FIRST - 1)
    told = threading.Event()
    assert senders.first("last", told.set)
    assert told.wait(PATIENCE)


def test_what_fails_is_said_and_its_thread_goes_on(
    senders: Senders, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(error: Exception) -> None:
        raise error

    for error in (ServiceUnavailable("no database"), ZeroDivisionError("a bug")):
        for _ in range(AGAIN + 1):
            while not senders.again("failing", partial(fail, error)):
                pass
    told = threading.Event()
    while not senders.again("last", told.set):
        pass
    assert told.wait(PATIENCE)
    assert "no database" in caplog.text
    assert "a bug" in caplog.text


def test_after_the_stop_nothing_is_taken(senders: Senders) -> None:
    senders.stop()
    assert not senders.first("a", lambda: None)
    assert not senders.again("b", lambda: None)
