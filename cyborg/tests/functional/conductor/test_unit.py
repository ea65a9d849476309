"""What follows a commit: once, in its order, and only if there was one."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import CacheStats

from cyborg.conductor import finishing, providers, releasing
from cyborg.conductor.asking import Budget
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import Order, Unit, run
from cyborg.db.clock import GOOD_FOR, DatabaseClock
from cyborg.db.database import Contention, Database
from cyborg.db.tables import hosts, jobs
from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import CyborgError, NotFound, ServiceUnavailable
from cyborg.tests.functional.conductor.harness import (
    answer,
    arqs,
    bind,
    card,
    let_run_out,
    make,
    rows,
)
from cyborg.tests.functional.conductor.racing import on_servers
from cyborg.tests.helpers import RecordingAgents, make_conf, profile, report


@dataclass
class Noted:
    """What was done, by follow-ups that say so."""

    done: list[str] = field(default_factory=list)

    def __call__(
        self, name: str, order: Order = Order.AGENT, error: CyborgError | None = None
    ) -> FollowUp:
        return FollowUp(name, order, error, self.done)


@dataclass(frozen=True)
class FollowUp:
    name: str
    order: Order
    error: CyborgError | None
    done: list[str] = field(compare=False)

    def do(self, env: Environment, budget: Budget) -> None:
        assert rows(env, hosts), "before the commit"
        self.done.append(self.name)
        if self.error is not None:
            raise self.error


@pytest.fixture
def noted() -> Noted:
    return Noted()


def insert(unit: Unit) -> None:
    unit.connection.execute(
        hosts.insert().values(name="host", last_seen_at=unit.now, created_at=unit.now)
    )


def test_it_follows_the_commit_in_order_and_once(env: Environment, noted: Noted) -> None:
    def work(unit: Unit) -> str:
        unit.after(noted("tell", Order.NOVA))
        unit.after(noted("dispatch"))
        unit.after(noted("publish", Order.PLACEMENT))
        unit.after(noted("dispatch"))
        insert(unit)
        return "result"

    assert run(env, work) == "result"
    assert noted.done == ["publish", "dispatch", "tell"]


def test_of_a_use_case_that_is_done_again_only_the_last_try_counts(
    env: Environment, noted: Noted
) -> None:
    tries = itertools.count()

    def work(unit: Unit) -> None:
        number = next(tries)
        unit.after(noted(f"try {number}"))
        insert(unit)
        if number < 2:
            raise Contention

    run(env, work)
    assert noted.done == ["try 2"]
    assert len(rows(env, hosts)) == 1


def test_nothing_follows_what_was_given_up(env: Environment, noted: Noted) -> None:
    def work(unit: Unit) -> None:
        unit.after(noted("dispatch"))
        insert(unit)
        raise NotFound("it is not there")

    with pytest.raises(NotFound):
        run(env, work)
    assert noted.done == []
    assert rows(env, hosts) == []


def test_what_cannot_be_done_now_keeps_nothing_else_from_being_done(
    env: Environment, noted: Noted
) -> None:
    def work(unit: Unit) -> None:
        insert(unit)
        unit.after(noted("publish", Order.PLACEMENT, ServiceUnavailable("Placement is away")))
        unit.after(noted("dispatch"))

    run(env, work)
    assert noted.done == ["publish", "dispatch"]


def test_a_unit_has_one_time(env: Environment) -> None:
    times = [env.clock().replace(year=2000 + n) for n in range(9)]
    env = dataclasses.replace(env, clock=iter(times).__next__)

    def work(unit: Unit) -> object:
        insert(unit)
        return unit.now, unit.connection.scalar(sa.select(hosts.c.last_seen_at))

    assert run(env, work) == (times[0], times[0])


@pytest.fixture
def narrow(env: Environment, agents: RecordingAgents) -> Iterator[Environment]:
    """A conductor that may have one connection, and whose clock must be looked at each time."""
    url = env.conf.database.connection
    pool = {"max_pool_size": 1, "max_overflow": 0, "pool_timeout": 2}
    database = Database(make_conf(url, database=pool))
    moments = itertools.count(0.0, GOOD_FOR)
    clock = DatabaseClock(database, lambda: next(moments))
    yield dataclasses.replace(env, database=database, clock=clock.now)
    database.dispose()


@on_servers
def test_who_has_a_connection_wants_no_other(narrow: Environment, agents: RecordingAgents) -> None:
    """If all had one and wanted one, nobody would get any: a conductor that had thawed did
    nothing, since each of its calls looked at the clock within its transaction."""
    report(narrow, card(2, needs_prepare=True, needs_release=True))
    profile(narrow)
    life(narrow)
    assert (arqs(narrow), rows(narrow, jobs)) == ([], [])


def life(env: Environment) -> None:
    """Let a device be prepared for an instance, and released."""
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    answer(env, uuid, None)
    releasing.delete(env, [uuid])
    let_run_out(env, jobs)
    finishing.sweep(env)
    answer(env, uuid, None)
    while providers.sweep(env):
        pass


def test_a_statement_is_compiled_once(env: Environment) -> None:
    """Those with the database's time, which are most, were compiled whenever they were used."""
    report(env, card(2, needs_prepare=True, needs_release=True))
    profile(env)
    life(env)
    compiled = []

    def note(*arguments: Any) -> None:
        statement, context = arguments[2], arguments[4]
        if context.compiled is not None and context.cache_hit is not CacheStats.CACHE_HIT:
            compiled.append(statement)

    sa.event.listen(env.database.engine, "before_cursor_execute", note)
    life(env)
    # SQLAlchemy knows no INSERT of several rows again.
    assert [each for each in compiled if not each.startswith("INSERT")] == []
