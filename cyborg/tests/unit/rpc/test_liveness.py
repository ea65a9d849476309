"""Who waits is told so from the first moment; who was frozen knows whose callers have left."""

from __future__ import annotations

import json
import threading
import time

import oslo_messaging
import pytest
from oslo_messaging._drivers.common import DecayingTimer

from cyborg.rpc import rabbit
from cyborg.rpc.context import MessageContext, answering, caller_has_left, forget, untimed
from cyborg.rpc.liveness import (
    INTERVAL,
    LONG_INTERVAL,
    LONG_PATIENCE,
    LONG_SILENCE,
    PATIENCE,
    SILENCE,
    Calls,
    Patience,
)


class Incoming:
    """A call that has come."""

    def __init__(
        self,
        client_timeout: float | None = 2.0,
        broken: bool = False,
        reply_q: str = "reply_of_the_api",
    ) -> None:
        self.client_timeout = client_timeout
        self.reply_q = reply_q
        self.told = 0
        self._broken = broken

    def heartbeat(self) -> None:
        if self._broken:
            raise OSError("no way to the caller")
        self.told += 1


class Bench:
    """Calls, and a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls = Calls(lambda: self.now)

    def wait(self, seconds: float) -> None:
        """Let time pass, in which the process is awake."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now = min(end, self.now + INTERVAL)
            self.calls.tell()

    def answer(self, incoming: Incoming) -> None:
        """Answer a call, and the queue takes it."""
        self.calls.answer(incoming, lambda _result: None, "result")
        self.calls.forget(incoming)

    def freeze(self, seconds: float) -> None:
        """Let time pass, in which it is not."""
        self.now += seconds


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_times_fit() -> None:
    """Two words may get lost on the way, and nobody counts as gone later than it goes."""
    assert 3 * INTERVAL < SILENCE < PATIENCE < 2
    assert 3 * LONG_INTERVAL < LONG_SILENCE < LONG_PATIENCE


def test_a_call_that_waits_is_told_so_all_the_while(bench: Bench) -> None:
    incoming = Incoming()
    bench.calls.take(incoming)
    bench.wait(10)
    assert incoming.told >= 10 / SILENCE
    assert not bench.calls.has_left(incoming)
    bench.calls.forget(incoming)
    told = incoming.told
    bench.wait(10)
    assert incoming.told == told


def test_oslo_messaging_says_it_no_more(bench: Bench) -> None:
    incoming = Incoming()
    bench.calls.take(incoming)
    assert incoming.client_timeout is None


def test_who_does_not_listen_is_told_nothing(bench: Bench) -> None:
    incoming = Incoming(client_timeout=None)
    bench.calls.take(incoming)
    bench.wait(10)
    assert incoming.told == 0
    bench.freeze(10)
    assert not bench.calls.has_left(incoming)


def test_after_a_freeze_its_caller_has_left(bench: Bench) -> None:
    incoming = Incoming()
    bench.calls.take(incoming)
    bench.wait(1)
    bench.freeze(PATIENCE)
    assert bench.calls.has_left(incoming)
    told = incoming.told
    bench.wait(10)
    assert bench.calls.has_left(incoming)
    assert incoming.told == told


@pytest.mark.parametrize("noticed", [False, True], ids=["before the thaw is seen", "after it"])
def test_what_comes_at_the_thaw_may_have_waited_for_it(bench: Bench, noticed: bool) -> None:
    bench.freeze(10)
    if noticed:
        bench.calls.tell()
    incoming = Incoming()
    bench.calls.take(incoming)
    assert bench.calls.has_left(incoming)
    bench.wait(SILENCE + INTERVAL)
    later = Incoming()
    bench.calls.take(later)
    assert not bench.calls.has_left(later)


def test_answers_are_words_as_well(bench: Bench) -> None:
    """A process that has more to do than it can, and no time to say so, is not given up."""
    slow = Incoming()
    bench.calls.take(slow)
    began = bench.now
    while bench.now - began < LONG_SILENCE - SILENCE:
        quick = Incoming()
        bench.calls.take(quick)
        assert not bench.calls.has_left(quick)
        bench.freeze(SILENCE / 2)
        bench.answer(quick)
        assert not bench.calls.has_left(slow)
    bench.freeze(SILENCE + 0.01)
    assert bench.calls.has_left(slow)


def test_an_answer_that_is_not_taken_is_no_word(bench: Bench) -> None:
    def refuse(_result: object) -> None:
        raise OSError("the broker is away")

    slow, quick = Incoming(), Incoming()
    bench.calls.take(slow)
    bench.calls.take(quick)
    bench.freeze(SILENCE - 0.1)
    with pytest.raises(OSError, match="away"):
        bench.calls.answer(quick, refuse, "result")
    bench.calls.forget(quick)
    bench.freeze(0.2)
    assert bench.calls.has_left(slow)


def test_nothing_about_a_call_is_not_enough_for_long(bench: Bench) -> None:
    slow = Incoming()
    bench.calls.take(slow)
    for _ in range(int(LONG_SILENCE) + 1):
        bench.freeze(1)
        quick = Incoming()
        bench.calls.take(quick)
        bench.answer(quick)
    assert bench.calls.has_left(slow)


def test_words_to_one_process_are_none_to_another(bench: Bench) -> None:
    slow = Incoming(reply_q="reply_of_another")
    bench.calls.take(slow)
    bench.freeze(1)
    quick = Incoming()
    bench.calls.take(quick)
    bench.answer(quick)
    bench.freeze(SILENCE - 0.9)
    assert bench.calls.has_left(slow)


def test_an_answer_after_a_freeze_brings_nobody_back(bench: Bench) -> None:
    """What thaws may answer one call first; the callers of all others have left the same."""
    first, second = Incoming(), Incoming()
    bench.calls.take(first)
    bench.calls.take(second)
    bench.freeze(SILENCE + 0.1)
    bench.answer(first)
    assert bench.calls.has_left(second)


def test_one_word_does_for_many_calls(bench: Bench) -> None:
    many = [Incoming() for _ in range(50)]
    for each in many:
        bench.calls.take(each)
    bench.wait(10)
    assert not any(map(bench.calls.has_left, many))
    told = [each.told for each in many]
    assert min(told) >= 10 / LONG_SILENCE
    assert sum(told) <= 10 / INTERVAL + len(many) * 10 / LONG_INTERVAL


class Waiting:
    """Callers of one process, whose patience is a tenth of a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rabbit, "PATIENCE", 0.1)
        self.waiters = rabbit.Waiters()
        for name in ("slow", "quick"):
            self.waiters.add(name)

    def get(self, timeout: float) -> float:
        """Wait in vain for the slow one's answer; return for how many seconds."""
        began = time.monotonic()
        with pytest.raises(oslo_messaging.MessagingTimeout):
            self.waiters.get("slow", timeout)
        return time.monotonic() - began


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    return Waiting(monkeypatch)


def test_who_hears_nothing_leaves(waiting: Waiting) -> None:
    assert 0.1 <= waiting.get(5) < 2


def test_who_waits_for_less_leaves_sooner(
    waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbit, "PATIENCE", 30)
    assert waiting.get(0.01) < 30


def test_who_hears_others_stays(waiting: Waiting) -> None:
    over = threading.Event()

    def talk() -> None:
        while not over.wait(0.02):
            waiting.waiters.put("quick", {})

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        assert waiting.get(0.5) >= 0.5
    finally:
        over.set()
        thread.join()
    assert 0.1 <= waiting.get(5) < 2


def test_who_gets_its_answer_has_it(waiting: Waiting) -> None:
    waiting.waiters.put("slow", {"result": 1})
    assert waiting.waiters.get("slow", 5) == {"result": 1}


def test_who_cannot_be_told_has_left(bench: Bench) -> None:
    broken, other = Incoming(broken=True, reply_q="gone"), Incoming()
    bench.calls.take(broken)
    bench.calls.take(other)
    bench.wait(2 * PATIENCE)
    assert bench.calls.has_left(broken)
    assert not bench.calls.has_left(other)


def test_what_conductors_of_the_release_before_are_told() -> None:
    """They halve whole seconds, and say nothing if that is less than one."""
    patience = Patience()
    assert json.dumps({"_timeout": patience}) == '{"_timeout": 2.0}'
    timer = DecayingTimer(duration=patience)
    timer.start()
    assert LONG_PATIENCE - 0.5 < timer.check_return() <= LONG_PATIENCE


def test_only_what_has_a_deadline_is_left() -> None:
    try:
        MessageContext(expires_at="2026-11-29T12:00:00+00:00")
        assert not caller_has_left()
        with answering(lambda: True):
            assert caller_has_left()
            with untimed():
                assert not caller_has_left()
            forget()
            assert not caller_has_left()
        MessageContext(expires_at="2026-11-29T12:00:00+00:00")
        assert not caller_has_left()
    finally:
        forget()
