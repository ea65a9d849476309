"""Jobs that go on for long: what is not answered, not begun, fails, or cannot even be read."""

from __future__ import annotations

import dataclasses
import datetime
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from cyborg.conductor import agents as agents_of
from cyborg.conductor import finishing, releasing
from cyborg.conductor.endpoint import AGENT_USE_CASES
from cyborg.conductor.environment import Environment
from cyborg.conductor.kinds import KINDS
from cyborg.conductor.unit import run
from cyborg.db import due_jobs, jobs
from cyborg.db.database import Database
from cyborg.db.tables import attach_handles
from cyborg.db.tables import jobs as job_table
from cyborg.db.types import UtcDateTime, database_now
from cyborg.domain.clock import new_uuid
from cyborg.domain.model import DeviceCondition, HandleCondition, ProviderJobKind
from cyborg.domain.states import ArqState
from cyborg.domain.work import Work
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
from cyborg.tests.functional.conductor.racing import nobody_gives_up, on_servers
from cyborg.tests.helpers import HOST, RecordingAgents, make_conf, profile, report

#: Seconds after which what has not ended waits.
WAITING = 0.5

REFUSAL = "The agent's state cannot be written: No space left on device."


@pytest.fixture
def releasing_env(env: Environment, agents: RecordingAgents) -> Environment:
    """A conductor whose only handle is being released for a deleted ARQ."""
    report(env, card(1, needs_release=True))
    profile(env)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    releasing.delete(env, [uuid])
    assert [work.kind for _, work in agents.sent] == ["release"]
    return env


@pytest.fixture
def preparing_env(env: Environment, agents: RecordingAgents) -> Environment:
    """A conductor whose only handle is being made ready."""
    report(env, card(1, needs_prepare=True, needs_release=True))
    profile(env)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    assert [work.kind for _, work in agents.sent] == ["prepare"]
    return env


def tell(env: Environment, work: Work, **answer: Any) -> None:
    """Send an answer as an agent does."""
    message = {"host": HOST, "uuid": work.job_uuid, "generation": work.generation, **answer}
    open_answer(TableEndpoint(AGENT_USE_CASES, env).finish_job({}, **message))


def pause(env: Environment) -> float:
    """Return the seconds until the only job is due, by the database's clock."""
    query = sa.select(job_table.c.leased_until, sa.type_coerce(database_now(), UtcDateTime))
    with env.database.reader() as connection:
        [(due, now)] = connection.execute(query)
    left: datetime.timedelta = due - now
    return left.total_seconds()


def about(seconds: float) -> Any:
    """Return what is so many seconds, but for the time that the test takes."""
    return pytest.approx(seconds, abs=min(5, 0.4 + seconds / 5))


def next_attempt(env: Environment, agents: RecordingAgents) -> Work:
    """Let the time pass until the only job is sent again; return what is sent."""
    let_run_out(env, job_table)
    sent = len(agents.sent)
    finishing.sweep(env)
    [(_, work)] = agents.sent[sent:]
    return work


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.message for each in caplog.records if each.levelno == logging.ERROR]


# What is not begun


def test_what_is_refused_before_the_hardware_is_touched_never_counts(
    releasing_env: Environment, agents: RecordingAgents
) -> None:
    """Finding 11: full disk, missing driver. The handle was quarantined after five seconds."""
    env, [(_, work)] = releasing_env, agents.sent
    for expected in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300):
        tell(env, work, error=REFUSAL, not_begun=True)
        [job] = rows(env, job_table)
        assert (job.failures, job.last_error) == (0, REFUSAL)
        assert pause(env) == about(expected)
        work = next_attempt(env, agents)
    tell(env, work, error=None)
    assert (rows(env, job_table), held(env), arqs(env)) == ([], 0, [])
    [handle] = rows(env, attach_handles)
    assert handle.condition == HandleCondition.READY


def test_an_answer_about_an_older_attempt_has_no_effect(
    releasing_env: Environment, agents: RecordingAgents
) -> None:
    env, [(_, work)] = releasing_env, agents.sent
    next_attempt(env, agents)
    before = rows(env, job_table)
    tell(env, work, error=REFUSAL, not_begun=True)
    assert rows(env, job_table) == before


def test_a_preparation_that_is_not_begun_fails_in_time(
    preparing_env: Environment, agents: RecordingAgents
) -> None:
    """It costs no handle, and a bind that ends soon can be made elsewhere."""
    env, [(_, work)] = preparing_env, agents.sent
    for _ in range(env.conf.conductor.prepare_attempts - 1):
        tell(env, work, error=REFUSAL, not_begun=True)
        assert pause(env) == about(1)
        work = next_attempt(env, agents)
    tell(env, work, error=REFUSAL, not_begun=True)
    [arq] = arqs(env)
    assert (arq.state, arq.state_reason) == (ArqState.BIND_FAILED, REFUSAL)


def test_a_deadline_tells_what_was_wrong_last(
    preparing_env: Environment, agents: RecordingAgents
) -> None:
    env, [(_, work)] = preparing_env, agents.sent
    tell(env, work, error="the card is stuck")
    let_run_out(env, job_table, "deadline")
    finishing.sweep(env)
    [arq] = arqs(env)
    reason = "The device was not ready in time. The last attempt: the card is stuck"
    assert (arq.state, arq.state_reason) == (ArqState.BIND_FAILED, reason)


# What fails


def test_failures_of_a_release_back_off(
    releasing_env: Environment, agents: RecordingAgents
) -> None:
    """Trouble of some seconds costs no handle; trouble that stays does."""
    env, [(_, work)] = releasing_env, agents.sent
    env.conf.set_override("release_attempts", 6, "conductor")
    for expected in (10, 60, 60, 60, 60):
        tell(env, work, error="the card is stuck")
        assert pause(env) == about(expected)
        work = next_attempt(env, agents)
    tell(env, work, error="the card is stuck")
    [handle] = rows(env, attach_handles)
    assert handle.condition == HandleCondition.QUARANTINED


def test_a_minute_of_trouble_quarantines_nothing() -> None:
    """With the attempts that are the default."""
    for kind in (KINDS["release"], KINDS["clean"]):
        attempts = kind.attempts(make_conf("sqlite://"))
        assert sum(kind.pause(failures) for failures in range(1, attempts)) > 60


# What is not answered


def test_silence_makes_the_next_lease_longer(
    releasing_env: Environment, agents: RecordingAgents
) -> None:
    """Finding 7: one message every 30 seconds for as long as the agent was away."""
    env = releasing_env
    assert pause(env) == about(30)
    for expected in (60, 120, 240, 300, 300):
        next_attempt(env, agents)
        assert pause(env) == about(expected)
    assert [job.failures for job in rows(env, job_table)] == [0]


@pytest.mark.parametrize("lease", [1, 600])
def test_a_lease_is_as_long_as_the_option_says_at_least(
    releasing_env: Environment, agents: RecordingAgents, lease: int
) -> None:
    env = releasing_env
    env.conf.set_override("job_lease", lease, "conductor")
    next_attempt(env, agents)
    assert pause(env) == about(min(2 * lease, max(300, lease)))


def test_an_answer_makes_it_short_again(
    releasing_env: Environment, agents: RecordingAgents
) -> None:
    env = releasing_env
    for _ in range(4):
        work = next_attempt(env, agents)
    tell(env, work, error="the card is stuck")
    assert pause(env) == about(10)
    next_attempt(env, agents)
    assert pause(env) == about(30)
    next_attempt(env, agents)
    assert pause(env) == about(60)


def test_an_agent_that_comes_back_is_asked_at_once(
    releasing_env: Environment, agents: RecordingAgents
) -> None:
    env = releasing_env
    for _ in range(4):
        next_attempt(env, agents)
    run(env, lambda unit: agents_of.hurry(unit, "compute-2"))
    assert pause(env) == about(300)
    run(env, lambda unit: agents_of.hurry(unit, HOST))
    sent = len(agents.sent)
    finishing.sweep(env)
    assert len(agents.sent) == sent + 1
    assert pause(env) == about(30)


def test_what_waits_after_a_failure_is_not_hurried(
    releasing_env: Environment, agents: RecordingAgents
) -> None:
    env, [(_, work)] = releasing_env, agents.sent
    for _ in range(2):
        tell(env, work, error="the card is stuck")
        run(env, lambda unit: agents_of.hurry(unit, HOST))
        assert pause(env) > 0.5
        work = next_attempt(env, agents)


def test_one_line_says_that_nobody_answers(
    releasing_env: Environment, agents: RecordingAgents, caplog: pytest.LogCaptureFixture
) -> None:
    """At the fifth attempt in vain, and again about an hour later."""
    env = releasing_env
    [job] = rows(env, job_table)
    said = []
    for _ in range(20):
        caplog.clear()
        next_attempt(env, agents)
        said.append(errors(caplog))
    assert [number for number, lines in enumerate(said, 1) if lines] == [5, 17]
    [line] = said[4]
    for part in (f"job={job.uuid}", f"host={HOST}", job.subject.replace("/", "="), "attempts=5"):
        assert part in line
    assert line.endswith("its agent does not answer")


def test_the_line_says_why_nothing_is_begun(
    releasing_env: Environment, agents: RecordingAgents, caplog: pytest.LogCaptureFixture
) -> None:
    env, [(_, work)] = releasing_env, agents.sent
    for _ in range(5):
        assert not errors(caplog)
        tell(env, work, error=REFUSAL, not_begun=True)
        work = next_attempt(env, agents)
    [line] = errors(caplog)
    assert line.endswith(REFUSAL)


# A card that hangs


def test_what_hangs_is_cleaned_when_it_works_again(
    releasing_env: Environment, agents: RecordingAgents
) -> None:
    """Its ARQ ends, its handle is nobody's, and is not cleaned while the card has failed."""
    env, [(_, work)] = releasing_env, agents.sent
    works = card(1, needs_release=True)
    hangs = dataclasses.replace(
        works,
        condition=DeviceCondition.FAILED,
        condition_reason="The driver's release (handle=1) has not returned.",
    )
    tell(env, work, error="The driver's release has not returned.", away=True)
    assert (rows(env, job_table), held(env), arqs(env)) == ([], 0, [])
    sent = len(agents.sent)
    for _ in range(2):
        report(env, hangs)
        [handle] = rows(env, attach_handles)
        assert handle.condition == HandleCondition.UNCLEAN
        assert len(agents.sent) == sent, "it is cleaned while it hangs"
    report(env, works)
    [(_, cleaning)] = agents.sent[sent:]
    assert cleaning.kind == "clean"
    tell(env, cleaning, error=None)
    [handle] = rows(env, attach_handles)
    assert handle.condition == HandleCondition.READY


# What cannot be read

BROKEN: dict[str, dict[str, Any]] = {
    "no JSON": {"payload": "{"},
    "nothing": {"payload": ""},
    "too deep": {"payload": "[" * 20000},
    "another form": {"payload": json.dumps({"v": 2, "work": []})},
    "no such step": {"payload": None},
}


@pytest.fixture(params=BROKEN)
def bad_job(request: pytest.FixtureRequest, releasing_env: Environment) -> str:
    """The uuid of a job that nobody can read, beside one of another ARQ that all can."""
    env = releasing_env
    values = dict(BROKEN[request.param])
    [job] = rows(env, job_table)
    if values.get("payload", "") is None:
        payload = json.loads(job.payload)
        payload["work"]["steps"][0]["name"] = "polish"
        values["payload"] = json.dumps(payload).replace('"release"', '"polish"')
    row = {**job._mapping, **values, "uuid": new_uuid(), "subject": "arq/bad"}
    for name in ("id", "accelerator_request_id"):
        del row[name]
    with env.database.engine.begin() as connection:
        connection.execute(job_table.insert().values(**row))
    return str(row["uuid"])


def test_one_bad_row_costs_itself(
    releasing_env: Environment,
    agents: RecordingAgents,
    bad_job: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    env = releasing_env
    let_run_out(env, job_table)
    finishing.sweep(env)
    assert len(agents.sent) == 2, "the good job is not sent again"
    [line] = errors(caplog)
    assert bad_job in line
    finishing.sweep(env)
    assert len(errors(caplog)) == 1, "it is said at each look"
    [bad] = [row for row in rows(env, job_table) if row.uuid == bad_job]
    assert (bad.attempt, bad.generation) == (1, 1), "it was changed"


def test_bad_rows_past_their_deadline_do_not_keep_others(
    releasing_env: Environment, agents: RecordingAgents, bad_job: str
) -> None:
    env = releasing_env
    [(_, work)] = agents.sent
    with env.database.engine.begin() as connection:
        # The bad one is first.
        connection.execute(job_table.update().values(deadline=database_now(-5)))
        connection.execute(
            job_table.update().where(job_table.c.uuid == bad_job).values(deadline=database_now(-60))
        )
    with env.database.reader() as connection:
        [found] = due_jobs.expired(connection, KINDS, 1)
    assert found.uuid == work.job_uuid


def test_an_agent_may_speak_of_a_job_that_cannot_be_read(
    releasing_env: Environment, bad_job: str
) -> None:
    env = releasing_env
    before = rows(env, job_table)
    assert not finishing.begin(env, HOST, bad_job, 1, 0)
    finishing.finish(env, HOST, bad_job, 1, None)
    assert rows(env, job_table) == before


@pytest.mark.parametrize("kind", ProviderJobKind)
def test_an_agent_may_speak_of_a_conductors_own_job(
    env: Environment, kind: ProviderJobKind
) -> None:
    """It was a JSONDecodeError, hence 500."""
    uuid = new_uuid()
    row = {
        "uuid": uuid,
        "kind": kind,
        "subject": f"{kind}/{new_uuid()}",
        "host": HOST,
        "payload": "",
        "generation": 1,
        "created_at": env.clock(),
        "leased_until": database_now(-1),
    }
    with env.database.engine.begin() as connection:
        connection.execute(job_table.insert().values(**row))
    before = rows(env, job_table)
    finishing.finish(env, HOST, uuid, 1, None)
    assert not finishing.begin(env, HOST, uuid, 1, 0)
    assert finishing.sweep(env) == 0
    assert rows(env, job_table) == before


def test_a_bind_whose_job_cannot_be_read_can_be_given_up(
    preparing_env: Environment, agents: RecordingAgents
) -> None:
    env = preparing_env
    [arq] = arqs(env)
    with env.database.engine.begin() as connection:
        connection.execute(job_table.update().values(payload="{"))
    releasing.delete(env, [arq.uuid])
    assert [work.kind for _, work in agents.sent] == ["prepare", "release"]
    tell(env, agents.sent[-1][1], error=None)
    assert (rows(env, job_table), held(env)) == ([], 0)


def test_trouble_with_one_job_stops_no_other(
    releasing_env: Environment,
    agents: RecordingAgents,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever it is: here it cannot even be sent."""
    env = releasing_env
    [job] = rows(env, job_table)
    row = {**job._mapping, "uuid": new_uuid(), "subject": "arq/beside"}
    for name in ("id", "accelerator_request_id"):
        del row[name]
    with env.database.engine.begin() as connection:
        connection.execute(job_table.insert().values(**row))
    let_run_out(env, job_table)
    start = agents.start

    def fail_once(host: str, work: Work) -> None:
        monkeypatch.setattr(agents, "start", start)
        raise TypeError("this cannot be sent")

    monkeypatch.setattr(agents, "start", fail_once)
    assert finishing.sweep(env) == 2
    assert len(agents.sent) == 2
    assert "looking after a job failed" in caplog.text


# Many

MANY, FEW = 20_000, 100


@pytest.fixture
def backlog(releasing_env: Environment, database: Database) -> Callable[[int], None]:
    """Makes so many jobs that are due, and past their deadlines."""
    [job] = rows(releasing_env, job_table)

    def fill(count: int) -> None:
        row = dict(job._mapping)
        for name in ("id", "accelerator_request_id", "attach_handle_id"):
            del row[name]
        row["leased_until"] = row["deadline"] = job.created_at.replace(year=2020)
        with database.engine.begin() as connection:
            connection.execute(job_table.delete())
            for begin in range(0, count, 1000):
                connection.execute(
                    job_table.insert(),
                    [
                        {**row, "uuid": new_uuid(), "subject": f"arq/{begin + number}"}
                        for number in range(min(1000, count - begin))
                    ],
                )

    return fill


def _fastest(work: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def _claim(connection: sa.Connection) -> int:
    return len(due_jobs.claim_due(connection, KINDS, lease=30, limit=100, pause=1).jobs)


@on_servers
def test_a_claim_costs_and_locks_what_it_takes(
    releasing_env: Environment,
    backlog: Callable[[int], None],
    other_database: Database,
) -> None:
    """MariaDB read and locked all that was due, and another conductor found nothing."""
    env = releasing_env
    times = {}
    for count in (5 * FEW, MANY):
        backlog(count)
        with env.database.engine.connect() as connection:
            times[count] = _fastest(lambda: _claim(connection))
            connection.rollback()
    assert times[MANY] < 5 * times[5 * FEW] + 0.05, times
    with env.database.engine.connect() as one, one.begin():
        assert _claim(one) == 100
        with other_database.engine.connect() as other, other.begin():
            assert _claim(other) == 100


@on_servers
def test_a_claim_and_an_answer_about_its_job_take_turns(releasing_env: Environment) -> None:
    """Who answers finds the job by its uuid, a claim by its lease; neither is given up."""
    env = releasing_env
    let_run_out(env, job_table)
    [job] = rows(env, job_table)
    answering = threading.Thread(target=run, args=(env, lambda unit: lock(unit.connection, job)))

    def answer_first(*arguments: Any) -> None:
        """Let the answer come between what the claim locks and what it changes."""
        if arguments[2].startswith("UPDATE jobs") and not answering.ident:
            answering.start()
            answering.join(WAITING)
            assert answering.is_alive(), "it has not waited for the claim"

    with nobody_gives_up(env):
        sa.event.listen(env.database.engine, "before_cursor_execute", answer_first)
        with env.database.engine.begin() as connection:
            assert _claim(connection) == 1
        answering.join()
    [after] = rows(env, job_table)
    assert (after.generation, after.attempt) == (job.generation + 1, job.attempt + 1)


def lock(connection: sa.Connection, job: Any) -> None:
    jobs.lock_job(connection, job.uuid, job.generation)


@on_servers
def test_a_look_at_deadlines_costs_what_it_returns(
    releasing_env: Environment, backlog: Callable[[int], None]
) -> None:
    times = {}
    for count in (FEW, MANY):
        backlog(count)
        with releasing_env.database.reader() as connection:
            times[count] = _fastest(lambda: due_jobs.expired(connection, KINDS, 100))
    assert times[MANY] < 5 * times[FEW] + 0.05, times
