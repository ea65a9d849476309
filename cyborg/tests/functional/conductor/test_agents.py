"""Two machines with one name: whose agent is believed, on each kind of database."""

from __future__ import annotations

import dataclasses
import datetime
import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from cyborg.conductor import finishing, inventory
from cyborg.conductor.environment import Environment
from cyborg.db.tables import attach_handles, devices, hosts
from cyborg.db.types import database_now
from cyborg.domain.clock import new_uuid, utcnow
from cyborg.domain.errors import HostTaken, InvalidInput
from cyborg.domain.inventory import DeviceReport, Snapshot
from cyborg.domain.model import HandleCondition
from cyborg.domain.work import Work
from cyborg.tests.functional.conductor.harness import bind, card, everything, make, rows
from cyborg.tests.helpers import HOST, RecordingAgents, counted_statements, profile

CARD = card(2, needs_prepare=True)
#: Another one, as it is on another machine of the same name.
OTHER_CARD = card(4, "other", needs_prepare=True)

#: Seconds: of a machine that was booted long ago.
LONG = 10_000_000

SERVERS = pytest.mark.parametrize("database_url", ["mariadb", "postgresql"], indirect=True)


def agent(boot_id: str | None, age: float = LONG, interval: float = 10) -> dict[str, Any] | None:
    if boot_id is None:
        return None
    return {"boot_id": boot_id, "boot_age": age, "interval": interval}


def reported(env: Environment, who: Mapping[str, Any] | None, *cards: DeviceReport) -> None:
    snapshot = Snapshot(cards or (CARD,)).to_wire()
    inventory.report(env, HOST, snapshot, agent=who)


def beats(env: Environment, who: Mapping[str, Any] | None, *cards: DeviceReport) -> bool:
    return inventory.heartbeat(env, HOST, Snapshot(cards or (CARD,)).digest(), agent=who)


def clock_of(away: datetime.timedelta) -> datetime.datetime:
    return utcnow() + away


def host(env: Environment) -> sa.Row[Any]:
    [row] = rows(env, hosts)
    return row


def was_heard(env: Environment, seconds: float) -> None:
    """Let the host have been heard so many seconds ago."""
    with env.database.engine.begin() as connection:
        connection.execute(hosts.update().values(last_seen_at=database_now(-seconds)))


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]


@pytest.mark.parametrize(
    ("recorded", "silence", "speaks", "taken"),
    [
        pytest.param(None, 0, agent("b"), True, id="nobody said who he was"),
        pytest.param(agent("a"), 0, None, True, id="an agent of an old release"),
        pytest.param(agent("a"), 0, agent("a"), True, id="the same boot"),
        pytest.param(agent("a"), LONG, agent("a"), True, id="the same boot after long"),
        pytest.param(agent("a"), 0, agent("b"), False, id="another machine"),
        pytest.param(agent("a"), 15, agent("b"), False, id="within two intervals"),
        pytest.param(agent("a"), 21, agent("b"), True, id="after two intervals"),
        pytest.param(agent("a", interval=300), 590, agent("b"), False, id="of whom was heard"),
        pytest.param(agent("a", interval=300), 601, agent("b"), True, id="and after two of them"),
        pytest.param(agent("a"), 15, agent("b", 5), True, id="booted since it was heard"),
        pytest.param(agent("a"), 5, agent("b", 15), False, id="booted before it was heard"),
    ],
)
def test_whose_report_is_taken(
    env: Environment,
    recorded: Mapping[str, Any] | None,
    silence: float,
    speaks: Mapping[str, Any] | None,
    taken: bool,
) -> None:
    reported(env, recorded)
    was_heard(env, silence)
    before = everything(env)
    if taken:
        reported(env, speaks, CARD, OTHER_CARD)
        row = host(env)
        said = speaks or {"boot_id": None, "interval": None}
        assert (row.boot_id, row.report_interval) == (said["boot_id"], said["interval"])
        assert beats(env, speaks, CARD, OTHER_CARD)
    else:
        with pytest.raises(HostTaken, match=HOST):
            reported(env, speaks, CARD, OTHER_CARD)
        assert everything(env) == before


def test_without_an_interval_the_conductors_counts(env: Environment) -> None:
    env.conf.set_override("periodic_interval", 100)
    reported(env, agent("a"))
    with env.database.engine.begin() as connection:
        connection.execute(hosts.update().values(report_interval=None))
    was_heard(env, 190)
    with pytest.raises(HostTaken):
        reported(env, agent("b"))
    was_heard(env, 201)
    reported(env, agent("b"))


def test_a_refused_agent_changes_nothing_and_somebody_is_told(
    env: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    reported(env, agent("a"))
    before = everything(env)
    for _ in range(2):
        assert not beats(env, agent("b"))
        with pytest.raises(HostTaken) as refusal:
            reported(env, agent("b"), OTHER_CARD)
    assert everything(env) == before, "it is not heard either, or it would never be taken"
    assert refusal.value.http_status == 409
    assert HOST in refusal.value.detail
    assert len(errors(caplog)) == 2
    for line in errors(caplog):
        assert f"host={HOST} boot=b, refused" in line
        assert "boot=a" in line
        assert "[agent] resource_provider_name" in line
    caplog.clear()
    assert beats(env, agent("a"))
    reported(env, agent("a"))
    assert errors(caplog) == []


def test_one_that_is_taken_has_the_host(env: Environment) -> None:
    reported(env, agent("a"))
    was_heard(env, 21)
    reported(env, agent("b"))
    assert not beats(env, agent("a"))
    with pytest.raises(HostTaken):
        reported(env, agent("a"))


def test_hosts_of_other_names_are_others(env: Environment) -> None:
    reported(env, agent("a"))
    inventory.report(env, "compute-2", Snapshot((OTHER_CARD,)).to_wire(), agent=agent("b"))
    assert {row.boot_id for row in rows(env, hosts)} == {"a", "b"}


def test_the_time_is_the_databases(env: Environment) -> None:
    """A conductor whose clock is wrong makes nobody older than he is."""
    reported(env, agent("a"))
    for days in (-2, 2):
        wrong = dataclasses.replace(env, clock=partial(clock_of, datetime.timedelta(days=days)))
        with pytest.raises(HostTaken):
            reported(wrong, agent("b"))
        assert beats(wrong, agent("a"))
        reported(wrong, agent("a"))
        with pytest.raises(HostTaken):
            reported(env, agent("b"))
    assert abs(host(env).last_seen_at - utcnow()) < datetime.timedelta(minutes=1)


@pytest.mark.parametrize("who", [[], {"boot_id": 5}, {"boot_id": "a"}, agent("a", -1)])
def test_what_an_agent_cannot_be(env: Environment, who: Any) -> None:
    reported(env, agent("a"))
    before = everything(env)
    for call in (reported, beats):
        with pytest.raises(InvalidInput):
            call(env, who)
    assert everything(env) == before


# Heartbeats


@pytest.mark.parametrize(
    ("recorded", "speaks", "enough"),
    [
        (None, None, True),
        (agent("a"), None, True),
        (agent("a"), agent("a"), True),
        (agent("a"), agent("a", 5, 300), True),
        # The whole report records who it is.
        (None, agent("a"), False),
        (agent("a"), agent("b"), False),
        (agent("a"), agent("b", 0), False),
    ],
)
def test_whose_heartbeat_is_enough(
    env: Environment,
    recorded: Mapping[str, Any] | None,
    speaks: Mapping[str, Any] | None,
    enough: bool,
) -> None:
    reported(env, recorded)
    was_heard(env, 15)
    before = host(env)
    with counted_statements(env.database.engine) as statements:
        assert beats(env, speaks) is enough
    assert len(statements) == 1
    after = host(env)
    assert (after.last_seen_at > before.last_seen_at) is enough
    expected = speaks["interval"] if speaks and enough else before.report_interval
    assert (after.boot_id, after.report_interval) == (before.boot_id, expected)


def test_who_was_away_reports_all_of_it(env: Environment) -> None:
    """It may have missed more than its reports."""
    reported(env, agent("a"))
    was_heard(env, 21)
    assert beats(env, agent("a")) is False
    reported(env, agent("a"))
    assert beats(env, agent("a")) is True


def test_what_is_unclean_is_asked_for(env: Environment) -> None:
    reported(env, agent("a"))
    other = Snapshot((OTHER_CARD,))
    inventory.report(env, "compute-2", other.to_wire())
    of_host = attach_handles.c.host_id == host_id(env, HOST)

    def become(condition: HandleCondition) -> None:
        first = sa.select(sa.func.min(attach_handles.c.id)).where(of_host)
        with env.database.engine.begin() as connection:
            chosen = connection.scalar(first)
            update = attach_handles.update().where(attach_handles.c.id == chosen)
            connection.execute(update.values(condition=condition))

    assert beats(env, agent("a"))
    become(HandleCondition.UNCLEAN)
    for who in (agent("a"), None):
        with counted_statements(env.database.engine) as statements:
            assert not beats(env, who)
        assert len(statements) == 1
    assert inventory.heartbeat(env, "compute-2", other.digest())
    become(HandleCondition.QUARANTINED)
    assert beats(env, agent("a"))


@pytest.mark.parametrize("why", ["away", "broken"])
def test_what_is_unclean_and_cannot_be_cleaned_is_not_asked_for(env: Environment, why: str) -> None:
    """Found by the model of hardware: its host sent all of its report for ever."""
    reported(env, agent("a"))
    values = {"presence": "missing"} if why == "away" else {"condition": "failed"}
    with env.database.engine.begin() as connection:
        connection.execute(attach_handles.update().values(condition=HandleCondition.UNCLEAN))
        connection.execute(devices.update().values(values))
    assert beats(env, agent("a"))


def host_id(env: Environment, name: str) -> int:
    return int(next(row.id for row in rows(env, hosts) if row.name == name))


def ends_while_held(env: Environment, held: sa.Select[Any], action: Callable[[], object]) -> bool:
    """Return whether an action ends while another transaction holds rows."""
    thread = threading.Thread(target=action, daemon=True)
    with env.database.engine.begin() as connection:
        connection.execute(held.with_for_update()).all()
        thread.start()
        thread.join(2)
        ended = not thread.is_alive()
    thread.join(30)
    return ended


@SERVERS
def test_a_heartbeat_waits_for_no_handle(env: Environment) -> None:
    reported(env, agent("a"))
    assert ends_while_held(env, sa.select(attach_handles), lambda: beats(env, agent("a")))
    assert not ends_while_held(env, sa.select(hosts), lambda: beats(env, agent("a")))


@SERVERS
def test_two_reports_wait_for_each_other(env: Environment) -> None:
    """Else two machines might both be the first."""
    reported(env, agent("a"))
    assert not ends_while_held(env, sa.select(hosts), lambda: reported(env, agent("a")))


# Work


@pytest.fixture
def work(env: Environment, agents: RecordingAgents) -> Work:
    """A preparation, of the machine whose boot is called a."""
    reported(env, agent("a"))
    profile(env)
    bind(env, *make(env), instance=new_uuid())
    [(_, sent)] = agents.sent
    return sent


def begins(env: Environment, work: Work, who: Mapping[str, Any] | None) -> bool:
    return finishing.begin(env, HOST, work.job_uuid, work.generation, 0, agent=who)


@pytest.mark.parametrize("who", [None, {"boot_id": ""}, {"boot_id": "a"}, agent("a")])
def test_the_machine_whose_host_it_is_begins_work(
    env: Environment,
    work: Work,
    who: Mapping[str, Any] | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    with counted_statements(env.database.engine) as statements:
        assert begins(env, work, who)
    assert len(statements) == 1
    assert caplog.records == []


def test_another_machine_begins_no_work(
    env: Environment, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    before = everything(env)
    with counted_statements(env.database.engine) as statements:
        assert not begins(env, work, {"boot_id": "b"})
    assert len(statements) == 1
    assert everything(env) == before
    [line] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert f"boot=b job={work.job_uuid} host={HOST}" in line
    with pytest.raises(InvalidInput):
        begins(env, work, {"boot_id": 5})
    assert begins(env, work, {"boot_id": "a"})


def test_what_was_another_machine_begins_work_when_the_host_is_its_own(
    env: Environment, work: Work
) -> None:
    was_heard(env, 21)
    reported(env, agent("b"))
    assert begins(env, work, {"boot_id": "b"})
    assert not begins(env, work, {"boot_id": "a"})


def test_where_nobody_said_who_he_is_anybody_begins(env: Environment, work: Work) -> None:
    """As after the conductors' upgrade, until the agents report."""
    reported(env, None)
    assert begins(env, work, {"boot_id": "b"})


@SERVERS
def test_a_question_does_not_wait_for_a_report(env: Environment, work: Work) -> None:
    who = {"boot_id": "a"}
    assert ends_while_held(env, sa.select(hosts), lambda: begins(env, work, who))
