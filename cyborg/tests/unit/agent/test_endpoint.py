import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyborg.agent.endpoint import WORK_USE_CASES
from cyborg.domain.work import Work
from cyborg.rpc.table import TableEndpoint
from cyborg.rpc.wire import to_wire
from cyborg.tests.unit.agent.helpers import make_work

WORK = make_work()
WIRE = to_wire(WORK)
(STEP,) = WIRE["steps"]
HANDLE = STEP["handle"]

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
def endpoint(taken: list[Work]) -> TableEndpoint:
    return TableEndpoint(WORK_USE_CASES, taken.append)


def test_work_is_taken(endpoint: TableEndpoint, taken: list[Work]) -> None:
    endpoint.start({}, work=WIRE)
    assert taken == [WORK]


def test_a_newer_conductor_is_understood(endpoint: TableEndpoint, taken: list[Work]) -> None:
    newer = STEP | {"new_field": 1, "handle": HANDLE | {"new_field": 1}}
    endpoint.start({}, work=WIRE | {"new_field": 1, "steps": [newer]})
    assert taken == [WORK]


def test_a_step_that_is_not_known_is_dropped_and_named(
    endpoint: TableEndpoint, taken: list[Work], caplog: pytest.LogCaptureFixture
) -> None:
    """The rest of it is not done either."""
    endpoint.start({}, work=WIRE | {"steps": [STEP, {"step": "burn", "handle": HANDLE}]})
    assert taken == []
    (record,) = caplog.records
    assert "message not understood" in record.message
    assert "this release does not know the step burn" in record.message


@pytest.mark.parametrize(
    "work",
    [
        None,
        5,
        "start",
        [],
        {},
        WIRE | {"generation": "many"},
        WIRE | {"generation": float("inf")},
        WIRE | {"steps": None},
        WIRE | {"steps": []},
        WIRE | {"steps": "prepare"},
        WIRE | {"steps": [None]},
        WIRE | {"steps": [{"step": "destroy"}]},
        WIRE | {"steps": [{"step": []}]},
        WIRE | {"steps": [STEP | {"handle": None}]},
        WIRE | {"steps": [STEP | {"handle": HANDLE | {"info": "0c"}}]},
        WIRE | {"steps": [STEP | {"group": [1]}]},
        WIRE | {"steps": [STEP, {key: value for key, value in STEP.items() if key != "group"}]},
        WIRE | {"job_uuid": "../../etc/cron.d/x"},
        WIRE | {"job_uuid": None},
        {key: value for key, value in WIRE.items() if key != "device"},
    ],
)
def test_garbage_is_dropped(
    endpoint: TableEndpoint, taken: list[Work], caplog: pytest.LogCaptureFixture, work: object
) -> None:
    endpoint.start({}, work=work)
    assert taken == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(WIRE)), JSON, min_size=1) | JSON)
def test_no_message_raises(change: Any) -> None:
    work = WIRE | change if isinstance(change, dict) else change
    TableEndpoint(WORK_USE_CASES, lambda work: None).start({}, work=work)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*sorted(STEP), "step"]), JSON, min_size=1))
def test_no_step_raises(change: Any) -> None:
    endpoint = TableEndpoint(WORK_USE_CASES, lambda work: None)
    endpoint.start({}, work=WIRE | {"steps": [STEP | change]})
