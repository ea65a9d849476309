"""The table of states, edge by edge. The expectation is written out, not derived."""

from __future__ import annotations

import itertools

import pytest

from cyborg.domain.states import (
    BINDABLE,
    HOLDING,
    RESOLVED,
    TRANSITIONS,
    ArqState,
    may_become,
    sources_of,
)

ALLOWED = {
    ("Initial", "BindStarted"),
    ("Initial", "Bound"),
    ("Initial", "Deleting"),
    ("BindStarted", "Bound"),
    ("BindStarted", "BindFailed"),
    ("BindStarted", "Unbound"),
    ("BindStarted", "Deleting"),
    ("Bound", "Unbound"),
    ("Bound", "UnbindFailed"),
    ("Bound", "Deleting"),
    ("BindFailed", "Unbound"),
    ("BindFailed", "Deleting"),
    ("Unbound", "BindStarted"),
    ("Unbound", "Bound"),
    ("Unbound", "Deleting"),
    ("UnbindFailed", "Unbound"),
    ("UnbindFailed", "Deleting"),
}


@pytest.mark.parametrize(("source", "target"), [*itertools.product(ArqState, ArqState)], ids=str)
def test_every_edge(source: ArqState, target: ArqState) -> None:
    allowed = (source.value, target.value) in ALLOWED
    assert may_become(source, target) is allowed
    assert (source in sources_of(target)) is allowed


def test_every_state_is_in_the_table_and_can_be_left_or_is_the_end() -> None:
    assert set(TRANSITIONS) == set(ArqState)
    assert [state for state, targets in TRANSITIONS.items() if not targets] == ["Deleting"]


def test_sets_of_states() -> None:
    assert {"Bound", "BindFailed", "Deleting"} == RESOLVED
    assert {"Initial", "Unbound"} == BINDABLE
    assert set(ArqState) - BINDABLE == HOLDING
