"""Random lives: whatever happens in whatever order, the invariants hold after every step.

Users create, bind, unbind and delete; agents answer well, badly, late, twice or never, cannot
begin, or come back from a boot of their host; cards come and go; leases run out; conductors die
between any two statements; in half of the lives there is a Nova, which takes events, does not, or
is away. What must hold is read from the database after each step.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from cyborg.clients.nova import Nova, Server
from cyborg.conductor import (
    binding,
    catalogue,
    creating,
    events,
    finishing,
    inventory,
    releasing,
    restoring,
)
from cyborg.conductor.environment import AtOnce, Environment
from cyborg.db.accelerator_requests import list_requests
from cyborg.db.devices import list_devices
from cyborg.db.tables import (
    accelerator_requests,
    attach_handles,
    deployables,
    devices,
    hosts,
    jobs,
    outbox,
)
from cyborg.db.types import database_now
from cyborg.domain.clock import provider_uuid
from cyborg.domain.errors import CyborgError, ServiceUnavailable
from cyborg.domain.inventory import DeviceReport, Snapshot
from cyborg.domain.model import DeviceStatus, EventStatus, JobKind
from cyborg.domain.states import AT_WORK, BINDABLE, HOLDING, RELEASING, ArqState, may_become
from cyborg.domain.work import Prepare, Release, Work
from cyborg.tests.functional.conductor.dying import MOMENTS, Died, Mortal, MortalAgents
from cyborg.tests.functional.conductor.harness import check_audit
from cyborg.tests.helpers import (
    HOST,
    RecordingAgents,
    an_interval_later,
    deployable,
    device,
    profile,
    report,
)

T = TypeVar("T")

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
    unclean: set[str] = dataclasses.field(default_factory=set)


class RandomNova(Nova):
    """A Nova that answers this and that. What it is told must be true."""

    def __init__(self, env: Environment, numbers: random.Random) -> None:
        self._env = env
        self._random = numbers
        self.told: Counter[str] = Counter()
        #: What it says of servers during one step: None that it has none, or whether it is busy.
        self.servers: dict[str, bool | None] = {}

    def send_events(
        self,
        instance_uuid: str,
        status: EventStatus,
        request_uuids: Sequence[str],
        timeout: float | None = None,
    ) -> dict[str, int]:
        with self._env.database.reader() as connection:
            found = list_requests(connection, uuids=request_uuids)
        assert [arq.uuid for arq in found] == sorted(request_uuids)
        for arq in found:
            assert arq.instance_uuid == instance_uuid
            if status is EventStatus.COMPLETED:
                assert arq.state is ArqState.BOUND
            else:
                assert arq.state in (ArqState.BIND_FAILING, ArqState.BIND_FAILED)
                assert arq.state_reason
        self.told[status] += 1
        self._be_away(0.3)
        codes = self._random.choices([200, 422, 404, 400], [2, 2, 1, 2], k=len(request_uuids))
        return dict(zip(request_uuids, codes, strict=True))

    def server(self, uuid: str) -> Server | None:
        self._be_away(0.2)
        busy = self.servers.setdefault(uuid, self._random.choice([None, False, True]))
        if busy is None:
            return None
        return Server("project", "spawning" if busy else None, HOST)

    def _be_away(self, probability: float) -> None:
        if self._random.random() < probability:
            raise ServiceUnavailable("Nova is away")


class Unreliable(AtOnce):
    """A conductor that may be gone before it has told what it has taken."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def first(self, key: str, work: Callable[[], None]) -> bool:
        if self._dice.random() < 0.8:
            work()
        return True

    again = first


class Life:
    """One history of one host, chosen by a seed."""

    def __init__(self, env: Environment, seed: int, *, with_nova: bool) -> None:
        numbers = itertools.count(1)
        self.random = random.Random(seed)
        self.mortal = Mortal()
        self.death = random.Random(f"death {seed}")
        self.nova = RandomNova(env, self.random) if with_nova else None
        self.agents = MortalAgents(self.mortal)
        self.env = dataclasses.replace(
            env,
            new_uuid=lambda: f"{next(numbers):08x}-0000-4000-8000-000000000000",
            nova=self.nova,
            senders=Unreliable(self.random),
            agents=self.agents,
        )
        self.boot = 1
        self.history: list[str] = []
        self.done: Counter[str] = Counter()
        self.seen = Seen()
        #: Handles whose release an agent has reported as done, since the step before.
        self.cleaned: set[str] = set()
        #: Handles that were given to an agent to prepare, and not released since.
        self.prepared: set[str] = set()
        profile(self.env, "one")
        profile(self.env, "two", {"resources:FPGA": "2"})
        self.reports(*(self.card(part, HANDLES) for part in PARTS))

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
            self.ask: 4,
            self.scan: 3,
            self.boots: 1,
            self.time_passes: 4,
        }
        if self.nova is not None:
            actions |= {self.events_are_due: 6, self.patience_is_over: 2}
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
            # What Nova is about happens to devices that must be prepared.
            "device_rp_uuid": provider_uuid(
                self.random.choices(PARTS, [1, 1, 1 if self.nova is None else 4])[0]
            ),
            "instance_uuid": self.random.choice(INSTANCES),
        }
        states = self.random.choices([BINDABLE, frozenset(ArqState)], [4, 1])[0]
        self.attempt(
            binding.bind,
            dict.fromkeys(self.some(states), values),
            "project",
            self.random.random() < 0.8,
            owner_is_certain=self.random.random() < 0.8,
        )

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
        error = self.random.choices(
            [None, "the card is stuck"], [2, 1 if self.nova is None else 2]
        )[0]
        not_begun = error is not None and self.random.random() < 0.2
        with self.env.database.reader() as connection:
            current = connection.execute(
                sa.select(jobs.c.kind).where(
                    jobs.c.uuid == work.job_uuid, jobs.c.generation == work.generation
                )
            ).first()
        if current is not None and current.kind == "release" and error is None:
            self.cleaned.update(released_by(work))
        self.attempt(
            finishing.finish, HOST, work.job_uuid, work.generation, error, not_begun=not_begun
        )

    def boots(self) -> None:
        """The host is booted, or its agent alone starts again and asks what is to be done."""
        self.boot += self.random.random() < 0.7
        works = self.attempt(restoring.resume, HOST, agent=self.agent())
        self.agents.sent += [(HOST, work) for work in works or ()]

    def agent(self) -> dict[str, object]:
        return {"boot_id": f"boot-{self.boot}", "boot_age": 0.0, "interval": 60.0}

    def reports(self, *cards: DeviceReport) -> None:
        an_interval_later(self.env)
        wire = Snapshot(devices=cards).to_wire()
        self.attempt(inventory.report, HOST, wire, agent=self.agent())

    def ask(self) -> None:
        """Ask about any work that was ever sent, as an agent does which has got it late."""
        if not self.agents.sent:
            return
        host, work = self.random.choice(self.agents.sent[-self.random.choice([3, 1000]) :])
        may = finishing.begin(self.env, host, work.job_uuid, work.generation, 0)
        self.history.append(f"ask {work} -> {may}")
        self.done[f"may begin {may}"] += 1
        assert not finishing.begin(self.env, "elsewhere", work.job_uuid, work.generation, 0)
        if may:
            with self.env.database.reader() as connection:
                owned = {row.uuid: row.arq for row in connection.execute(_OWNERS)}
                about = connection.scalar(_ABOUT.where(jobs.c.uuid == work.job_uuid))
            assert (about is None) is (work.kind == JobKind.CLEAN)
            for handle in touched_by(work):
                assert owned[handle] == about, "it would touch what somebody else has"

    def scan(self) -> None:
        counts = {part: self.random.choice([*[HANDLES] * 6, 1, 0]) for part in PARTS}
        present = [part for part in PARTS if self.random.random() < PRESENT]
        self.history.append(f"scan {counts} {present}")
        self.reports(*(self.card(part, counts[part]) for part in present))

    def card(self, part: str, count: int) -> DeviceReport:
        # Now and then a driver changes its mind about what its devices need.
        needs = NEEDS[self.random.choice(PARTS) if self.random.random() < 0.1 else part]
        return device(f"card-{part}", deployable(part, count, **needs))

    # Time

    def time_passes(self) -> None:
        # No more, since a conductor that dies leaves it so.
        past = database_now(-1)
        with self.env.database.engine.begin() as connection:
            connection.execute(jobs.update().values(leased_until=past))
            if self.random.random() < 1 / 3:
                late = jobs.update().where(jobs.c.deadline.is_not(None))
                connection.execute(late.values(deadline=past))
        self.attempt(finishing.sweep)

    def events_are_due(self) -> None:
        self.let_run_out(outbox.c.leased_until)
        self.attempt(events.sweep)

    def patience_is_over(self) -> None:
        self.let_run_out(outbox.c.deadline)
        self.attempt(events.sweep)

    def let_run_out(self, column: sa.Column[Any]) -> None:
        past = database_now(-1)
        with self.env.database.engine.begin() as connection:
            connection.execute(
                outbox.update().where(column.is_not(None)).values({column.name: past})
            )

    # What must hold

    def nothing_is_broken(self) -> None:
        check_audit(self.env)
        with self.env.database.reader() as connection:
            arqs = {row.id: row for row in connection.execute(sa.select(accelerator_requests))}
            handles = list(connection.execute(_HANDLES))
            # Of those about an ARQ; what is cleaned for nobody has none.
            live = {
                row.accelerator_request_id: row
                for row in connection.execute(sa.select(jobs))
                if row.accelerator_request_id is not None
            }
            told = {
                row.accelerator_request_id: row for row in connection.execute(sa.select(outbox))
            }
        held = {row.accelerator_request_id: row for row in handles if row.accelerator_request_id}
        assert set(live) <= set(arqs)
        for id_, arq in arqs.items():
            self.check_arq(arq, held.get(id_), live.get(id_))
            self.check_event(arq, told.get(id_), live.get(id_))
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
        if job is not None and job.kind == JobKind.RESTORE:
            assert state is ArqState.BOUND
            assert arq.state_reason == restoring.UNDER_WAY
            return
        assert (job is not None) is (state in AT_WORK), f"{state}, with the job {job}"
        if job is not None:
            assert job.kind == ("release" if state in RELEASING else "prepare")

    def check_event(self, arq: Any, event: Any, job: Any) -> None:
        state = ArqState(arq.state)
        failing = state is ArqState.BIND_FAILING
        if failing:
            assert self.nova is not None
            assert arq.bound_by_service
            assert event is not None, "it has failed, and Nova is not told"
            assert event.status == "failed"
        if event is None:
            return
        assert job is None or job.kind == JobKind.RESTORE, "Nova is not to be told the end of that"
        assert event.instance_uuid == arq.instance_uuid
        if event.status == "completed":
            assert state is ArqState.BOUND
        else:
            assert failing or state is ArqState.BIND_FAILED
        assert event.state == ("not_sent" if self.nova is None else "waiting")
        assert (event.deadline is not None) is failing, "it never ends"

    def check_failure(self, uuid: str, arq: Any) -> None:
        """Nova must not find its ARQ BindFailed as long as it may look at it."""
        if self.nova is None or not arq.bound_by_service or self.seen.arqs[uuid][0] in RELEASING:
            return
        assert self.nova.servers.get(arq.instance_uuid, True) is not True, "too early"

    def check_changes(self, arqs: dict[int, Any], handles: list[Any]) -> None:
        by_uuid = {arq.uuid: arq for arq in arqs.values()}
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
            unclean={h.uuid for h in handles if h.condition == "unclean"},
        )
        for uuid, (state, generation) in now.arqs.items():
            before, known = self.seen.arqs.get(uuid, (state, generation))
            assert before is state or may_become(before, state), f"{before} became {state}"
            assert generation > known or (generation == known and before is state)
            if state is ArqState.BIND_FAILED and before is not state:
                self.check_failure(uuid, by_uuid[uuid])
        for uuid, (owner, needs_release) in self.seen.owners.items():
            if owner is None or now.owners.get(uuid, (None, False))[0] == owner:
                continue
            assert uuid in now.owners, "a handle that was owned is gone"
            if needs_release or uuid in self.prepared:
                assert uuid in self.cleaned | now.quarantined, "handed on dirty"
            self.prepared.discard(uuid)
        assert self.seen.quarantined <= now.quarantined, "a quarantined handle came back"
        assert not any(now.owners[uuid][0] for uuid in now.quarantined | now.unclean)
        for uuid, (owner, _) in now.owners.items():
            if owner and now.arqs[owner][0] is ArqState.BIND_STARTED:
                self.prepared.add(uuid)
        self.seen = now
        self.cleaned.clear()
        if self.nova is not None:
            self.nova.servers.clear()

    # Helpers

    def some(self, states: Collection[ArqState]) -> list[str]:
        uuids = sorted(uuid for uuid, (state, _) in self.seen.arqs.items() if state in states)
        return self.random.sample(uuids, min(len(uuids), self.random.choice([1, 1, 2])))

    def attempt(
        self, use_case: Callable[..., T], *arguments: object, **options: object
    ) -> T | None:
        """Do it; a refusal must be one that callers know, and now and then the conductor dies."""
        said = f"{use_case.__module__} {use_case.__name__} {arguments} {options}"
        self.history.append(said[:500])
        dies = self.random.random() < 0.1
        try:
            moment = self.death.randrange(MOMENTS)
            with self.mortal.at(moment, self.env.database.engine) if dies else nullcontext():
                result = use_case(self.env, *arguments, **options)
            self.done[use_case.__name__] += 1
            return result
        except Died:
            self.history[-1] += " -> died"
            self.done["died"] += 1
        except CyborgError as error:
            self.history[-1] += f" -> {error.code}"
            self.done[error.code] += 1
            away = self.nova is not None and use_case is binding.bind
            assert error.http_status in (400, 404, 409, *[503] * away), error
        return None


def released_by(work: Work) -> set[str]:
    return {step.handle.uuid for step in work.steps if isinstance(step, Release)}


def touched_by(work: Work) -> set[str]:
    return {step.handle.uuid for step in work.steps if isinstance(step, Prepare | Release)}


_OWNERS = sa.select(attach_handles.c.uuid, attach_handles.c.accelerator_request_id.label("arq"))
_ABOUT = sa.select(jobs.c.accelerator_request_id)

_HANDLES = (
    sa.select(attach_handles, deployables.c.rp_uuid, hosts.c.name.label("host"))
    .join_from(attach_handles, deployables)
    .join(devices)
    .join(hosts)
)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_lives(env: Environment, seed: int) -> None:
    life = Life(env, seed, with_nova=seed % 2 == 1)
    try:
        life.live(STEPS)
    except BaseException:
        print("\n".join(life.history))
        raise
    # Of what is rare, too, there was some.
    assert {"create", "bind", "unbind", "delete", "finish", "sweep"} <= set(life.done), life.done
    assert {"may begin True", "may begin False"} <= set(life.done), life.done
    assert "cyborg.arq.no_free_handle" in life.done
    assert life.done["bind"] >= STEPS / 30
    assert life.done["died"] >= 3
    assert life.done["resume"] >= 1
    if life.nova is not None:
        assert set(life.nova.told) == {"completed", "failed"}


def test_a_release_goes_on_though_the_driver_asks_for_none_any_more(
    env: Environment, agents: RecordingAgents
) -> None:
    """Found by a random life: the ARQ could not be deleted, since there was the job."""
    profile(env)
    report(env, device("card", deployable("plain", 1)))
    [arq] = creating.create(env, "one", "project")
    values = {
        "hostname": HOST,
        "device_rp_uuid": provider_uuid("plain"),
        "instance_uuid": INSTANCES[0],
    }
    binding.bind(env, {arq.uuid: values}, "project", True)
    report(env, device("card", deployable("plain", 1, needs_release=True)))
    releasing.unbind(env, [arq.uuid])
    report(env, device("card", deployable("plain", 1)))
    releasing.delete(env, [arq.uuid])
    _, work = agents.sent[-1]
    with env.database.reader() as connection:
        assert list_requests(connection) == []
        assert connection.scalar(sa.select(attach_handles.c.accelerator_request_id))
    finishing.finish(env, HOST, work.job_uuid, work.generation, None)
    with env.database.reader() as connection:
        assert connection.scalar(sa.select(attach_handles.c.accelerator_request_id)) is None
