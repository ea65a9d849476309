"""Services that are slow, hang, or have no proper answer about one thing: nobody else waits."""

from __future__ import annotations

import dataclasses
import datetime
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest
import sqlalchemy as sa

from cyborg.clients.http import BadAnswer, NoAnswer
from cyborg.clients.nova import Nova, Server
from cyborg.clients.placement import Provider, ProviderInventories
from cyborg.conductor import (
    asking,
    binding,
    comparing,
    events,
    leftovers,
    providers,
    releasing,
    senders,
)
from cyborg.conductor.environment import Environment
from cyborg.conductor.senders import Senders
from cyborg.db import provider_jobs
from cyborg.db.database import Connection
from cyborg.db.tables import jobs, outbox
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.model import EventStatus, ProviderJobKind
from cyborg.tests.functional.conductor.harness import (
    PROJECT,
    RP,
    arqs,
    bind,
    card,
    let_run_out,
    make,
    only_sqlite,
    rows,
    silent,
)
from cyborg.tests.functional.conductor.quick_placement import QuickPlacement
from cyborg.tests.functional.conductor.test_races import at_once
from cyborg.tests.helpers import HOST, deployable, device, profile, report


class SlowNova(Nova):
    """Hangs about the servers of some cells, for as long as it is waited for, in a fast time."""

    def __init__(self, hang: float) -> None:
        self._hang = hang
        self._lock = threading.Lock()
        self.slow: set[str] = set()
        self.failing: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.told: dict[str, float] = {}
        self.under_way = 0
        self.most = 0

    def send_events(
        self,
        instance_uuid: str,
        status: EventStatus,
        request_uuids: Sequence[str],
        timeout: float | None = None,
    ) -> dict[str, int]:
        with self._lock:
            self.calls[instance_uuid] += 1
        self._answer(instance_uuid)
        self.told[instance_uuid] = time.monotonic()
        return dict.fromkeys(request_uuids, 200)

    def server(self, uuid: str) -> Server | None:
        self.calls[uuid] += 1
        self._answer(uuid)
        return None

    def _answer(self, instance_uuid: str) -> None:
        if instance_uuid in self.failing:
            raise BadAnswer("Nova: GET was answered 500")
        if instance_uuid not in self.slow:
            return
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        time.sleep(self._hang)
        with self._lock:
            self.under_way -= 1
        raise NoAnswer("Nova: timed out")


class Telling:
    """A conductor's look after events, in the background as in its process."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            while events.sweep(self._env):
                pass

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def telling(env: Environment) -> Iterator[tuple[Environment, SlowNova]]:
    """A Nova that hangs, and a conductor with its senders."""
    report(env, card(150))
    profile(env)
    nova = SlowNova(hang=0.3)
    pool = Senders()
    telling_env = dataclasses.replace(env, nova=nova, senders=pool)
    looking = Telling(telling_env)
    yield telling_env, nova
    looking.stop()
    nova.slow.clear()
    pool.stop()


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.005)


@only_sqlite
def test_cells_that_do_not_answer_hold_up_no_other_event(
    telling: tuple[Environment, SlowNova],
) -> None:
    """As many servers as found all events stopped for seven minutes are in cells that hang."""
    env, nova = telling
    dead = [new_uuid() for _ in range(128)]
    nova.slow.update(dead)
    for instance in dead:
        bind(env, *make(env), instance=instance)
    alive = new_uuid()
    bind(env, *make(env), instance=alive)
    began = time.monotonic()
    until(partial(nova.told.__contains__, alive))
    # It waits for those before it, once; eight senders had eight times as long to wait, and
    # went on with those that had failed.
    assert nova.told[alive] - began < 4 * 0.3
    assert max(nova.calls.values()) <= 2


@only_sqlite
def test_what_has_failed_leaves_threads_to_what_is_new(
    telling: tuple[Environment, SlowNova], monkeypatch: pytest.MonkeyPatch
) -> None:
    env, nova = telling
    monkeypatch.setattr(events, "backoff", lambda failures, most: 0.0)
    dead = [new_uuid() for _ in range(32)]
    nova.slow.update(dead)
    for instance in dead:
        bind(env, *make(env), instance=instance)
    until(lambda: min(nova.calls[instance] for instance in dead) >= 2)
    nova.most = 0
    for _ in range(10):
        alive = new_uuid()
        began = time.monotonic()
        bind(env, *make(env), instance=alive)
        until(partial(nova.told.__contains__, alive))
        assert nova.told[alive] - began < 0.3
    assert nova.most <= senders.AGAIN
    # Each has its turn.
    assert max(nova.calls[i] for i in dead) - min(nova.calls[i] for i in dead) <= 2


@only_sqlite
def test_an_event_waits_once_and_backs_off_longer_where_nothing_is_answered(
    env: Environment,
) -> None:
    report(env, card())
    profile(env)
    nova = SlowNova(hang=0)
    env = dataclasses.replace(env, nova=nova)
    slow, failing = new_uuid(), new_uuid()
    nova.slow.add(slow)
    nova.failing.add(failing)
    for instance in (slow, failing):
        bind(env, *make(env), instance=instance)
    for _ in range(7):
        let_run_out(env, outbox)
        assert events.sweep(env) == 2
    now = env.clock()
    waits = {
        row.instance_uuid: (row.leased_until - now).total_seconds() for row in rows(env, outbox)
    }
    assert 50 < waits[slow] < 70
    assert 5 < waits[failing] < 15
    assert nova.calls == {slow: 8, failing: 8}


class Hanging(QuickPlacement):
    """Waits for a token that does not come: one caller after the other, as keystoneauth does."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._seconds = seconds
        self.hangs = True
        self.asked = 0

    def inventories(self, uuid: str, timeout: float | None = None) -> ProviderInventories | None:
        self.asked += 1
        if self.hangs:
            with self._lock:
                time.sleep(self._seconds)
        return super().inventories(uuid, timeout)


def test_a_keystone_that_hangs_costs_no_answer_more_than_one_budget(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "BUDGET", 0.5)
    report(env, card(16, needs_release=True))
    profile(env)
    placement = Hanging(1.0)
    env = dataclasses.replace(env, placement=placement)
    uuids = [make(env)[0] for _ in range(16)]
    for uuid in uuids:
        bind(env, uuid, instance=new_uuid())
    spent: list[float] = []

    def delete(uuid: str) -> None:
        began = time.monotonic()
        releasing.delete(env, [uuid])
        spent.append(time.monotonic() - began)

    assert at_once([partial(delete, uuid) for uuid in uuids[:8]]) == ["ok"] * 8
    # One after the other they would take eight seconds.
    assert max(spent) < 2
    asked = placement.asked
    # And from then on nobody asks it.
    assert at_once([partial(delete, uuid) for uuid in uuids[8:]]) == ["ok"] * 8
    assert placement.asked == asked
    placement.hangs = False
    for pool in env.asking._pools.values():
        # What goes on there would reach into the next test.
        pool.shutdown(wait=True)
    let_run_out(env, jobs)
    until(lambda: not providers.sweep(env))
    assert [job.kind for job in rows(env, jobs)] == ["release"] * 16


def test_a_nova_that_hangs_costs_a_bind_one_budget(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "BUDGET", 0.3)
    report(env, card())
    profile(env)
    nova = SlowNova(hang=3)
    env = dataclasses.replace(env, nova=nova)
    [uuid], instance = make(env), new_uuid()
    nova.slow.add(instance)
    values = {"hostname": HOST, "device_rp_uuid": RP, "instance_uuid": instance}
    for most in (1.0, 0.2):
        began = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            binding.bind(env, {uuid: values}, PROJECT, True, owner_is_certain=False)
        assert time.monotonic() - began < most
    assert nova.calls[instance] == 1


class Poisoned(QuickPlacement):
    """Has no proper answer about some providers, and no root for some hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.poison: set[str] = set()
        self.rootless: set[str] = set()
        self.calls = 0

    def provider(self, uuid: str) -> Provider | None:
        self.calls += 1
        if uuid in self.poison:
            raise BadAnswer("Placement: unexpected answer 400: no")
        return super().provider(uuid)

    def provider_named(self, name: str) -> Provider | None:
        self.calls += 1
        return None if name in self.rootless else super().provider_named(name)

    def tree(self, uuid: str, required_trait: str | None = None) -> list[Provider]:
        if uuid in self.poison:
            raise BadAnswer("Placement: GET was answered 500")
        return []


def poisoned(env: Environment) -> tuple[Environment, Poisoned]:
    placement = Poisoned()
    return dataclasses.replace(env, placement=placement), placement


def of_hosts(env: Environment, hosts: Sequence[str], parts: int) -> None:
    for host in hosts:
        names = [f"{host}_part_{number:03}" for number in range(parts)]
        report(env, device(f"{host}-card", *(deployable(name, 1) for name in names)), host=host)


def waiting(env: Environment, host: str) -> int:
    return len([job for job in rows(env, jobs) if job.host == host])


def test_a_provider_without_proper_answer_costs_itself(env: Environment) -> None:
    env, placement = poisoned(env)
    of_hosts(env, [HOST], 15)
    placement.poison.add(provider_uuid(f"{HOST}_part_000"))
    providers.sweep(env)
    [left] = rows(env, jobs)
    assert left.subject.endswith(provider_uuid(f"{HOST}_part_000"))
    assert "400" in left.last_error


def test_a_placement_without_any_proper_answer_is_asked_seldom(env: Environment) -> None:
    """Then it is not the jobs; those that were not tried have not failed."""
    env, placement = poisoned(env)
    of_hosts(env, [HOST], 15)
    placement.poison.update(provider_uuid(f"{HOST}_part_{number:03}") for number in range(15))
    providers.sweep(env)
    assert Counter(job.failures for job in rows(env, jobs)) == {1: providers.IN_A_ROW, 0: 12}


@only_sqlite
def test_hosts_whose_compute_node_is_not_there_hold_up_no_other(env: Environment) -> None:
    """By their names they would come first, again and again."""
    env, placement = poisoned(env)
    absent = [f"a{number}" for number in range(10)]
    placement.rootless.update(absent)
    of_hosts(env, absent, 20)
    for _ in range(30):
        providers.sweep(env)
        let_run_out(env, jobs)
    of_hosts(env, ["z"], 5)
    looks = 0
    while waiting(env, "z"):
        let_run_out_in_order(env)
        providers.sweep(env)
        looks += 1
        assert looks < 15, "never"


def let_run_out_in_order(env: Environment) -> None:
    """Let all of it be due, what was to come first still first."""
    past = env.clock().replace(year=2000)
    due = sorted(rows(env, jobs), key=lambda job: job.leased_until)
    env.database.run(partial(_put_in_order, past, [job.id for job in due]))


def _put_in_order(past: datetime.datetime, ids: Sequence[int], connection: sa.Connection) -> None:
    for position, id_ in enumerate(ids):
        when = past.replace(microsecond=position)
        connection.execute(jobs.update().where(jobs.c.id == id_).values(leased_until=when))


def test_twenty_thousand_due_jobs_cost_twenty_what_few_do(env: Environment) -> None:
    """By the rows that a claim looks at and locks, and by its time in one run."""
    few, many = 40, 20_000
    spent = {}
    for count in (few, many):
        with env.database.engine.begin() as connection:
            connection.execute(jobs.delete())
            marks = {new_uuid(): f"host-{n % 100}" for n in range(count)}
            for begin in range(0, count, 1000):
                part = dict(list(marks.items())[begin : begin + 1000])
                provider_jobs.mark(
                    connection, part, ProviderJobKind.PROVIDER, new_uuid, env.clock()
                )
        spent[count] = min(_claim_time(env) for _ in range(3))
    assert spent[many] < 10 * spent[few] + 0.01, spent


class _Seen(Exception):
    """Takes a claim back."""


def _claim_time(env: Environment) -> float:
    """Return the seconds that a claim takes, and see that it leaves others the rest."""
    spent: list[float] = []

    def claim(connection: Connection) -> None:
        began = time.perf_counter()
        claimed = provider_jobs.claim_due(connection, lease=0, limit=10)
        spent.append(time.perf_counter() - began)
        assert len(claimed) == 10
        if env.database.engine.dialect.name != "sqlite" and len(spent) == 1:
            with pytest.raises(_Seen):
                env.database.run(claim)
        raise _Seen

    with pytest.raises(_Seen):
        env.database.run(claim)
    return spent[0]


@only_sqlite
def test_an_instance_that_nova_answers_with_500_costs_itself(env: Environment) -> None:
    report(env, card())
    profile(env)
    nova = SlowNova(hang=0)
    env = dataclasses.replace(env, nova=nova, placement=WithoutAllocations())
    instances = [new_uuid() for _ in range(6)]
    for instance in instances:
        bind(env, *make(env), instance=instance)
    nova.failing.add(instances[0])
    nova.calls.clear()
    leftovers.compare(env)
    assert set(nova.calls) == set(instances)
    with env.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE accelerator_requests SET leftover_since = '2000-01-01'")
    assert leftovers.compare(env) == 5
    assert [arq.instance_uuid for arq in arqs(env)] == [instances[0]]


class WithoutAllocations(QuickPlacement):
    """Knows of no allocation."""

    def consumers(self, uuid: str) -> frozenset[str] | None:
        return frozenset()


@only_sqlite
def test_a_host_without_proper_answer_costs_itself_in_a_comparison(env: Environment) -> None:
    env, placement = poisoned(env)
    of_hosts(env, ["a", "b", "c"], 1)
    providers.sweep(env)
    with env.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET resource_provider_uuid = name")
    placement.poison.add("a")
    # Their providers are not below their hosts' any more, which are found by their names.
    assert comparing.compare(env) == 2
    placement.poison.add("root")
    with pytest.raises(BadAnswer):
        comparing.compare(env)


@only_sqlite
def test_a_row_that_is_not_understood_costs_itself(env: Environment) -> None:
    """Of events and of providers; of agents' jobs that is tried with those that wait."""
    env, placement = poisoned(env)
    nova = SlowNova(hang=0)
    env = dataclasses.replace(env, nova=nova)
    report(env, card())
    profile(env)
    told, strange = new_uuid(), new_uuid()
    for instance in (strange, told):
        bind(silent(env), *make(env), instance=instance)
    let_run_out(env, outbox)
    with env.database.engine.begin() as connection:
        change = outbox.update().where(outbox.c.instance_uuid == strange)
        connection.execute(change.values(status="of-tomorrow"))
        row = connection.execute(sa.select(jobs).limit(1)).one()._asdict() | {
            "id": None,
            "uuid": new_uuid(),
            "subject": "nonsense",
        }
        del row["id"]
        connection.execute(jobs.insert().values(row))
    assert events.sweep(env) == 1
    assert list(nova.told) == [told]
    until(lambda: not providers.sweep(env))
    assert [job.subject for job in rows(env, jobs)] in ([], ["nonsense"])
    assert placement.calls > 0
