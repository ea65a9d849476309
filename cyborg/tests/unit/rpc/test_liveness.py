"""Who waits is told so from the first moment; who was frozen knows whose callers have left."""

from __future__ import annotations

import json

import pytest
from oslo_messaging._drivers.common import DecayingTimer

from cyborg.rpc.context import MessageContext, answering, caller_has_left, forget, untimed
from cyborg.rpc.liveness import INTERVAL, PATIENCE, SILENCE, Calls, Patience


class Incoming:
    """A call that has come."""

    def __init__(self, client_timeout: float | None = 2.0, broken: bool = False) -> None:
        self.client_timeout = client_timeout
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

    def freeze(self, seconds: float) -> None:
        """Let time pass, in which it is not."""
        self.now += seconds


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_times_fit() -> None:
    """Two words may get lost on the way, and nobody counts as gone later than it goes."""
    assert 3 * INTERVAL < SILENCE < PATIENCE < 2


def test_a_call_that_waits_is_told_so_all_the_while(bench: Bench) -> None:
    incoming = Incoming()
    bench.calls.take(incoming)
    bench.wait(10)
    assert incoming.told >= 10 / PATIENCE
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


def test_who_cannot_be_told_has_left(bench: Bench) -> None:
    broken, other = Incoming(broken=True), Incoming()
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
    assert PATIENCE - 0.5 < timer.check_return() <= PATIENCE


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
