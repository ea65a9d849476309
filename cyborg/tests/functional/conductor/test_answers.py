"""What agents answer, in whatever characters, and that a device was away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from cyborg.conductor import finishing, releasing
from cyborg.conductor.endpoint import AGENT_USE_CASES
from cyborg.conductor.environment import Environment
from cyborg.conductor.kinds import KINDS
from cyborg.conductor.unit import Unit
from cyborg.db.request_changes import LockedRequest
from cyborg.db.tables import jobs as job_table
from cyborg.domain.clock import new_uuid
from cyborg.domain.model import JobKind
from cyborg.domain.states import ArqState
from cyborg.domain.work import Job, Work
from cyborg.rpc.table import TableEndpoint
from cyborg.rpc.wire import open_answer
from cyborg.tests.functional.conductor.harness import (
    arqs,
    bind,
    card,
    held,
    let_run_out,
    make,
    rows,
)
from cyborg.tests.helpers import HOST, RecordingAgents, profile, report

NO_REASON = "The driver gave no reason."

#: What an agent may say, and what of it is kept.
TEXTS: list[tuple[Any, str]] = [
    ("NUL \x00is cut", "NUL is cut"),
    ("half a character \udce9 of a tool", "half a character of a tool"),
    ("two\nlines\r\n\x1b[31m", "two lines [31m"),
    ("\u2028 \ufffe \x85", NO_REASON),
    ("", NO_REASON),
    ("\x00", NO_REASON),
    ("x" * 5000, "x" * 1999 + "…"),
    ("\U0001f600" * 3000, "\U0001f600" * 1999 + "…"),
    (17, "17"),
    ({"a": "b"}, "{'a': 'b'}"),
]


@pytest.fixture(params=TEXTS, ids=[ascii(said)[:24] for said, _ in TEXTS])
def text(request: pytest.FixtureRequest) -> tuple[Any, str]:
    """What an agent says, and what is kept of it."""
    found: tuple[Any, str] = request.param
    return found


@pytest.fixture
def unbinding(env: Environment, agents: RecordingAgents) -> Environment:
    """A conductor whose only handle is being released for an unbound ARQ."""
    report(env, card(1, needs_release=True))
    profile(env)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    releasing.unbind(env, [uuid])
    assert [work.kind for _, work in agents.sent] == ["release"]
    return env


def tell(env: Environment, work: Work, **answer: Any) -> None:
    """Send an answer as an agent does."""
    message = {"host": HOST, "uuid": work.job_uuid, "generation": work.generation, **answer}
    open_answer(TableEndpoint(AGENT_USE_CASES, env).finish_job({}, **message))


def test_whatever_an_agent_says_counts_as_a_failure_and_ends(
    unbinding: Environment, agents: RecordingAgents, text: tuple[Any, str]
) -> None:
    """Finding 13: what the database refused was never counted, and the release never ended."""
    said, kept = text
    env = unbinding
    for attempt in range(1, env.conf.conductor.release_attempts + 1):
        tell(env, agents.sent[-1][1], error=said)
        left = [(job.failures, job.last_error) for job in rows(env, job_table)]
        last = attempt == env.conf.conductor.release_attempts
        assert left == ([] if last else [(attempt, kept)])
        let_run_out(env, job_table)
        finishing.sweep(env)
    [arq] = arqs(env)
    assert (arq.state, arq.state_reason) == (ArqState.UNBIND_FAILED, kept)
    assert held(env) == 1


class Away:
    """What a kind of work does when the device is not there."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int], str]] = []

    def __call__(
        self, _unit: Unit, job: Job, requests: Sequence[LockedRequest], reason: str
    ) -> None:
        self.calls.append((job.uuid, [arq.id for arq in requests], reason))


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[Away]:
    """Let a release have something to do then."""
    does = Away()
    monkeypatch.setitem(KINDS, JobKind.RELEASE, replace(KINDS[JobKind.RELEASE], away=does))
    yield does


def test_a_kind_of_work_may_say_what_follows_when_a_device_is_away(
    unbinding: Environment, agents: RecordingAgents, away: Away
) -> None:
    [(_, work)] = agents.sent
    [row] = rows(unbinding, job_table)
    tell(unbinding, work, error="card\nis gone", away=True)
    assert away.calls == [(work.job_uuid, [row.accelerator_request_id], "card is gone")]
    assert rows(unbinding, job_table) == []
    tell(unbinding, work, error="card is gone", away=True)
    assert len(away.calls) == 1, "a late answer counted"


def test_an_answer_without_it_is_a_failure_as_before(
    unbinding: Environment, agents: RecordingAgents, away: Away
) -> None:
    tell(unbinding, agents.sent[-1][1], error="the card is stuck")
    assert away.calls == []
    assert [job.failures for job in rows(unbinding, job_table)] == [1]


def test_a_device_that_is_away_has_not_been_cleaned(
    unbinding: Environment, agents: RecordingAgents, away: Away
) -> None:
    """Whatever else an agent leaves out."""
    tell(unbinding, agents.sent[-1][1], error=None, away=True)
    assert [reason for _, _, reason in away.calls] == [NO_REASON]
    assert held(unbinding) == 1


def test_without_an_answer_to_it_away_is_a_failure(
    unbinding: Environment, agents: RecordingAgents, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = replace(KINDS[JobKind.RELEASE], away=None)
    monkeypatch.setitem(KINDS, JobKind.RELEASE, plain)
    tell(unbinding, agents.sent[-1][1], error="the card is gone", away=True)
    assert [job.failures for job in rows(unbinding, job_table)] == [1]
    assert held(unbinding) == 1
