"""What a door opens, and how it refuses all else."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from cyborg.domain.errors import NotFound, ReleaseMismatch, RemoteError
from cyborg.rpc.table import TableEndpoint
from cyborg.rpc.wire import open_answer


class Colour(enum.StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Card:
    name: str
    slots: int = 0


class Cards:
    """A use case that keeps how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.error: Exception | None = None

    def use_cases(self) -> dict[str, Callable[..., Any]]:
        return {"paint": self._paint, "find": find}

    def _paint(
        self,
        env: str,
        uuids: list[str],
        *,
        colour: Colour,
        card: Card | None = None,
        first: Card = Card("none"),
        values: Mapping[str, int] | None = None,
    ) -> list[str]:
        self.calls.append((env, uuids, colour, card, first, values))
        if self.error is not None:
            raise self.error
        return uuids


def find(env: str, uuid: str) -> Card:
    return Card(uuid, 3)


@pytest.fixture
def cards() -> Cards:
    return Cards()


@pytest.fixture
def endpoint(cards: Cards) -> TableEndpoint:
    return TableEndpoint(cards.use_cases(), "env")


def test_a_use_case_gets_what_it_is_written_for(cards: Cards, endpoint: TableEndpoint) -> None:
    """A record and an enumeration; all else as JSON has it."""
    answer = endpoint.paint(
        {}, uuids=["a"], colour="red", first={"name": "x", "new_field": 1}, values={"b": 1}
    )
    assert open_answer(answer) == ["a"]
    assert cards.calls == [("env", ["a"], Colour.RED, None, Card("x"), {"b": 1})]


def test_a_record_is_answered_as_plain_data(endpoint: TableEndpoint) -> None:
    assert endpoint.find({}, uuid="u") == {"v": 1, "result": {"name": "u", "slots": 3}}


def test_ping(endpoint: TableEndpoint) -> None:
    assert open_answer(endpoint.ping({}, whatever=1)) == "pong"


GOOD = {"uuids": ["a"], "colour": "red"}


@pytest.mark.parametrize(
    ("method", "arguments", "text"),
    [
        ("scratch", {}, "knows no 'scratch' here"),
        ("two\nlines", {}, r"knows no 'two\nlines' here"),
        ("paint", {**GOOD, "shine": True}, "does not know the argument 'shine' of paint"),
        ("paint", {**GOOD, "env": "other"}, "does not know the argument 'env' of paint"),
        ("paint", {**GOOD, "self": None}, "does not know the argument 'self' of paint"),
        ("paint", {"uuids": []}, "needs the argument 'colour' of paint"),
        ("paint", {**GOOD, "colour": "blue"}, "does not understand the argument 'colour' of paint"),
        ("paint", {**GOOD, "first": {"slots": 1}}, "does not understand the argument 'first'"),
        ("paint", {**GOOD, "first": None}, "does not understand the argument 'first'"),
    ],
)
def test_what_is_not_understood_is_refused(
    *,
    cards: Cards,
    endpoint: TableEndpoint,
    caplog: pytest.LogCaptureFixture,
    method: str,
    arguments: dict[str, Any],
    text: str,
) -> None:
    """In the answer, with a code of its own; here a line says it, too."""
    answer = getattr(endpoint, method)({}, **arguments)
    with pytest.raises(RemoteError, match="This release") as refusal:
        open_answer(answer)
    assert text in str(refusal.value)
    assert (refusal.value.code, refusal.value.http_status) == (ReleaseMismatch.code, 503)
    assert cards.calls == []
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert text in record.getMessage()


@pytest.mark.parametrize("name", ["_do", "__len__", "oslo_rpc_server_ping"])
def test_names_that_are_not_messages(endpoint: TableEndpoint, name: str) -> None:
    assert name == "_do" or not hasattr(endpoint, name)


def test_an_error_of_ours_crosses(cards: Cards, endpoint: TableEndpoint) -> None:
    cards.error = NotFound("no card")
    with pytest.raises(RemoteError, match="no card"):
        open_answer(endpoint.paint({}, **GOOD))


def test_an_error_of_a_use_case_is_no_refusal(cards: Cards, endpoint: TableEndpoint) -> None:
    """A bug of ours is not taken for another release."""
    cards.error = TypeError("a bug")
    with pytest.raises(TypeError, match="a bug"):
        endpoint.paint({}, **GOOD)
