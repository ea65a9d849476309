"""The table of states, edge by edge. The expectation is written out, not derived."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from cyborg.domain.states import (
    AT_WORK,
    BINDABLE,
    BOUND_OR_BINDING,
    HOLDING,
    RELEASING,
    RESOLVED,
    TRANSITIONS,
    UNBIND_FAILS_AS,
    UNBINDING_FROM,
    VISIBLE,
    ArqState,
    Suspicion,
    is_reserved,
    may_become,
    showing,
    sources_of,
)

ALLOWED = {
    ("Initial", "BindStarted"),
    ("Initial", "Bound"),
    ("Initial", "Deleting"),
    ("BindStarted", "Bound"),
    ("BindStarted", "BindFailing"),
    ("BindStarted", "BindFailed"),
    ("BindStarted", "BindCancelling"),
    ("BindStarted", "Deleting"),
    ("BindFailing", "BindFailed"),
    ("BindFailing", "BindCancelling"),
    ("BindFailing", "Unbound"),
    ("BindFailing", "Deleting"),
    ("Bound", "Unbinding"),
    ("Bound", "Unbound"),
    ("Bound", "Deleting"),
    ("BindFailed", "BindClearing"),
    ("BindFailed", "Unbound"),
    ("BindFailed", "Deleting"),
    ("BindCancelling", "Unbound"),
    ("BindCancelling", "BindFailed"),
    ("BindCancelling", "Deleting"),
    ("Unbinding", "Unbound"),
    ("Unbinding", "UnbindFailed"),
    ("Unbinding", "Deleting"),
    ("BindClearing", "Unbound"),
    ("BindClearing", "BindFailed"),
    ("BindClearing", "Deleting"),
    ("Unbound", "BindStarted"),
    ("Unbound", "Bound"),
    ("Unbound", "Deleting"),
    ("UnbindFailed", "UnbindRetrying"),
    ("UnbindFailed", "Unbound"),
    ("UnbindFailed", "Deleting"),
    ("UnbindRetrying", "Unbound"),
    ("UnbindRetrying", "UnbindFailed"),
    ("UnbindRetrying", "Deleting"),
}

#: What users see change, as the API's contract has it.
SEEN = {
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

SHOWN = {
    "BindFailing": "BindStarted",
    "BindCancelling": "BindStarted",
    "Unbinding": "Bound",
    "BindClearing": "BindFailed",
    "UnbindRetrying": "UnbindFailed",
}


@pytest.mark.parametrize(("source", "target"), [*itertools.product(ArqState, ArqState)], ids=str)
def test_every_edge(source: ArqState, target: ArqState) -> None:
    allowed = (source.value, target.value) in ALLOWED
    assert may_become(source, target) is allowed
    assert (source in sources_of(target)) is allowed


def test_every_state_is_in_the_table_and_can_be_left_or_is_the_end() -> None:
    assert set(TRANSITIONS) == set(ArqState)
    assert [state for state, targets in TRANSITIONS.items() if not targets] == ["Deleting"]


@pytest.mark.parametrize("state", ArqState)
def test_what_every_state_shows(state: ArqState) -> None:
    assert state.shows == SHOWN.get(state, state)
    assert state.shows.shows is state.shows
    assert (state in VISIBLE) is (state not in SHOWN and state is not ArqState.DELETING)


def test_users_see_the_contracts_edges_and_no_other() -> None:
    seen = {
        (source.shows.value, target.shows.value)
        for source, targets in TRANSITIONS.items()
        for target in targets
    }
    assert {edge for edge in seen if edge[0] != edge[1]} == SEEN


def test_sets_of_states() -> None:
    assert {"Bound", "Unbinding", "BindFailed", "BindClearing", "Deleting"} == RESOLVED
    assert {"Initial", "Unbound"} == BINDABLE
    assert {"Bound", "BindStarted"} == BOUND_OR_BINDING
    assert set(ArqState) - BINDABLE == HOLDING
    releasing = {"BindCancelling", "Unbinding", "BindClearing", "UnbindRetrying", "Deleting"}
    assert releasing == RELEASING
    assert releasing | {"BindStarted"} == AT_WORK
    assert [state.value for state in VISIBLE] == [
        "Initial",
        "BindStarted",
        "Bound",
        "BindFailed",
        "Unbound",
        "UnbindFailed",
    ]
    assert showing(ArqState.BIND_STARTED) == {"BindStarted", "BindFailing", "BindCancelling"}


def test_an_unbind_that_takes_time_shows_nothing_until_its_end() -> None:
    assert set(UNBINDING_FROM) == HOLDING - RELEASING
    assert set(UNBINDING_FROM.values()) == RELEASING - {ArqState.DELETING}
    for source, unbinding in UNBINDING_FROM.items():
        assert may_become(source, unbinding)
        assert unbinding.shows is source.shows
        assert may_become(unbinding, ArqState.UNBOUND)
        assert may_become(unbinding, UNBIND_FAILS_AS[unbinding])
    assert set(UNBIND_FAILS_AS) == set(UNBINDING_FROM.values())


@dataclass(frozen=True)
class Arq:
    state: ArqState
    bound_by_service: bool = True
    suspicion: Suspicion = Suspicion.NONE


@pytest.mark.parametrize("state", ArqState)
def test_what_an_allocation_stands_for_is_not_reserved(state: ArqState) -> None:
    allocated = state in {ArqState.INITIAL, ArqState.UNBOUND, ArqState.BIND_STARTED, ArqState.BOUND}
    assert is_reserved(Arq(state)) is not allocated
    assert is_reserved(Arq(state, bound_by_service=False))
    for suspicion in Suspicion:
        suspected = suspicion is not Suspicion.NONE
        assert is_reserved(Arq(state, suspicion=suspicion)) is (suspected or not allocated)
