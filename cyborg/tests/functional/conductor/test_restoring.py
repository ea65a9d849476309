"""After a host's boot what its servers have is prepared again, before anything is offered there."""

from __future__ import annotations

import dataclasses
import logging
from functools import partial
from typing import Any

import pytest

from cyborg.conductor import finishing, inventory, releasing, restoring
from cyborg.conductor.environment import Environment
from cyborg.db.providers import recorded_providers
from cyborg.db.tables import attach_handles, jobs
from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import DeviceNotAvailable, HostTaken
from cyborg.domain.inventory import Snapshot
from cyborg.domain.states import ArqState
from cyborg.domain.work import Prepare, Release, Work
from cyborg.tests.functional.conductor.harness import RP, arq, bind, card, let_run_out, make, rows
from cyborg.tests.functional.conductor.test_races import at_once
from cyborg.tests.helpers import HOST, RecordingAgents, profile

CARD = card(8, needs_prepare=True, needs_release=True)


def agent(boot: str, age: float = 1e7) -> dict[str, Any]:
    return {"boot_id": boot, "boot_age": age, "interval": 10}


OLD, NEW = agent("before"), agent("after", age=0.0001)


def reports(env: Environment, who: dict[str, Any]) -> None:
    snapshot = Snapshot((CARD,))
    if not inventory.heartbeat(env, HOST, snapshot.digest(), agent=who):
        inventory.report(env, HOST, snapshot.to_wire(), agent=who)


def resumes(env: Environment, who: dict[str, Any]) -> list[Work]:
    return restoring.resume(env, HOST, agent=who)


def answer(env: Environment, work: Work, error: str | None = None) -> None:
    assert finishing.begin(env, HOST, work.job_uuid, work.generation, 0, agent=NEW)
    finishing.finish(env, HOST, work.job_uuid, work.generation, error)


def offered(env: Environment) -> bool:
    with env.database.reader() as connection:
        return recorded_providers(connection, [RP])[RP].offered


@pytest.fixture
def bound(env: Environment, agents: RecordingAgents) -> list[str]:
    """Three Bound ARQs on a host that was heard in its boot before."""
    reports(env, OLD)
    profile(env)
    uuids = [make(env)[0] for _ in range(3)]
    for uuid in uuids:
        bind(env, uuid, instance=new_uuid())
        _, work = agents.sent[-1]
        finishing.finish(env, HOST, work.job_uuid, work.generation, None)
    return uuids


def test_it_is_prepared_with_its_group_before_the_host_is_offered(
    env: Environment, bound: list[str]
) -> None:
    works = resumes(env, NEW)
    assert len(works) == 3
    steps = [step for work in works for step in work.steps]
    assert all(isinstance(step, Prepare) for step in steps)
    assert [step.group for step in steps if isinstance(step, Prepare)] == [
        {"resources:FPGA": "1"}
    ] * 3
    # Until it is ready each says so, and nobody gets anything there.
    assert {arq(env, uuid).state_reason for uuid in bound} == {restoring.UNDER_WAY}
    assert {arq(env, uuid).state for uuid in bound} == {ArqState.BOUND}
    assert all(arq(env, uuid).attach_handle for uuid in bound)
    assert not offered(env)
    with pytest.raises(DeviceNotAvailable, match="booted"):
        bind(env, *make(env), instance=new_uuid())
    reports(env, NEW)
    assert not offered(env)
    for work in works:
        answer(env, work)
    assert {arq(env, uuid).state_reason for uuid in bound} == {None}
    reports(env, NEW)
    assert offered(env)
    assert rows(env, jobs) == []
    bind(env, *make(env), instance=new_uuid())


def test_what_cannot_be_prepared_says_so_and_the_host_is_offered(
    env: Environment, bound: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    works = resumes(env, NEW)
    for work in works[1:]:
        answer(env, work)
    for _ in range(env.conf.conductor.prepare_attempts):
        let_run_out(env, jobs)
        finishing.sweep(env)
        [row] = rows(env, jobs)
        finishing.finish(env, HOST, row.uuid, row.generation, "no such function")
    reasons = {arq(env, uuid).state_reason for uuid in bound}
    assert None in reasons
    [failed] = reasons - {None}
    assert failed is not None
    assert "no such function" in failed
    assert {arq(env, uuid).state for uuid in bound} == {ArqState.BOUND}
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "bound and not ready" in errors[0]
    reports(env, NEW)
    assert offered(env)
    # After the next boot it is tried once more.
    assert len(resumes(env, agent("later", age=0.0001))) == 3


def test_an_agent_that_starts_again_in_the_same_boot_goes_on(
    env: Environment, bound: list[str]
) -> None:
    first = resumes(env, NEW)
    again = resumes(env, NEW)
    assert [(w.job_uuid, w.steps) for w in again] == [(w.job_uuid, w.steps) for w in first]
    assert [w.generation for w in again] == [w.generation + 1 for w in first]
    for work in again:
        answer(env, work)
    assert resumes(env, NEW) == []
    reports(env, NEW)
    assert resumes(env, NEW) == []
    assert offered(env)
    assert {arq(env, uuid).state_reason for uuid in bound} == {None}


def test_a_restart_without_a_boot_prepares_nothing(env: Environment, bound: list[str]) -> None:
    assert resumes(env, OLD) == []
    assert {arq(env, uuid).state_reason for uuid in bound} == {None}
    assert offered(env)


def test_who_is_new_or_another_machine_gets_nothing(env: Environment, bound: list[str]) -> None:
    assert restoring.resume(env, "somewhere", agent=NEW) == []
    with pytest.raises(HostTaken):
        resumes(env, agent("another"))
    assert rows(env, jobs) == []


def test_what_was_never_prepared_is_left_alone(env: Environment) -> None:
    clean = Snapshot((card(4),))
    inventory.report(env, HOST, clean.to_wire(), agent=OLD)
    profile(env)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    assert resumes(env, NEW) == []
    assert arq(env, uuid).state_reason is None


@pytest.mark.parametrize("action", ["delete", "unbind", "delete_of_instance"])
def test_what_is_given_back_meanwhile_is_released(
    env: Environment, bound: list[str], agents: RecordingAgents, action: str
) -> None:
    works = {
        step.handle.uuid: work
        for work in resumes(env, NEW)
        for step in work.steps
        if isinstance(step, Prepare)
    }
    uuid = bound[0]
    handle = arq(env, uuid).attach_handle
    assert handle is not None
    if action == "delete_of_instance":
        instance = arq(env, uuid).instance_uuid
        assert instance is not None
        releasing.delete_of_instance(env, instance)
    else:
        getattr(releasing, action)(env, [uuid])
    _, work = agents.sent[-1]
    assert [type(step) for step in work.steps] == [Release]
    preparing = works[handle.uuid]
    # The preparation may not begin any more, and its answer has no effect.
    assert not finishing.begin(env, HOST, preparing.job_uuid, preparing.generation, 0, agent=NEW)
    finishing.finish(env, HOST, preparing.job_uuid, preparing.generation, None)
    finishing.finish(env, HOST, work.job_uuid, work.generation, None)
    for uuid_, other in works.items():
        if uuid_ != handle.uuid:
            answer(env, other)
    reports(env, NEW)
    assert offered(env)
    assert rows(env, jobs) == []
    [row] = [row for row in rows(env, attach_handles) if row.uuid == handle.uuid]
    assert row.accelerator_request_id is None


def test_it_meets_what_users_do(
    env: Environment, bound: list[str], agents: RecordingAgents
) -> None:
    """Deletes, unbinds, answers and the agent's question at once: nothing is left behind."""
    works = resumes(env, NEW)
    once_more = partial(restoring.resume, env, HOST, agent=NEW)
    ends = at_once(
        [
            once_more,
            partial(releasing.delete, env, [bound[0]]),
            partial(releasing.unbind, env, [bound[1]]),
            *(partial(finishing.finish, env, HOST, w.job_uuid, w.generation, None) for w in works),
        ]
    )
    assert ends == ["ok"] * len(ends)
    for _ in range(4):
        for row in rows(env, jobs):
            finishing.finish(env, HOST, row.uuid, row.generation, None)
    assert rows(env, jobs) == []
    assert arq(env, bound[1]).state is ArqState.UNBOUND
    assert (arq(env, bound[2]).state, arq(env, bound[2]).state_reason) == (ArqState.BOUND, None)
    owned = [row for row in rows(env, attach_handles) if row.accelerator_request_id is not None]
    assert len(owned) == 1


def test_a_bind_under_way_goes_on_as_it_was(
    env: Environment, bound: list[str], agents: RecordingAgents
) -> None:
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    before = agents.sent[-1][1]
    works = resumes(env, NEW)
    assert before.job_uuid not in {work.job_uuid for work in works}
    assert arq(env, uuid).state_reason is None
    finishing.finish(env, HOST, before.job_uuid, before.generation, None)
    assert arq(env, uuid).state is ArqState.BOUND
    assert dataclasses.replace(before).kind == "prepare"
