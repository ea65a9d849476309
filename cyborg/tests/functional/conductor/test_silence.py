"""Hosts that are not heard any more: nothing is offered there, and somebody is told."""

from __future__ import annotations

import dataclasses
import logging

import pytest

from cyborg.conductor import inventory, providers, releasing, restoring, silence
from cyborg.conductor.environment import Environment
from cyborg.db import hosts as hosts_db
from cyborg.db.database import Connection
from cyborg.db.providers import recorded_providers
from cyborg.db.tables import hosts
from cyborg.db.types import database_now
from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import DeviceNotAvailable
from cyborg.domain.inventory import Snapshot
from cyborg.domain.model import Withheld
from cyborg.domain.states import ArqState
from cyborg.tests.functional.conductor.harness import RP, arq, bind, card, make, rows
from cyborg.tests.helpers import HOST, placement_client, profile
from cyborg.tests.servers import Placement

AGENT = {"boot_id": "boot", "boot_age": 1e7, "interval": 10}
SNAPSHOT = Snapshot((card(4),))


def reports(env: Environment) -> None:
    if not inventory.heartbeat(env, HOST, SNAPSHOT.digest(), agent=AGENT):
        inventory.report(env, HOST, SNAPSHOT.to_wire(), agent=AGENT)


def pass_time(env: Environment, seconds: float) -> None:
    with env.database.engine.begin() as connection:
        connection.execute(hosts.update().values(last_seen_at=database_now(-seconds)))


def withheld(env: Environment) -> str | None:
    [row] = rows(env, hosts)
    return None if row.withheld is None else str(row.withheld)


def offered(env: Environment) -> bool:
    with env.database.reader() as connection:
        return recorded_providers(connection, [RP])[RP].offered


@pytest.fixture
def ready(env: Environment) -> Environment:
    reports(env)
    profile(env)
    return env


def test_after_ten_intervals_nothing_is_offered_and_it_is_an_error_once(
    ready: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    [kept] = make(ready)
    bind(ready, kept, instance=new_uuid())
    pass_time(ready, 95)
    assert silence.look(ready) == 0
    assert offered(ready)
    pass_time(ready, 105)
    assert silence.look(ready) == 1
    assert silence.look(ready) == 0
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert len(errors) == 1
    assert HOST in errors[0]
    assert not offered(ready)
    with pytest.raises(DeviceNotAvailable, match="not been heard"):
        bind(ready, *make(ready), instance=new_uuid())
    # Who has a device keeps it.
    assert arq(ready, kept).state is ArqState.BOUND


def test_it_is_offered_again_as_soon_as_it_is_heard(ready: Environment) -> None:
    pass_time(ready, 105)
    assert silence.look(ready) == 1
    # An unchanged report is one, too.
    reports(ready)
    assert withheld(ready) is None
    assert offered(ready)
    bind(ready, *make(ready), instance=new_uuid())


def test_who_is_heard_while_it_is_looked_at_is_not_silent(
    ready: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass_time(ready, 105)
    seen = hosts_db.seen_hosts

    def look_and_report(connection: Connection) -> list[hosts_db.SeenHost]:
        found = seen(connection)
        reports(dataclasses.replace(ready))
        return found

    monkeypatch.setattr(hosts_db, "seen_hosts", look_and_report)
    assert silence.look(ready) == 0
    assert withheld(ready) is None


def test_a_conductor_whose_clock_is_ahead_takes_nobody_for_silent(ready: Environment) -> None:
    ahead = dataclasses.replace(ready, clock=lambda: ready.clock().replace(year=2100))
    assert silence.look(ahead) == 0


def test_one_that_was_booted_while_it_was_silent_prepares_first(env: Environment) -> None:
    prepared = Snapshot((card(4, needs_prepare=True),))
    inventory.report(env, HOST, prepared.to_wire(), agent=AGENT)
    profile(env)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    with env.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE accelerator_requests SET state = 'Bound'")
        connection.exec_driver_sql("DELETE FROM jobs")
    pass_time(env, 105)
    assert silence.look(env) == 1
    booted = {**AGENT, "boot_id": "another", "boot_age": 5}
    assert len(restoring.resume(env, HOST, agent=booted)) == 1
    inventory.report(env, HOST, prepared.to_wire(), agent=booted)
    assert withheld(env) == Withheld.RESTORING
    releasing.delete(env, [uuid])
    inventory.report(env, HOST, prepared.to_wire(), agent=booted)
    assert withheld(env) is None


def test_placement_hears_of_it(env: Environment, empty_placement: Placement) -> None:
    empty_placement.make_root(HOST)
    env = dataclasses.replace(env, placement=placement_client(empty_placement.url))

    def shown() -> tuple[int, int]:
        while providers.sweep(env):
            pass
        found = empty_placement.inventories(RP)["FPGA"]
        return found["total"], found["reserved"]

    reports(env)
    assert shown() == (4, 0)
    pass_time(env, 105)
    silence.look(env)
    assert shown() == (4, 4)
    reports(env)
    assert shown() == (4, 0)
