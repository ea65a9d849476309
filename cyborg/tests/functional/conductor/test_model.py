"""Random lives: whatever happens in whatever order, the invariants hold after every step.

Users create, bind, unbind and delete; agents answer well, badly, late, twice or never; cards
come and go; leases run out. What must hold is read from the database after each step.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import pytest
import sqlalchemy as sa

from cyborg.conductor import binding, catalogue, creating, finishing, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.devices import list_devices
from cyborg.db.tables import (
    accelerator_requests,
    attach_handles,
    deployables,
    devices,
    hosts,
    jobs,
)
from cyborg.domain.clock import provider_uuid
from cyborg.domain.errors import CyborgError
from cyborg.domain.inventory import DeviceReport
from cyborg.domain.model import DeviceStatus
from cyborg.domain.states import BINDABLE, HOLDING, ArqState, may_become
from cyborg.tests.helpers import (
    HOST,
    RecordingAgents,
    deployable,
    device,
    profile,
    report,
)

INSTANCES = [f"00000000-0000-4000-8000-00000000000{n}" for n in range(4)]
HANDLES = 3

#: How many histories, and how long each is.
SEEDS = 6
STEPS = 300

#: How likely a card is there when its host is scanned.
PRESENT = 0.85

PARTS = ("plain", "dirty", "prepared")
NEEDS: dict[str, dict[str, bool]] = {
    "plain": {},
    "dirty": {"needs_release": True},
    "prepared": {"needs_prepare": True, "needs_release": True},
}


@dataclasses.dataclass
class Seen:
    """What was in the database after the step before."""

    arqs: dict[str, tuple[ArqState, int]] = dataclasses.field(default_factory=dict)
    #: Handle uuid to its owner's uuid and whether it must be released.
    owners: dict[str, tuple[str | None, bool]] = dataclasses.field(default_factory=dict)
    quarantined: set[str] = dataclasses.field(default_factory=set)


class Life:
    """One history of one host, chosen by a seed."""

    def __init__(self, env: Environment, agents: RecordingAgents, seed: int) -> None:
        numbers = itertools.count(1)
        self.env = dataclasses.replace(
            env, new_uuid=lambda: f"{next(numbers):08x}-0000-4000-8000-000000000000"
        )
        self.agents = agents
        self.random = random.Random(seed)
        self.history: list[str] = []
        self.done: Counter[str] = Counter()
        self.seen = Seen()
        #: Handles whose release an agent has reported as done, since the step before.
        self.cleaned: set[str] = set()
        #: Handles that were given to an agent to prepare, and not released since.
        self.prepared: set[str] = set()
        profile(self.env, "one")
        profile(self.env, "two", {"resources:FPGA": "2"})
        report(self.env, *(self.card(part, HANDLES) for part in PARTS))

    def live(self, steps: int) -> None:
        """Take so many steps, and look after each."""
        actions = {
            self.create: 6,
            self.bind: 10,
            self.unbind: 3,
            self.delete: 3,
            self.delete_of_instance: 1,
            self.operate: 1,
            self.answer: 12,
            self.scan: 3,
            self.time_passes: 4,
        }
        for _ in range(steps):
            [action] = self.random.choices(list(actions), list(actions.values()))
            action()
            self.nothing_is_broken()

    # Users

    def create(self) -> None:
        if len(self.seen.arqs) < 12:
            self.attempt(creating.create, self.random.choice(["one", "two"]), "project")

    def bind(self) -> None:
        values = {
            "hostname": self.random.choices([HOST, "elsewhere"], [20, 1])[0],
            "device_rp_uuid": provider_uuid(self.random.choice(PARTS)),
            "instance_uuid": self.random.choice(INSTANCES),
        }
        states = self.random.choices([BINDABLE, frozenset(ArqState)], [4, 1])[0]
        self.attempt(binding.bind, dict.fromkeys(self.some(states), values), "project", True)

    def unbind(self) -> None:
        self.attempt(releasing.unbind, self.some(HOLDING))

    def delete(self) -> None:
        self.attempt(releasing.delete, self.some(frozenset(ArqState)))

    def delete_of_instance(self) -> None:
        self.attempt(releasing.delete_of_instance, self.random.choice(INSTANCES))

    def operate(self) -> None:
        with self.env.database.reader() as connection:
            cards = list_devices(connection)
        status = self.random.choices(list(DeviceStatus), [3, 1])[0]
        for card in cards[:1]:
            self.attempt(catalogue.set_device_status, card.uuid, status)

    # Agents

    def answer(self) -> None:
        """Answer work that was sent: often the newest, or old, or answered before."""
        if not self.agents.sent:
            return
        _, work = self.random.choice(self.agents.sent[-8:])
        error = self.random.choices([None, "the card is stuck"], [2, 1])[0]
        with self.env.database.reader() as connection:
            current = connection.execute(
                sa.select(jobs.c.kind).where(
                    jobs.c.uuid == work.job_uuid, jobs.c.generation == work.generation
                )
            ).first()
        if current is not None and current.kind == "release" and error is None:
            self.cleaned.add(work.handle_uuid)
        self.attempt(finishing.finish, work.job_uuid, work.generation, error)

    def scan(self) -> None:
        counts = {part: self.random.choice([*[HANDLES] * 6, 1, 0]) for part in PARTS}
        present = [part for part in PARTS if self.random.random() < PRESENT]
        self.history.append(f"scan {counts} {present}")
        report(self.env, *(self.card(part, counts[part]) for part in present))

    def card(self, part: str, count: int) -> DeviceReport:
        # Now and then a driver changes its mind about what its devices need.
        needs = NEEDS[self.random.choice(PARTS) if self.random.random() < 0.1 else part]
        return device(f"card-{part}", deployable(part, count, **needs))

    # Time

    def time_passes(self) -> None:
        past = self.env.clock().replace(year=2000)
        with self.env.database.engine.begin() as connection:
            connection.execute(jobs.update().values(leased_until=past))
            if self.random.random() < 1 / 3:
                late = jobs.update().where(jobs.c.deadline.is_not(None))
                connection.execute(late.values(deadline=past))
        self.attempt(finishing.sweep)

    # What must hold

    def nothing_is_broken(self) -> None:
        with self.env.database.reader() as connection:
            arqs = {row.id: row for row in connection.execute(sa.select(accelerator_requests))}
            handles = list(connection.execute(_HANDLES))
            live = {row.accelerator_request_id: row for row in connection.execute(sa.select(jobs))}
        held = {row.accelerator_request_id: row for row in handles if row.accelerator_request_id}
        assert set(live) <= set(arqs)
        for id_, arq in arqs.items():
            self.check_arq(arq, held.get(id_), live.get(id_))
        self.check_changes(arqs, handles)

    def check_arq(self, arq: Any, handle: Any, job: Any) -> None:
        state = ArqState(arq.state)
        if state in BINDABLE:
            assert handle is None
            assert job is None
            assert arq.instance_uuid is None
            return
        assert handle is not None, f"{state} without a handle"
        if state is not ArqState.DELETING or arq.instance_uuid:
            assert handle.rp_uuid == arq.device_rp_uuid
            assert handle.host == arq.hostname
            assert arq.instance_uuid in INSTANCES
        if state in (ArqState.BIND_STARTED, ArqState.DELETING):
            assert job is not None, f"{state}, and nobody works on it"
        if job is not None and job.kind == "prepare":
            assert state is ArqState.BIND_STARTED

    def check_changes(self, arqs: dict[int, Any], handles: list[Any]) -> None:
        now = Seen(
            arqs={a.uuid: (ArqState(a.state), a.generation) for a in arqs.values()},
            owners={
                h.uuid: (
                    arqs[h.accelerator_request_id].uuid if h.accelerator_request_id else None,
                    bool(h.needs_release),
                )
                for h in handles
            },
            quarantined={h.uuid for h in handles if h.condition == "quarantined"},
        )
        for uuid, (state, generation) in now.arqs.items():
            before, known = self.seen.arqs.get(uuid, (state, generation))
            assert before is state or may_become(before, state), f"{before} became {state}"
            assert generation > known or (generation == known and before is state)
        for uuid, (owner, needs_release) in self.seen.owners.items():
            if owner is None or now.owners.get(uuid, (None, False))[0] == owner:
                continue
            assert uuid in now.owners, "a handle that was owned is gone"
            if needs_release or uuid in self.prepared:
                assert uuid in self.cleaned | now.quarantined, "handed on dirty"
            self.prepared.discard(uuid)
        assert self.seen.quarantined <= now.quarantined, "a quarantined handle came back"
        assert not any(now.owners[uuid][0] for uuid in now.quarantined)
        for uuid, (owner, _) in now.owners.items():
            if owner and now.arqs[owner][0] is ArqState.BIND_STARTED:
                self.prepared.add(uuid)
        self.seen = now
        self.cleaned.clear()

    # Helpers

    def some(self, states: Collection[ArqState]) -> list[str]:
        uuids = sorted(uuid for uuid, (state, _) in self.seen.arqs.items() if state in states)
        return self.random.sample(uuids, min(len(uuids), self.random.choice([1, 1, 2])))

    def attempt(self, use_case: Callable[..., object], *arguments: object) -> None:
        """Do it; a refusal must be one that callers know."""
        self.history.append(f"{use_case.__name__} {arguments}")
        try:
            use_case(self.env, *arguments)
            self.done[use_case.__name__] += 1
        except CyborgError as error:
            self.history[-1] += f" -> {error.code}"
            self.done[error.code] += 1
            assert error.http_status in (400, 404, 409), error


_HANDLES = (
    sa.select(attach_handles, deployables.c.rp_uuid, hosts.c.name.label("host"))
    .join_from(attach_handles, deployables)
    .join(devices)
    .join(hosts)
)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_lives(env: Environment, agents: RecordingAgents, seed: int) -> None:
    life = Life(env, agents, seed)
    try:
        life.live(STEPS)
    except BaseException:
        print("\n".join(life.history))
        raise
    # Of what is rare, too, there was some.
    assert {"create", "bind", "unbind", "delete", "finish", "sweep"} <= set(life.done), life.done
    assert "cyborg.arq.no_free_handle" in life.done
    assert life.done["bind"] > STEPS / 30
