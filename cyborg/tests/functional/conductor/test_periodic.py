"""What one conductor does for all, now and then: and forgetting what is too old."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import sqlalchemy as sa

from cyborg.conductor import expiring, periodic, providers, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.database import Database
from cyborg.db.tables import instance_owners, periodic_tasks
from cyborg.db.types import database_now
from cyborg.domain.clock import new_uuid, utcnow
from cyborg.domain.states import ArqState
from cyborg.tests.functional.conductor.harness import (
    arq,
    arqs,
    bind,
    card,
    make,
    only_sqlite,
    rows,
)
from cyborg.tests.functional.conductor.test_races import at_once
from cyborg.tests.helpers import HOST, nova_client, profile, report
from cyborg.tests.servers import Placement

TASKS = {"compare providers", "release left-over requests", "forget what is old"}


@pytest.fixture
def ready(env: Environment) -> Environment:
    """Sixteen handles and a profile of one."""
    report(env, card())
    profile(env)
    return env


def ago(env: Environment, seconds: float) -> Environment:
    """Return a conductor whose clock is behind."""
    return dataclasses.replace(env, clock=lambda: utcnow() - datetime.timedelta(seconds=seconds))


@contextmanager
def after_reading(env: Environment, words: str, action: Callable[[], object]) -> Iterator[None]:
    """Do something just after a statement has been read in which these words are, once."""
    actions = [action]

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if words in statement and actions:
            actions.pop()()

    sa.event.listen(env.database.engine, "after_cursor_execute", note)
    try:
        yield
    finally:
        sa.event.remove(env.database.engine, "after_cursor_execute", note)
    assert not actions


class TestExpiring:
    def test_what_was_never_bound_goes_in_time(
        self, ready: Environment, caplog: pytest.LogCaptureFixture
    ) -> None:
        expiry = ready.conf.conductor.request_expiry
        [old], [young] = make(ago(ready, expiry + 60)), make(ago(ready, expiry - 60))
        bound, unbound = make(ago(ready, expiry + 60))[0], make(ago(ready, expiry + 60))[0]
        bind(ready, bound, instance=new_uuid())
        bind(ready, unbound, instance=new_uuid())
        releasing.unbind(ready, [unbound])
        assert expiring.expire(ready) == 1
        assert {a.uuid: a.state for a in arqs(ready)} == {
            young: ArqState.INITIAL,
            bound: ArqState.BOUND,
            unbound: ArqState.UNBOUND,
        }
        [record] = [r for r in caplog.records if r.name == "cyborg.conductor.expiring"]
        assert record.levelno == logging.WARNING
        assert old in record.getMessage()
        assert expiring.expire(ready) == 0

    def test_a_conductor_whose_clock_is_ahead_expires_nothing_early(
        self, ready: Environment
    ) -> None:
        """Another conductor's request may be between its creation and its bind."""
        [new], [bound] = make(ready), make(ready)
        bind(ready, bound, instance=new_uuid())
        releasing.delete(ready, [bound])
        for seconds in (25 * 3600, 100 * 24 * 3600):
            assert expiring.expire(ago(ready, -seconds)) == 0
        assert [a.uuid for a in arqs(ready)] == [new]
        assert len(rows(ready, instance_owners)) == 1

    @only_sqlite
    def test_more_than_are_deleted_at_a_time(
        self, ready: Environment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(expiring, "BATCH", 2)
        old = ago(ready, 2 * ready.conf.conductor.request_expiry)
        for _ in range(5):
            make(old)
        [young] = make(ready)
        assert expiring.expire(ready) == 5
        assert [a.uuid for a in arqs(ready)] == [young]

    def test_what_is_bound_meanwhile_stays(
        self, ready: Environment, other_database: Database
    ) -> None:
        other = dataclasses.replace(ready, database=other_database)
        old = ago(ready, 2 * ready.conf.conductor.request_expiry)
        first, second = make(old)[0], make(old)[0]

        def meanwhile() -> None:
            bind(other, first, instance=new_uuid())

        with after_reading(ready, "accelerator_requests.created_at <", meanwhile):
            assert expiring.expire(ready) == 0
        assert arq(ready, first).state is ArqState.BOUND
        assert expiring.expire(ready) == 1
        assert [a.uuid for a in arqs(ready)] == [first]
        assert second not in {a.uuid for a in arqs(ready)}

    def test_owners_of_instances_without_arqs_are_forgotten_in_time(
        self, ready: Environment
    ) -> None:
        retention = ready.conf.conductor.instance_owner_retention
        old, young = ago(ready, retention + 3600), ago(ready, retention - 3600)
        gone, living, recent = (new_uuid() for _ in range(3))
        for env, instance in ((old, gone), (old, living), (young, recent)):
            bind(env, *make(ready), instance=instance)
        for instance in (gone, recent):
            releasing.delete_of_instance(ready, instance)
        expiring.expire(ready)
        assert {row.instance_uuid for row in rows(ready, instance_owners)} == {living, recent}
        releasing.delete_of_instance(ready, living)
        expiring.expire(ready)
        assert {row.instance_uuid for row in rows(ready, instance_owners)} == {recent}


class TestTasks:
    @pytest.fixture
    def placed(
        self,
        cloud_env: Environment,
        empty_placement: Placement,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Environment:
        """A conductor of a host whose providers are there; its tasks have options."""
        tasks = [task for task in periodic.TASKS if task.name in TASKS]
        monkeypatch.setattr(periodic, "TASKS", tasks)
        empty_placement.make_root(HOST)
        report(cloud_env, card())
        profile(cloud_env)
        while providers.sweep(cloud_env):
            pass
        empty_placement.forget_requests()
        return cloud_env

    @pytest.fixture
    def other(self, placed: Environment, other_database: Database) -> Environment:
        """Another conductor."""
        return dataclasses.replace(placed, database=other_database)

    def test_a_task_is_done_by_one_and_again_after_its_interval(
        self, placed: Environment, other: Environment, empty_placement: Placement
    ) -> None:
        assert periodic.run_due(placed) == len(TASKS)
        assert {row.name for row in rows(placed, periodic_tasks)} == TASKS
        asked = empty_placement.requests()
        assert asked
        assert periodic.run_due(other) == periodic.run_due(placed) == 0
        assert empty_placement.requests() == asked
        let_pass(placed, 290)
        assert periodic.run_due(other) == 0
        let_pass(placed, 11)
        assert periodic.run_due(other) == len(TASKS)
        assert periodic.run_due(placed) == 0
        assert len(empty_placement.requests()) > len(asked)

    def test_two_that_look_at_once(self, placed: Environment, other: Environment) -> None:
        done: list[int] = []

        def look(env: Environment) -> None:
            done.append(periodic.run_due(env))

        for turn in range(1, 4):
            ends = at_once([partial(look, env) for env in (placed, other) * 2])
            assert ends == ["ok"] * 4
            assert sum(done) == turn * len(TASKS)
            let_pass(placed, 301)

    @only_sqlite
    def test_silent_hosts_are_looked_for_every_fifteen_seconds(self, env: Environment) -> None:
        assert periodic.run_due(env) == len(TASKS) + 1
        let_pass(env, 14)
        assert periodic.run_due(env) == 0
        let_pass(env, 2)
        assert periodic.run_due(env) == 1
        assert begun_within(env, 5) == {"notice silent hosts"}

    @only_sqlite
    def test_each_interval_is_its_options(self, placed: Environment) -> None:
        placed.conf.set_override("provider_comparison_interval", 50, "conductor")
        placed.conf.set_override("leftover_comparison_interval", 5000, "conductor")
        assert periodic.run_due(placed) == len(TASKS)
        let_pass(placed, 51)
        assert periodic.run_due(placed) == 1
        assert begun_within(placed, 20) == {"compare providers"}
        let_pass(placed, 4900)
        assert periodic.run_due(placed) == 1
        let_pass(placed, 60)
        assert periodic.run_due(placed) == len(TASKS)

    @only_sqlite
    def test_an_interval_that_is_made_shorter_counts_at_once(self, placed: Environment) -> None:
        assert periodic.run_due(placed) == len(TASKS)
        let_pass(placed, 10)
        assert periodic.run_due(placed) == 0
        placed.conf.set_override("leftover_comparison_interval", 5, "conductor")
        assert periodic.run_due(placed) == len(TASKS) - 1

    @only_sqlite
    def test_one_that_cannot_be_done_keeps_none_of_the_others(
        self, placed: Environment, other: Environment, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nova is needed by one of them only, as long as something is without allocation."""
        bind(placed, *make(placed), instance=new_uuid())
        alone = dataclasses.replace(placed, nova=nova_client("http://127.0.0.1:9/v2.1"))
        assert periodic.run_due(alone) == len(TASKS) - 1
        found = [r for r in caplog.records if r.levelno >= logging.WARNING]
        [record] = [r for r in found if r.name == "cyborg.conductor.periodic"]
        assert record.levelno == logging.WARNING
        assert record.getMessage().startswith("not done: release left-over requests: Nova")
        assert "\n" not in record.getMessage()
        assert record.exc_info is None
        assert periodic.run_due(other) == 0
        let_pass(placed, periodic.RETRY - 5)
        assert periodic.run_due(other) == 0
        let_pass(placed, 6)
        assert periodic.run_due(other) == 1
        assert begun_within(placed, 5) == {"release left-over requests"}

    @only_sqlite
    def test_each_has_a_request_id_of_its_own(
        self, placed: Environment, empty_placement: Placement
    ) -> None:
        bind(placed, *make(placed), instance=new_uuid())
        periodic.run_due(placed)
        ids = {
            path: one.request_id
            for one in empty_placement.requests()
            for path in [one.path.partition("?")[0].rpartition("/")[2]]
        }
        assert set(ids) == {"resource_providers", "allocations"}
        assert all((id_ or "").startswith("req-") for id_ in ids.values())
        assert len(set(ids.values())) == 2


def let_pass(env: Environment, seconds: float) -> None:
    """Let so much time pass since the tasks were begun."""
    with env.database.engine.begin() as connection:
        for row in rows(env, periodic_tasks):
            before = row.begun_at - datetime.timedelta(seconds=seconds)
            change = periodic_tasks.update().where(periodic_tasks.c.name == row.name)
            connection.execute(change.values(begun_at=before))


def begun_within(env: Environment, seconds: float) -> set[str]:
    """Return the tasks that were begun in the last seconds."""
    query = sa.select(periodic_tasks.c.name).where(
        periodic_tasks.c.begun_at > database_now(-seconds)
    )
    with env.database.reader() as connection:
        return set(connection.scalars(query))
