"""Races over one piece of hardware that is offered in several ways, on servers with many writers.

After every round what is held is counted anew from the rows of handles: whatever the code under
test believes, nothing is given to two. And no round may end in a deadlock: claims, reports,
releases and what operators do take their locks in one order.
"""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from cyborg.conductor import (
    binding,
    catalogue,
    creating,
    finishing,
    inventory,
    programming,
    providers,
    releasing,
)
from cyborg.conductor.environment import Environment
from cyborg.db.tables import devices, jobs
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.inventory import DeployableReport, DeviceReport, Snapshot
from cyborg.domain.model import DeviceCondition, DeviceStatus, JobKind
from cyborg.tests.functional.conductor.harness import PROJECT, bind, held, let_run_out, make, rows
from cyborg.tests.functional.conductor.racing import (
    ROUNDS,
    QuickPlacement,
    check_hardware,
    check_offers,
    mediated,
    nobody_gives_up,
    on_servers,
    parts,
    round_of,
    whole,
)
from cyborg.tests.helpers import HOST, an_interval_later, deployable, device, profile, report

pytestmark = on_servers

WHOLE, PARTS = provider_uuid(whole().name), provider_uuid(parts().name)
NO_PROVIDER = "cyborg.arq.provider_not_found"
FULL, NOT_AVAILABLE = "cyborg.arq.no_free_handle", "cyborg.arq.device_not_available"
#: Offers are looked at in every so many rounds.
NOW_AND_THEN = 5


def card(*shapes: DeployableReport, **values: Any) -> DeviceReport:
    return device("card", *shapes, **values)


@pytest.fixture
def calm(env: Environment) -> Iterator[Environment]:
    """A profile for each shape, and a database that gives nobody up."""
    profile(env, "whole", {"resources:PGPU": "1"})
    profile(env, "part", {"resources:FPGA": "1"})
    profile(env, "vgpu", {"resources:VGPU": "1"})
    with nobody_gives_up(env):
        yield env
    check_offers(env)


def reporting(env: Environment, *cards: DeviceReport, host: str = HOST) -> Callable[[], None]:
    """Return a report that comes an interval after the one before."""
    an_interval_later(env)
    return partial(inventory.report, env, host, Snapshot(devices=cards).to_wire())


def binds(env: Environment, *wanted: tuple[str, str]) -> dict[str, Callable[[], None]]:
    """Make an ARQ of each profile; return by its uuid what binds it to the provider."""
    made = [(make(env, name)[0], rp) for name, rp in wanted]
    return {uuid: partial(bind, env, uuid, instance=new_uuid(), rp=rp) for uuid, rp in made}


def test_whole_against_part(calm: Environment) -> None:
    dice = random.Random(1)
    report(calm, card(whole(), parts()))
    made = binds(calm, ("whole", WHOLE), ("part", PARTS))
    for turn in range(ROUNDS):
        ends = round_of(dice, *made.values())
        # Who waits for the card finds out how it ended: there is always a winner.
        assert sorted(ends) == [FULL, "ok"], ends
        check_hardware(calm)
        if turn % NOW_AND_THEN == 0:
            check_offers(calm)
        releasing.unbind(calm, list(made))


def test_binds_against_a_report_of_another_shape(calm: Environment) -> None:
    """A card that was offered whole is cut into mediated devices, and made whole again."""
    dice = random.Random(2)
    shapes = [card(mediated()), card(whole())]
    report(calm, shapes[1])
    made = binds(calm, ("whole", WHOLE), ("vgpu", WHOLE), ("vgpu", WHOLE))
    bound = set()
    for turn in range(ROUNDS):
        ends = round_of(dice, *made.values(), reporting(calm, shapes[turn % 2]))
        assert ends[-1] == "ok"
        assert set(ends) <= {"ok", FULL, NOT_AVAILABLE}, ends
        bound |= {
            name for name, end in zip(("whole", "vgpu", "vgpu"), ends, strict=False) if end == "ok"
        }
        check_hardware(calm)
        if turn % NOW_AND_THEN == 0:
            check_offers(calm)
        # Sometimes one is kept, and the next shape meets it.
        releasing.unbind(calm, [uuid for uuid in made if dice.random() < 0.7])
    assert bound == {"whole", "vgpu"}, "it was no race"


def test_binds_against_a_condition_that_turns_failed(calm: Environment) -> None:
    dice = random.Random(3)
    healthy, failed = (
        card(whole(), parts(), condition=condition)
        for condition in (DeviceCondition.HEALTHY, DeviceCondition.FAILED)
    )
    made = binds(calm, ("whole", WHOLE), ("part", PARTS), ("part", PARTS))
    seen: list[int] = []

    def fail() -> None:
        reporting(calm, failed)()
        seen.append(held(calm))

    tally = set()
    for turn in range(ROUNDS):
        report(calm, healthy)
        ends = round_of(dice, *made.values(), fail)
        assert ends[-1] == "ok"
        assert set(ends) <= {"ok", FULL, NOT_AVAILABLE}, ends
        assert held(calm) == seen[-1] == ends[:-1].count("ok"), "bound after the report's return"
        check_hardware(calm)
        if turn % NOW_AND_THEN == 0:
            check_offers(calm)
        tally |= set(ends)
        releasing.unbind(calm, list(made))
    assert NOT_AVAILABLE in tally, "it was no race"


def test_two_drivers_handles_of_one_function(calm: Environment) -> None:
    """Whoever reports it, one or the other or both, it is there once, and who has it keeps it."""
    dice = random.Random(4)
    one = device("GPU-1", whole(), driver="gpu")
    same = dataclasses.replace(whole(), name=f"{HOST}_pci_0000:42:00.0", resource_class="FPGA")
    two = device("0000:42:00.0", same, driver="pci")
    made = binds(calm, ("whole", WHOLE), ("part", provider_uuid(same.name)))
    tally: Counter[str] = Counter()
    for turn in range(ROUNDS):
        before, after = dice.sample([[one], [two], [one, two]], 2)
        report(calm, *before)
        ends = round_of(dice, *made.values(), reporting(calm, *after))
        assert ends[-1] == "ok"
        assert set(ends) <= {"ok", FULL, NOT_AVAILABLE, NO_PROVIDER}, ends
        check_hardware(calm)
        if turn % NOW_AND_THEN == 0:
            check_offers(calm)
        tally += Counter(f"{name} {end}" for name, end in zip(("one", "two"), ends, strict=False))
        releasing.unbind(calm, list(made))
    print(tally)
    assert tally["one ok"] > 0 < tally["two ok"], "it was no race"


class Storm:
    """All that happens to two cards of a host, each whole and in parts, and to another host."""

    def __init__(self, env: Environment, dice: random.Random) -> None:
        self.env = env
        self.dice = dice
        self.arqs: list[str] = []
        self.names = 0

    def actions(self) -> list[tuple[str, Callable[[], object]]]:
        """Choose what happens at once, by the rows as they are before."""
        choices = {
            self.bind: 8,
            self.unbind: 3,
            self.delete: 4,
            self.answer: 6,
            self.disable: 2,
            self.program: 2,
            self.report: 4,
            self.report_elsewhere: 2,
            self.sweep: 2,
        }
        chosen = self.dice.choices(list(choices), list(choices.values()), k=6)
        return [(choose.__name__, choose()) for choose in chosen]

    def bind(self) -> Callable[[], object]:
        """Of one card, or of both."""
        made = creating.create(self.env, self.dice.choice(["whole", "part", "both"]), PROJECT)
        self.arqs += [arq.uuid for arq in made]
        instance = new_uuid()
        bindings = {}
        for arq in made:
            shape = whole if "resources:PGPU" in arq.group else parts
            rp = provider_uuid(shape(self.dice.choice(BUSES)).name)
            values = {"hostname": HOST, "device_rp_uuid": rp, "instance_uuid": instance}
            bindings[arq.uuid] = values
        return partial(binding.bind, self.env, bindings, PROJECT, self.dice.random() < 0.8)

    def unbind(self) -> Callable[[], object]:
        return partial(releasing.unbind, self.env, self.some_arqs())

    def delete(self) -> Callable[[], object]:
        return partial(releasing.delete, self.env, self.some_arqs())

    def some_arqs(self) -> list[str]:
        return self.dice.sample(self.arqs, min(3, len(self.arqs)))

    def answer(self) -> Callable[[], object]:
        """What an agent does next: most things work, some do not yet."""
        work = [row for row in rows(self.env, jobs) if row.kind in AGENTS_WORK]
        if not work:
            return list
        job = self.dice.choice(work)
        error = self.dice.choices([None, "not yet"], [4, 1])[0]

        def act() -> None:
            finishing.begin(self.env, job.host, job.uuid, job.generation, 0)
            finishing.finish(self.env, job.host, job.uuid, job.generation, error)

        return act

    def disable(self) -> Callable[[], object]:
        card = self.dice.choice(rows(self.env, devices))
        status = self.dice.choices(list(DeviceStatus), [3, 1])[0]
        return partial(catalogue.set_device_status, self.env, card.uuid, status)

    def program(self) -> Callable[[], object]:
        part = provider_uuid(parts(self.dice.choice(BUSES)).name)
        return partial(programming.program, self.env, part, new_uuid(), PROJECT)

    def report(self) -> Callable[[], object]:
        """Of cards that are whole or in parts, cut otherwise, or have failed."""
        return reporting(self.env, *(self.card(bus) for bus in BUSES))

    def card(self, bus: str) -> DeviceReport:
        left, dirty = (parts(bus, count, programmable=True) for count in (0, 4)), bus == "42"
        none, four = left
        shapes = self.dice.choice(
            [(whole(bus, needs_release=True), four)] * 3
            + [(mediated(bus, needs_release=dirty), none), (whole(bus, needs_release=True), none)]
        )
        condition = self.dice.choices(list(DeviceCondition), [4, 2, 1, 4])[0]
        return device(f"card-{bus}", *shapes, condition=condition)

    def report_elsewhere(self) -> Callable[[], object]:
        """Cards of another host come and go. What comes is new: of what comes back at once,
        MariaDB locks the neighbours, which are this host's."""
        self.names += 1
        cards = [
            device(f"card-{number}", deployable(f"compute-2_{number}", self.dice.choice([2, 4])))
            for number in range(self.names - self.dice.choice([0, 1, 2]), self.names + 1)
        ]
        return reporting(self.env, *cards, host="compute-2")

    def sweep(self) -> Callable[[], object]:
        let_run_out(self.env, jobs)
        return self.dice.choice(
            [partial(providers.sweep, self.env), partial(finishing.sweep, self.env)]
        )


BUSES = ["42", "43"]
AGENTS_WORK = set(JobKind)
HARMLESS = {
    "ok",
    FULL,
    NOT_AVAILABLE,
    "cyborg.arq.not_found",
    "cyborg.arq.provider_not_found",
    "cyborg.arq.state_conflict",
    "cyborg.deployable.busy",
    "cyborg.deployable.in_use",
    "cyborg.deployable.missing",
    "cyborg.deployable.not_found",
    "cyborg.deployable.not_programmable",
}


def test_everything_at_once(calm: Environment) -> None:
    """Nobody gives up, and nobody is told to come back later."""
    env = dataclasses.replace(calm, placement=QuickPlacement())
    env.conf.set_override("release_attempts", 100, group="conductor")
    env.conf.set_override("program_attempts", 100, group="conductor")
    profile(env, "both", {"resources:PGPU": "1"}, {"resources:FPGA": "1"})
    storm = Storm(env, random.Random(5))
    storm.report()()
    tally: Counter[str] = Counter()
    for turn in range(ROUNDS):
        names, actions = zip(*storm.actions(), strict=True)
        ends = round_of(storm.dice, *actions)
        assert set(ends) <= HARMLESS, ends
        tally += Counter(f"{n} {e}" for n, e in zip(names, ends, strict=True))
        check_hardware(env)
        if turn % NOW_AND_THEN == 0:
            check_offers(env)
    print(tally)
