"""When a caller leaves: told with each call, known while it is worked on, and nowhere else."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from oslo_context import context as oslo_context

from cyborg.domain.errors import RemoteError, ServiceUnavailable, TooLate
from cyborg.rpc.caller import Caller
from cyborg.rpc.context import deadline, forget, untimed, working_for
from cyborg.rpc.transport import API_DOOR, ContextSerializer, current_context

TIME = "2026-11-29T12:00:00.000001+00:00"


@pytest.fixture(autouse=True)
def nobodys_thread() -> Iterator[None]:
    """This thread works for nobody, before and after."""
    forget()
    yield
    forget()


def cross(context: dict[str, Any]) -> None:
    """Let a context come to the other side, which is this thread."""
    serializer = ContextSerializer()
    serializer.deserialize_context(serializer.serialize_context(context))


def test_it_comes_with_the_message() -> None:
    assert deadline() is None
    cross({"request_id": "req-1", "expires_at": TIME})
    assert deadline() == datetime.datetime(2026, 11, 29, 12, 0, 0, 1, tzinfo=datetime.UTC)
    current = oslo_context.get_current()
    assert current is not None
    assert current.request_id == "req-1"


@pytest.mark.parametrize("text", [None, "", "soon", "2026-11-29T12:00:00", 7, {}])
def test_what_is_no_time_is_none(text: object) -> None:
    cross({"expires_at": text})
    assert deadline() is None


def test_the_next_message_has_its_own() -> None:
    cross({"expires_at": TIME})
    cross({"request_id": "req-2"})
    assert deadline() is None


def test_it_does_not_go_along_with_what_the_work_sends() -> None:
    cross({"expires_at": TIME})
    assert "expires_at" not in current_context()
    with working_for("req-2", None):
        assert deadline() is None
    assert deadline() is not None
    with untimed():
        assert deadline() is None
    assert deadline() is not None


class Recording:
    """A client of oslo.messaging that keeps the context of each call."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.contexts: list[dict[str, Any]] = []
        self._answers = list(answers)

    def prepare(self, **_options: object) -> Recording:
        return self

    def call(self, context: dict[str, Any], _method: str, **_arguments: object) -> dict[str, Any]:
        self.contexts.append(context)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class Clock:
    """A clock whose looks are counted."""

    def __init__(self) -> None:
        self.forgotten = 0

    def expires_at(self, seconds: float) -> str:
        return f"in {seconds}"

    def forget(self) -> None:
        self.forgotten += 1


class NoClock(Clock):
    def expires_at(self, seconds: float) -> str:
        raise ServiceUnavailable("The database is not available now; try again.")


def caller(monkeypatch: pytest.MonkeyPatch, clock: Clock, *answers: dict[str, Any]) -> Any:
    recording = Recording(*answers)
    monkeypatch.setattr("cyborg.rpc.caller.get_client", lambda *_arguments, **_named: recording)
    made: Any = Caller(None, API_DOOR, clock)
    made._reached.set()
    return made


def test_each_call_says_when_it_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    made = caller(monkeypatch, clock, {"result": None})
    made.call("bind", timeout=30)
    assert [context["expires_at"] for context in made._client.contexts] == ["in 30"]
    assert clock.forgotten == 0


TOO_LATE = {"error": {"code": TooLate.code, "detail": "no", "http_status": 503}}


def test_who_did_nothing_for_us_is_asked_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    made = caller(monkeypatch, Clock(), TOO_LATE, {"result": 7})
    assert made.call("bind", timeout=30) == 7
    times = [float(context["expires_at"].removeprefix("in ")) for context in made._client.contexts]
    assert times[0] == 30
    assert 20 < times[1] < 30


@pytest.mark.parametrize(("timeout", "times"), [(30, 2), (0.9, 1)])
def test_it_is_not_asked_for_ever(
    monkeypatch: pytest.MonkeyPatch, timeout: float, times: int
) -> None:
    made = caller(monkeypatch, Clock(), TOO_LATE)
    with pytest.raises(RemoteError):
        made.call("bind", timeout=timeout)
    assert len(made._client.contexts) == times


@pytest.mark.parametrize(("code", "looks"), [(TooLate.code, 2), ("cyborg.not_found", 0)])
def test_an_answer_that_it_was_too_late_is_the_clocks_fault(
    monkeypatch: pytest.MonkeyPatch, code: str, looks: int
) -> None:
    clock = Clock()
    error = {"code": code, "detail": "no", "http_status": 503}
    made = caller(monkeypatch, clock, {"error": error})
    with pytest.raises(RemoteError):
        made.call("bind", timeout=30)
    assert clock.forgotten == looks


def test_without_the_clock_nothing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made = caller(monkeypatch, NoClock(), {"result": None})
    with pytest.raises(ServiceUnavailable):
        made.call("bind", timeout=30)
    assert made._client.contexts == []
