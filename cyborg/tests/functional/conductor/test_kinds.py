"""A kind of work that only these tests know: about a whole device, in three steps, with two ARQs
that wait for it. All that it takes is its entry; the rest of the service carries it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from cyborg.conductor import events, finishing, jobs, releasing
from cyborg.conductor.environment import Environment
from cyborg.conductor.jobs import Assignment, Kind
from cyborg.conductor.kinds import KINDS
from cyborg.conductor.unit import Unit, run
from cyborg.db import attach_handles
from cyborg.db.request_changes import (
    BoundTo,
    LockedRequest,
    bind_requests,
    fail_requests,
    finish_binds,
    lock_requests,
    lock_requests_by_id,
)
from cyborg.db.tables import jobs as job_table
from cyborg.db.tables import outbox
from cyborg.domain.clock import new_uuid
from cyborg.domain.model import EventStatus
from cyborg.domain.states import ArqState
from cyborg.domain.work import Job, Prepare, Program, Region, Step, Subject
from cyborg.tests.functional.conductor.harness import (
    PROJECT,
    RP,
    arqs,
    card,
    everything,
    held,
    let_run_out,
    make,
    rows,
)
from cyborg.tests.helpers import HOST, RecordingAgents, profile, report

IMAGE = "00000000-0000-4000-8000-0000000000aa"


def _waiting(requests: Sequence[LockedRequest]) -> list[LockedRequest]:
    """Return those that were not deleted meanwhile."""
    return [arq for arq in requests if arq.state is ArqState.BIND_STARTED]


def _begins(unit: Unit, job: Job, _step: int) -> bool:
    requests = lock_requests_by_id(unit.connection, job.subject.requests)
    return len(_waiting(requests)) == len(job.subject.requests)


def _succeeded(unit: Unit, _job: Job, requests: Sequence[LockedRequest]) -> None:
    waiting = _waiting(requests)
    if waiting:
        assert waiting[0].instance_uuid is not None
        finish_binds(unit.connection, waiting, unit.now)
        events.write(unit, waiting, waiting[0].instance_uuid, EventStatus.COMPLETED)


def _failed(unit: Unit, _job: Job, requests: Sequence[LockedRequest], reason: str) -> None:
    waiting = _waiting(requests)
    if waiting:
        fail_requests(unit.connection, waiting, ArqState.BIND_FAILED, reason, unit.now)


OVERHAUL = Kind(
    name="overhaul",
    attempts=lambda conf: 2,
    deadline=lambda conf: 60.0,
    begins=_begins,
    succeeded=_succeeded,
    failed=_failed,
)


def overhaul(env: Environment, uuids: Sequence[str], instance: str) -> None:
    """Bind ARQs to handles of a device that is programmed for them first."""

    def work(unit: Unit) -> None:
        connection = unit.connection
        requests = lock_requests(connection, uuids=uuids)
        [target] = attach_handles.lock_providers(connection, [RP]).values()
        wanted = dict.fromkeys([arq.id for arq in requests], target)
        taken = attach_handles.take(connection, wanted, unit.now, wait=True)
        assert taken is not None
        to = BoundTo(HOST, instance, dict.fromkeys(wanted, RP), PROJECT, True)
        bind_requests(connection, requests, ArqState.BIND_STARTED, to, unit.now)
        region = Region(target.device_identity, target.deployable_name, {})
        steps: list[Step] = [Program(region, IMAGE, PROJECT)]
        steps += [
            Prepare(each.handle, arq.group) for each, arq in zip(taken, requests, strict=True)
        ]
        key = f"device/{target.device_identity}"
        subject = Subject(
            tuple(wanted),
            tuple(each.id for each in taken),
            providers=(RP,),
        )
        jobs.write(
            unit,
            OVERHAUL,
            [Assignment(HOST, target.driver, target.device_identity, key, subject, tuple(steps))],
        )

    run(env, work)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(KINDS, OVERHAUL.name, OVERHAUL)
    yield


@pytest.fixture
def started(env: Environment) -> tuple[Environment, list[str]]:
    """Two ARQs of one instance that wait for an overhaul of their device."""
    report(env, card(2, needs_release=True))
    profile(env)
    uuids = [make(env)[0], make(env)[0]]
    overhaul(env, uuids, new_uuid())
    return env, uuids


def states(env: Environment) -> list[ArqState]:
    return [arq.state for arq in arqs(env)]


def test_it_is_sent_and_its_success_binds_both(
    started: tuple[Environment, list[str]], agents: RecordingAgents
) -> None:
    env, uuids = started
    [(host, work)] = agents.sent
    assert (host, work.kind) == (HOST, "overhaul")
    assert [step.name for step in work.steps] == ["program", "prepare", "prepare"]
    for step in range(len(work.steps)):
        assert finishing.begin(env, HOST, work.job_uuid, work.generation, step)
    finishing.finish(env, HOST, work.job_uuid, work.generation, None)
    assert states(env) == [ArqState.BOUND, ArqState.BOUND]
    assert [row.accelerator_request_uuid for row in rows(env, outbox)] == uuids
    assert rows(env, job_table) == []


def test_it_fails_as_often_as_its_entry_says(
    started: tuple[Environment, list[str]], agents: RecordingAgents
) -> None:
    env, _ = started
    for _ in range(2):
        work = agents.sent[-1][1]
        finishing.finish(env, HOST, work.job_uuid, work.generation, "the card is stuck")
        let_run_out(env, job_table)
        finishing.sweep(env)
    assert states(env) == [ArqState.BIND_FAILED, ArqState.BIND_FAILED]
    assert {arq.state_reason for arq in arqs(env)} == {"the card is stuck"}
    assert len(agents.sent) == 2
    assert agents.sent[0][1].steps == agents.sent[1][1].steps


def test_its_deadline_ends_it(
    started: tuple[Environment, list[str]], agents: RecordingAgents
) -> None:
    env, _ = started
    let_run_out(env, job_table, "deadline")
    work = agents.sent[-1][1]
    assert not finishing.begin(env, HOST, work.job_uuid, work.generation, 0)
    finishing.sweep(env)
    assert states(env) == [ArqState.BIND_FAILED, ArqState.BIND_FAILED]
    before = everything(env)
    finishing.finish(env, HOST, work.job_uuid, work.generation, None)
    assert everything(env) == before


def test_one_of_the_two_is_deleted_meanwhile(
    started: tuple[Environment, list[str]], agents: RecordingAgents
) -> None:
    env, uuids = started
    joint = agents.sent[-1][1]
    releasing.delete(env, uuids[:1])
    release = agents.sent[-1][1]
    assert (release.kind, release.job_uuid != joint.job_uuid) == ("release", True)
    assert not finishing.begin(env, HOST, joint.job_uuid, joint.generation, 0)
    finishing.finish(env, HOST, joint.job_uuid, joint.generation, None)
    assert states(env) == [ArqState.BOUND]
    assert held(env) == 2, "handed on before it was released"
    finishing.finish(env, HOST, release.job_uuid, release.generation, None)
    assert held(env) == 1


def test_a_conductor_that_does_not_know_it_leaves_it_alone(
    started: tuple[Environment, list[str]],
    agents: RecordingAgents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of the release before, during an upgrade."""
    env, _ = started
    let_run_out(env, job_table)
    let_run_out(env, job_table, "deadline")
    before = everything(env)
    work = agents.sent[-1][1]
    monkeypatch.delitem(KINDS, OVERHAUL.name)
    assert finishing.sweep(env) == 0
    assert not finishing.begin(env, HOST, work.job_uuid, work.generation, 0)
    finishing.finish(env, HOST, work.job_uuid, work.generation, None)
    assert everything(env) == before
