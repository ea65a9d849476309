"""What agents are at: recorded as they tell it, and forgotten when an attempt is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cyborg.conductor import finishing, releasing
from cyborg.conductor.endpoint import AGENT_USE_CASES
from cyborg.conductor.environment import Environment
from cyborg.db.devices import list_devices
from cyborg.db.tables import jobs
from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import RemoteError
from cyborg.domain.model import DeviceWork
from cyborg.domain.work import Work
from cyborg.rpc.table import TableEndpoint
from cyborg.rpc.wire import open_answer
from cyborg.tests.functional.conductor.harness import bind, card, let_run_out, make, rows
from cyborg.tests.helpers import HOST, RecordingAgents, profile, report


@pytest.fixture
def env(env: Environment, agents: RecordingAgents) -> Environment:
    """A conductor whose only handle is being released for a deleted ARQ."""
    report(env, card(1, needs_release=True))
    profile(env)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    releasing.delete(env, [uuid])
    return env


@pytest.fixture
def sent(env: Environment, agents: RecordingAgents) -> Work:
    """What the agent was sent."""
    [(_, work)] = agents.sent
    return work


def tell(env: Environment, work: Work, host: str = HOST, **values: Any) -> None:
    """Tell of work as an agent does."""
    told: Mapping[str, Any] = {
        "job_uuid": work.job_uuid,
        "generation": work.generation,
        "step": "erase",
        "seconds": 30.0,
        "percent": 42,
        **values,
    }
    endpoint = TableEndpoint(AGENT_USE_CASES, env)
    open_answer(endpoint.tell_progress({}, host=host, works=[told]))


def shown(env: Environment) -> tuple[DeviceWork, ...]:
    with env.database.reader() as connection:
        [device] = list_devices(connection, with_work=True)
    return device.work


def test_it_is_shown(env: Environment, sent: Work) -> None:
    assert shown(env) == ()
    tell(env, sent)
    [work] = shown(env)
    assert (work.kind, work.step, work.percent) == ("release", "erase", 42)
    assert 30 <= (env.clock() - work.since).total_seconds() < 60
    tell(env, sent, step="test", percent=None, seconds=1)
    [work] = shown(env)
    assert (work.step, work.percent) == ("test", None)


@pytest.mark.parametrize(
    "values", [{"host": "another"}, {"generation": 2}, {"generation": 0}, {"job_uuid": new_uuid()}]
)
def test_what_is_not_its_newest_work_has_no_effect(
    env: Environment, sent: Work, values: dict[str, Any]
) -> None:
    tell(env, sent, **values)
    assert shown(env) == ()


def test_nothing_else_changes(env: Environment, sent: Work) -> None:
    [before] = rows(env, jobs)
    tell(env, sent)
    [after] = rows(env, jobs)
    told = {"step", "step_begun_at", "percent"}
    assert {name: value for name, value in after._mapping.items() if name not in told} == {
        name: value for name, value in before._mapping.items() if name not in told
    }


def answer(env: Environment, work: Work, **values: Any) -> None:
    finishing.finish(env, HOST, work.job_uuid, work.generation, **values)


@pytest.mark.parametrize(
    "values", [{"error": None}, {"error": "no"}, {"error": "no", "not_begun": True}]
)
def test_the_end_of_an_attempt_is_its_end(
    env: Environment, sent: Work, values: dict[str, Any]
) -> None:
    tell(env, sent)
    answer(env, sent, **values)
    assert shown(env) == ()


def test_so_is_the_next_attempt(env: Environment, sent: Work) -> None:
    tell(env, sent)
    let_run_out(env, jobs)
    finishing.sweep(env)
    assert shown(env) == ()
    tell(env, sent)
    assert shown(env) == (), "an attempt that is over says something"


@pytest.mark.parametrize(
    "values",
    [
        {"step": "rm -rf /"},
        {"step": ""},
        {"step": "x" * 65},
        {"step": None},
        {"seconds": -1},
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"percent": 101},
        {"percent": -1},
        {"percent": "much"},
    ],
)
def test_what_cannot_be_is_refused(env: Environment, sent: Work, values: dict[str, Any]) -> None:
    with pytest.raises(RemoteError) as caught:
        tell(env, sent, **values)
    assert caught.value.http_status == 400
    assert shown(env) == ()


def test_too_much_is_refused(env: Environment, sent: Work) -> None:
    told = {"job_uuid": sent.job_uuid, "generation": 1, "step": "erase", "seconds": 1}
    with pytest.raises(RemoteError, match="no more than 1000"):
        open_answer(
            TableEndpoint(AGENT_USE_CASES, env).tell_progress({}, host=HOST, works=[told] * 1001)
        )
