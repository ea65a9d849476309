import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyborg.agent.endpoint import AgentEndpoint
from cyborg.rpc.agent import Work
from cyborg.rpc.wire import open_answer, to_wire
from cyborg.tests.unit.agent.helpers import make_work

WORK = make_work()
WIRE = to_wire(WORK)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=10), children, max_size=4)
    ),
    max_leaves=10,
)


@pytest.fixture
def taken() -> list[Work]:
    return []


@pytest.fixture
def endpoint(taken: list[Work]) -> AgentEndpoint:
    return AgentEndpoint(taken.append)


def test_ping(endpoint: AgentEndpoint) -> None:
    assert open_answer(endpoint.ping({})) is None


def test_work_is_taken(endpoint: AgentEndpoint, taken: list[Work]) -> None:
    endpoint.start({}, WIRE)
    assert taken == [WORK]


def test_a_newer_conductor_is_understood(endpoint: AgentEndpoint, taken: list[Work]) -> None:
    endpoint.start({}, WIRE | {"new_field": 1})
    assert taken == [WORK]


@pytest.mark.parametrize(
    "work",
    [
        None,
        5,
        "start",
        [],
        {},
        WIRE | {"kind": "destroy"},
        WIRE | {"generation": "many"},
        WIRE | {"generation": float("inf")},
        WIRE | {"handle_info": None},
        WIRE | {"handle_info": "0c"},
        WIRE | {"group": [1]},
        WIRE | {"job_uuid": "../../etc/cron.d/x"},
        WIRE | {"job_uuid": None},
        {key: value for key, value in WIRE.items() if key != "device"},
    ],
)
def test_garbage_is_dropped(
    endpoint: AgentEndpoint, taken: list[Work], caplog: pytest.LogCaptureFixture, work: object
) -> None:
    endpoint.start({}, work)
    assert taken == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(WIRE)), JSON, min_size=1) | JSON)
def test_no_message_raises(change: Any) -> None:
    work = WIRE | change if isinstance(change, dict) else change
    AgentEndpoint(lambda work: None).start({}, work)
