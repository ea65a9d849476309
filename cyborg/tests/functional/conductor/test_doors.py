"""What agents may call: at a door of their own, and about their own host's jobs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import oslo_messaging
import pytest
from oslo_messaging._metrics import client as metrics
from oslo_messaging._tracing import client as tracing

from cyborg.conductor import finishing, programming
from cyborg.conductor.endpoint import AGENT_USE_CASES, API_USE_CASES
from cyborg.conductor.environment import Environment
from cyborg.conductor.service import ConductorService
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.errors import ReleaseMismatch, RemoteError
from cyborg.domain.states import ArqState
from cyborg.rpc.caller import Caller
from cyborg.rpc.transport import AGENTS_DOOR, API_DOOR
from cyborg.tests.functional.conductor.harness import arqs, bind, card, everything, make
from cyborg.tests.helpers import HOST, RecordingAgents, profile, report

PATIENCE = 10.0


@pytest.fixture
def preparing(env: Environment, agents: RecordingAgents) -> Environment:
    """One handle that is being made ready."""
    report(env, card(1, needs_prepare=True))
    profile(env)
    bind(env, *make(env), instance=new_uuid())
    return env


@pytest.mark.parametrize("error", [None, "the card is stuck"])
def test_an_answer_of_another_host_has_no_effect(
    preparing: Environment,
    agents: RecordingAgents,
    caplog: pytest.LogCaptureFixture,
    error: str | None,
) -> None:
    [(_, work)] = agents.sent
    before = everything(preparing)
    caplog.clear()
    finishing.finish(preparing, "compute-2", work.job_uuid, work.generation, error)
    assert everything(preparing) == before
    [warning] = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert f"by=compute-2 job={work.job_uuid} host={HOST}" in warning.getMessage()
    finishing.finish(preparing, HOST, work.job_uuid, work.generation, None)
    assert arqs(preparing)[0].state is ArqState.BOUND


def test_only_the_newest_attempt_of_its_host_may_begin(
    preparing: Environment, agents: RecordingAgents
) -> None:
    [(_, work)] = agents.sent
    current = (work.job_uuid, work.generation)
    assert finishing.begin(preparing, HOST, *current, 0)
    assert not finishing.begin(preparing, "compute-2", *current, 0)
    assert not finishing.begin(preparing, HOST, work.job_uuid, work.generation - 1, 0)
    assert not finishing.begin(preparing, HOST, work.job_uuid, work.generation + 1, 0)
    assert not finishing.begin(preparing, HOST, new_uuid(), work.generation, 0)
    for step in (-1, 1, 10**9):
        assert not finishing.begin(preparing, HOST, *current, step)


def test_a_programming_of_another_host_does_not_begin(
    env: Environment, agents: RecordingAgents
) -> None:
    report(env, card(1, programmable=True))
    programming.program(env, provider_uuid(f"{HOST}_FakeDevice"), new_uuid(), "project")
    [(_, work)] = agents.sent
    before = everything(env)
    assert not finishing.begin(env, "compute-2", work.job_uuid, work.generation, 0)
    assert everything(env) == before
    assert finishing.begin(env, HOST, work.job_uuid, work.generation, 0)
    assert everything(env) != before


@pytest.fixture
def transport(env: Environment) -> Iterator[Any]:
    """A queue in this process, where a conductor serves."""
    # oslo.messaging registers these on the global options only, and reads them from any.
    env.conf.register_opts(metrics.oslo_messaging_metrics, group="oslo_messaging_metrics")
    env.conf.register_opts(tracing.oslo_messaging_tracing, group="oslo_messaging_tracing")
    transport = oslo_messaging.get_rpc_transport(env.conf, url="fake://", allowed_remote_exmods=[])
    conductor = ConductorService(env.conf, transport, standalone=True)
    conductor.start()
    assert conductor.wait_until_serving(PATIENCE)
    yield transport
    conductor.stop(PATIENCE)
    transport.cleanup()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_each_door_opens_what_is_in_its_table(transport: Any) -> None:
    """An argument that none has tells whether a method is there without calling it."""
    for door, here, elsewhere in (
        (API_DOOR, API_USE_CASES, AGENT_USE_CASES),
        (AGENTS_DOOR, AGENT_USE_CASES, API_USE_CASES),
    ):
        caller = Caller(transport, door)
        caller.connect()
        assert caller.wait_until_reached(PATIENCE)
        for method in (*here, *elsewhere):
            with pytest.raises(RemoteError) as refusal:
                caller.call(method, timeout=PATIENCE, unknown=1)
            assert refusal.value.code == ReleaseMismatch.code
            reason = "does not know the argument" if method in here else "knows no"
            assert reason in str(refusal.value)
