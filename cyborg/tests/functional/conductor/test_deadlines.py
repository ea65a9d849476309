"""What a conductor comes to too late is not done: who asked has left, and asks somebody else."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cyborg.conductor import binding, catalogue, creating, programming, releasing
from cyborg.conductor.asking import Budget
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import Order, Unit, run
from cyborg.db.clock import DatabaseClock, present
from cyborg.db.database import ReadDatabase
from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import TooLate
from cyborg.domain.model import DeviceStatus
from cyborg.rpc.context import MessageContext, deadline, forget
from cyborg.tests.functional.conductor.harness import (
    PROJECT,
    RP,
    arqs,
    bind,
    card,
    everything,
    make,
)
from cyborg.tests.helpers import HOST, counted_statements, profile, report

LATE, SOON = -1.0, 30.0


@contextmanager
def waited_for(env: Environment, seconds: float) -> Iterator[None]:
    """Let this thread work for a caller who leaves in so many seconds."""
    with env.database.reader() as connection:
        now = present(connection)
    MessageContext(expires_at=(now + datetime.timedelta(seconds=seconds)).isoformat())
    try:
        yield
    finally:
        forget()


@pytest.fixture
def ready(env: Environment) -> Environment:
    """A host with one card, and a profile."""
    report(env, card(programmable=True))
    profile(env)
    return env


def binding_to(instance: str) -> dict[str, str]:
    return {"hostname": HOST, "device_rp_uuid": RP, "instance_uuid": instance}


def device_of(env: Environment) -> str:
    return str(everything(env)["devices"][0][1])


#: What the API may ask for, in an environment with one bound and one unbound ARQ. Each gets the
#: environment, the bound one, the other, and the instance.
USE_CASES: dict[str, Callable[[Environment, str, str, str], Any]] = {
    "create": lambda env, bound, free, instance: creating.create(env, "one", PROJECT),
    "bind": lambda env, bound, free, instance: binding.bind(
        env, {free: binding_to(instance)}, PROJECT, True
    ),
    "unbind": lambda env, bound, free, instance: releasing.unbind(env, [bound]),
    "delete": lambda env, bound, free, instance: releasing.delete(env, [bound, free]),
    "delete of an instance": lambda env, bound, free, instance: releasing.delete(
        env, [bound], instance_uuid=instance
    ),
    "delete as before": lambda env, bound, free, instance: releasing.delete_of_instance(
        env, instance
    ),
    "program": lambda env, bound, free, instance: programming.program(env, RP, new_uuid(), PROJECT),
    "make a profile": lambda env, bound, free, instance: catalogue.create_device_profile(
        env, name="two", groups=[{"resources:FPGA": "1"}], description=None, uuid=None
    ),
    "disable": lambda env, bound, free, instance: catalogue.set_device_status(
        env, device_of(env), DeviceStatus.MAINTAINING
    ),
    "make an attribute": lambda env, bound, free, instance: catalogue.create_attribute(
        env, RP, "key", "value"
    ),
}

FREE = ("create", "bind", "unbind", "delete")

#: They read the database's clock with what they read anyway.
NO_MORE_STATEMENTS = [name for name in USE_CASES if name.split()[0] in FREE]


@pytest.fixture
def life(ready: Environment) -> tuple[str, str, str]:
    """A bound ARQ, one that is not, and an instance."""
    bound, free = make(ready)[0], make(ready)[0]
    instance = new_uuid()
    bind(ready, bound, instance=instance)
    return bound, free, instance


@pytest.mark.parametrize("name", USE_CASES)
def test_what_comes_too_late_is_not_done(
    ready: Environment, life: tuple[str, str, str], name: str
) -> None:
    before = everything(ready)
    with waited_for(ready, LATE), pytest.raises(TooLate):
        USE_CASES[name](ready, *life)
    assert everything(ready) == before


@pytest.mark.parametrize("name", NO_MORE_STATEMENTS)
def test_a_stall_within_the_transaction_counts(
    ready: Environment, life: tuple[str, str, str], name: str
) -> None:
    """It begins in time, and waits for a lock, or is paused, until its caller has left."""
    moments = iter([0.0, *[SOON + 1] * 9])
    stalled = dataclasses.replace(ready, monotonic=lambda: next(moments))
    before = everything(ready)
    with waited_for(ready, SOON), pytest.raises(TooLate):
        USE_CASES[name](stalled, *life)
    assert everything(ready) == before


@pytest.mark.parametrize("name", USE_CASES)
def test_what_comes_in_time_is_done_and_the_clock_costs_nothing(
    ready: Environment, life: tuple[str, str, str], name: str
) -> None:
    before = everything(ready)
    with waited_for(ready, SOON), counted_statements(ready.database.engine) as statements:
        USE_CASES[name](ready, *life)
    assert everything(ready) != before
    alone = [text for text in statements if "FROM" not in text and text.startswith("SELECT")]
    assert len(alone) == (0 if name in NO_MORE_STATEMENTS else 1), alone


def test_what_follows_is_done_whoever_waits(ready: Environment) -> None:
    seen: list[object] = []

    class Slow:
        order = Order.NOVA

        def do(self, env: Environment, budget: Budget) -> None:
            seen.append(deadline())
            run(env, lambda unit: seen.append(unit.now))

    def work(unit: Unit) -> None:
        unit.after(Slow())

    with waited_for(ready, SOON):
        run(ready, work)
        assert deadline() is not None
    assert len(seen) == 2
    assert seen[0] is None


def test_agents_and_what_is_looked_after_have_no_deadline(ready: Environment) -> None:
    with counted_statements(ready.database.engine) as statements:
        run(ready, lambda unit: None)
    assert statements == []


def test_new_arqs_of_an_instance_outlive_a_stalled_delete(ready: Environment) -> None:
    """Finding 5: the server got new ones while a conductor that was to delete the old stalled."""
    old, new = make(ready)[0], make(ready)[0]
    instance = new_uuid()
    bind(ready, old, instance=instance)
    bind(ready, new, instance=instance)
    assert releasing.delete(ready, [old], instance_uuid=instance) == []
    assert [arq.uuid for arq in arqs(ready)] == [new]


def test_an_arq_that_is_another_instances_by_now_stays(ready: Environment) -> None:
    [uuid] = make(ready)
    bind(ready, uuid, instance=new_uuid())
    releasing.unbind(ready, [uuid])
    bind(ready, uuid, instance=(other := new_uuid()))
    assert releasing.delete(ready, [uuid], instance_uuid=new_uuid()) == [uuid]
    assert [arq.instance_uuid for arq in arqs(ready)] == [other]


def test_the_clock_of_the_database_is_looked_at_once_a_minute(ready: Environment) -> None:
    moment = [100.0]
    database = ReadDatabase(ready.conf)
    clock = DatabaseClock(database, lambda: moment[0])
    with counted_statements(database.engine) as statements:
        first = datetime.datetime.fromisoformat(clock.expires_at(30))
        moment[0] += 59
        second = datetime.datetime.fromisoformat(clock.expires_at(30))
        assert len(statements) == 1
        moment[0] += 1
        clock.expires_at(30)
        assert len(statements) == 2
        clock.forget()
        third = datetime.datetime.fromisoformat(clock.expires_at(30))
        assert len(statements) == 3
    database.dispose()
    with ready.database.reader() as connection:
        now = present(connection)
    assert (second - first).total_seconds() == 59
    # By the database's clock, whatever ours showed meanwhile; and never later than it is.
    assert 25 < (third - now).total_seconds() <= 30
