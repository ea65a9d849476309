"""Which agent is believed for a host."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyborg.domain.agents import AgentIdentity, HeardAgent, boot_id_of, identity_of, may_speak
from cyborg.domain.errors import InvalidInput

SAID: Mapping[str, Any] = {"boot_id": "boot-1", "boot_age": 7, "interval": 60}
DEFAULT = 60.0


def agent(boot_id: str = "other", boot_age: float = 10_000.0) -> AgentIdentity:
    return AgentIdentity(boot_id, boot_age, 10.0)


@pytest.mark.parametrize(
    ("speaks", "heard", "expected"),
    [
        # Nobody said who he was, or does now.
        (None, HeardAgent("first", 10, 0), True),
        (None, HeardAgent(None, None, 0), True),
        (agent(), HeardAgent(None, None, 0), True),
        (agent(), HeardAgent(None, 10, 0), True),
        # The same machine, and it was not booted since.
        (agent("first"), HeardAgent("first", 10, 0), True),
        (agent("first"), HeardAgent("first", 10, 10**6), True),
        # Two machines at the same time.
        (agent(), HeardAgent("first", 10, 0), False),
        (agent(), HeardAgent("first", 10, 19.9), False),
        # The first one has gone.
        (agent(), HeardAgent("first", 10, 20), True),
        (agent(), HeardAgent("first", 3600, 20), False),
        (agent(), HeardAgent("first", 3600, 7200), True),
        (agent(), HeardAgent("first", None, 119.9), False),
        (agent(), HeardAgent("first", None, 120), True),
        # The machine was booted: after it was heard, or before.
        (agent(boot_age=4.9), HeardAgent("first", 10, 5), True),
        (agent(boot_age=5), HeardAgent("first", 10, 5), False),
        (agent(boot_age=0), HeardAgent("first", 10, 0), False),
        # The database's clock was set back.
        (agent(boot_age=0), HeardAgent("first", 10, -5), False),
    ],
)
def test_who_may_speak(speaks: AgentIdentity | None, heard: HeardAgent, expected: bool) -> None:
    assert may_speak(speaks, heard, DEFAULT) is expected


@given(
    first=st.floats(0, 10**6),
    second=st.floats(0, 10**6),
    heard=st.builds(HeardAgent, st.just("first"), st.floats(1, 3600), st.floats(0, 10**6)),
)
def test_who_waits_longer_is_not_refused_later(
    first: float, second: float, heard: HeardAgent
) -> None:
    """Else an agent that was taken might be refused though nobody else was heard."""
    silence = heard.silence + second
    if may_speak(agent(boot_age=first), heard, DEFAULT):
        later = HeardAgent(heard.boot_id, heard.interval, silence)
        assert may_speak(agent(boot_age=first), later, DEFAULT)


def test_what_is_said() -> None:
    assert identity_of(SAID) == AgentIdentity("boot-1", 7.0, 60.0)
    assert identity_of({**SAID, "rack": 12}) == AgentIdentity("boot-1", 7.0, 60.0)
    for nothing in (None, {}, {"boot_id": ""}, {"boot_id": "", "boot_age": None}):
        assert identity_of(nothing) is None
        assert boot_id_of(nothing) is None
    # What begins work says no more.
    assert boot_id_of({"boot_id": "boot-1"}) == "boot-1"


@pytest.mark.parametrize("wire", [[], "boot-1", 5, {"boot_id": None}, {"boot_id": 5}])
def test_no_object_or_no_text(wire: object) -> None:
    for read in (identity_of, boot_id_of):
        with pytest.raises(InvalidInput):
            read(wire)


@pytest.mark.parametrize("boot_id", ["x" * 37, "a\nb", "a\0", "\ud800"])
def test_no_boot_id(boot_id: str) -> None:
    for read in (identity_of, boot_id_of):
        with pytest.raises(InvalidInput, match="boot_id"):
            read({**SAID, "boot_id": boot_id})


@pytest.mark.parametrize(
    "value", [None, "60", True, [], -1, math.nan, math.inf, 10**400, 1e11], ids=repr
)
@pytest.mark.parametrize("name", ["boot_age", "interval"])
def test_no_seconds(name: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=name):
        identity_of({**SAID, name: value})


@pytest.mark.parametrize("interval", [0, 0.9, 86_401])
def test_no_interval(interval: float) -> None:
    with pytest.raises(InvalidInput, match="1 to 86400 seconds"):
        identity_of({**SAID, "interval": interval})
