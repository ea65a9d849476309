"""One signature a method: of client, table and use case, and of the commit before."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cyborg.agent.endpoint import WORK_USE_CASES
from cyborg.conductor.endpoint import AGENT_USE_CASES, API_USE_CASES
from cyborg.domain.inventory import Snapshot
from cyborg.rpc.agent import AgentClient
from cyborg.rpc.agents_door import AgentsDoorClient
from cyborg.rpc.conductor import ConductorClient
from cyborg.tests.unit.api.harness import RecordingConductor
from cyborg.tests.unit.rpc.signatures import PATH, Signatures, current, kept, taken_away

#: Who calls, what is served, and how many parameters of the caller's are not sent: itself, and
#: the host that it sends to.
PAIRS: list[tuple[type, Mapping[str, Callable[..., Any]], int]] = [
    (ConductorClient, API_USE_CASES, 1),
    (RecordingConductor, API_USE_CASES, 1),
    (AgentsDoorClient, AGENT_USE_CASES, 1),
    (AgentClient, WORK_USE_CASES, 2),
]

#: A report is checked by a schema of its own, so its use case takes it as it crosses.
PLAIN = Snapshot, Mapping[str, Any]

#: What only the release before asks for.
OLD = {"delete_accelerator_requests_of"}


def methods_of(client: type) -> dict[str, Callable[..., Any]]:
    return {
        name: member
        for name, member in vars(client).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }


def signature_of(function: Callable[..., Any], left_out: int) -> list[tuple[Any, ...]]:
    """Return name, kind, default and type of each parameter, and what is returned."""
    types = typing.get_type_hints(function)
    parameters = list(inspect.signature(function).parameters.values())[left_out:]
    return [(each.name, each.kind, each.default, types[each.name]) for each in parameters] + [
        ("return", types["return"])
    ]


@pytest.mark.parametrize(
    ("client", "table", "left_out"), PAIRS, ids=[client.__name__ for client, _, _ in PAIRS]
)
def test_client_and_use_case_have_the_same_signature(
    client: type, table: Mapping[str, Callable[..., Any]], left_out: int
) -> None:
    methods = methods_of(client)
    assert sorted(methods) == sorted(table.keys() - OLD)
    for name, method in methods.items():
        sent = [
            tuple(PLAIN[1] if value is PLAIN[0] else value for value in parameter)
            for parameter in signature_of(method, left_out)
        ]
        assert sent == signature_of(table[name], 1), name


def test_a_method_is_at_one_door_only() -> None:
    assert not API_USE_CASES.keys() & AGENT_USE_CASES.keys()


def test_nothing_that_the_commit_before_sends_is_refused() -> None:
    """Give a new argument a default, and leave old ones as they are.

    What must go has to be unused for a release first; then take it out of the file by hand.
    """
    assert taken_away(kept(), current()) == []


def test_what_is_new_is_kept_for_the_next_commit() -> None:
    """Run ``make signatures``, and commit the file with the change."""
    assert kept() == current(), f"run 'make signatures', which writes {PATH}"


BEFORE: Signatures = {"of a door": {"bind": ["uuids", "owner=None"]}}


@pytest.mark.parametrize(
    ("now", "lost"),
    [
        (BEFORE, None),
        ({"of a door": {**BEFORE["of a door"], "unbind": ["uuids"]}}, None),
        ({**BEFORE, "of another": {}}, None),
        ({"of a door": {"bind": ["uuids", "owner=None", "colour='red'"]}}, None),
        ({}, "bind of a door is gone"),
        ({"of a door": {}}, "bind of a door is gone"),
        ({"of a door": {"bind": ["uuids"]}}, "bind of a door has"),
        ({"of a door": {"bind": ["owner=None", "uuids"]}}, "bind of a door has"),
        ({"of a door": {"bind": ["uuids", "owner"]}}, "bind of a door has"),
        ({"of a door": {"bind": ["uuids", "owner=''"]}}, "bind of a door has"),
        ({"of a door": {"bind": ["uuids", "owner=None", "colour"]}}, "bind of a door needs colour"),
    ],
)
def test_what_counts_as_taken_away(now: Signatures, lost: str | None) -> None:
    found = taken_away(BEFORE, now)
    assert len(found) == (lost is not None)
    assert lost is None or found[0].startswith(lost)
