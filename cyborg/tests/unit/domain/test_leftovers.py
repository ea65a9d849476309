"""When an ARQ is needed by nobody any more, as values. The tables are written out, not derived."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyborg.domain.leftovers import (
    Action,
    HeldRequest,
    KnownServer,
    action,
    has_allocation,
    suspicion_of,
)
from cyborg.domain.states import Suspicion

HOST = "compute-1"
INSTANCE = "instance"
REQUEST = HeldRequest(
    uuid="arq",
    instance_uuid=INSTANCE,
    provider_uuid="provider",
    hostname=HOST,
    bound_by_service=True,
    generation=1,
    suspicion=Suspicion.NONE,
)

_S, _A = Suspicion, Action

hosts = st.sampled_from([HOST, "elsewhere", "compute-10", None])
servers = st.builds(KnownServer, busy=st.booleans(), hostname=hosts)


@pytest.mark.parametrize(
    ("busy", "hostname", "expected"),
    [
        (False, HOST, _S.DOUBTFUL),
        (False, "elsewhere", _S.GRACE),
        (False, "compute-10", _S.GRACE),
        (False, None, _S.GRACE),
        (True, HOST, _S.NONE),
        (True, "elsewhere", _S.NONE),
        (True, None, _S.NONE),
    ],
)
def test_a_server_that_nova_knows(busy: bool, hostname: str | None, expected: Suspicion) -> None:
    assert suspicion_of(REQUEST, KnownServer(busy, hostname)) is expected


def test_a_server_that_nova_does_not_know() -> None:
    assert suspicion_of(REQUEST, None) is _S.GRACE


@given(server=servers | st.none(), before=st.sampled_from(Suspicion))
def test_what_was_thought_before_has_no_say_in_what_is_seen(
    server: KnownServer | None, before: Suspicion
) -> None:
    request = dataclasses.replace(REQUEST, suspicion=before)
    assert suspicion_of(request, server) is suspicion_of(REQUEST, server)


#: What it was, what it looks like now, and what follows.
ACTIONS = [
    (_S.NONE, _S.NONE, _A.LEAVE),
    (_S.NONE, _S.DOUBTFUL, _A.RECORD),
    (_S.NONE, _S.GRACE, _A.RECORD),
    (_S.DOUBTFUL, _S.NONE, _A.RECORD),
    (_S.DOUBTFUL, _S.DOUBTFUL, _A.LEAVE),
    (_S.DOUBTFUL, _S.GRACE, _A.RECORD),
    (_S.GRACE, _S.NONE, _A.RECORD),
    (_S.GRACE, _S.DOUBTFUL, _A.RECORD),
    (_S.GRACE, _S.GRACE, _A.LEAVE),
    (_S.LEFT_OVER, _S.NONE, _A.RECORD),
    (_S.LEFT_OVER, _S.DOUBTFUL, _A.RECORD),
    (_S.LEFT_OVER, _S.GRACE, _A.RELEASE),
]


@pytest.mark.parametrize(("before", "seen", "expected"), ACTIONS)
def test_every_action(before: Suspicion, seen: Suspicion, expected: Action) -> None:
    assert action(dataclasses.replace(REQUEST, suspicion=before), seen) is expected
    direct = dataclasses.replace(REQUEST, suspicion=before, bound_by_service=False)
    assert action(direct, seen) is (_A.LEAVE if expected is _A.RELEASE else expected)


def test_the_table_is_whole() -> None:
    seen = set(Suspicion) - {_S.LEFT_OVER}
    assert {row[:2] for row in ACTIONS} == {(a, b) for a in Suspicion for b in seen}


@given(consumers=st.frozensets(st.sampled_from([INSTANCE, "arq", "provider", "other"])))
def test_an_allocation_is_the_instances(consumers: frozenset[str]) -> None:
    assert has_allocation(REQUEST, consumers) is (INSTANCE in consumers)
