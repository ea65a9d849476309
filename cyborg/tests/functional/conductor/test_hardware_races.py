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

from cyborg.conductor import releasing
from cyborg.conductor.environment import Environment
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.inventory import DeployableReport, DeviceReport
from cyborg.domain.model import DeviceCondition
from cyborg.tests.functional.conductor.harness import bind, check_audit, held, make
from cyborg.tests.functional.conductor.quick_placement import QuickPlacement
from cyborg.tests.functional.conductor.racing import (
    ROUNDS,
    check_hardware,
    check_offers,
    mediated,
    nobody_gives_up,
    on_servers,
    parts,
    reporting,
    round_of,
    whole,
)
from cyborg.tests.functional.conductor.storm import HARMLESS, Storm
from cyborg.tests.helpers import HOST, device, profile, report

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


def test_reports_of_hosts_at_once(calm: Environment) -> None:
    """What one host changes is no other's, neighbours in an index or not."""
    dice = random.Random(6)
    for _ in range(ROUNDS // 4):
        reports = [
            reporting(calm, *(_any_card(dice, host, bus) for bus in ("42", "43")), host=host)
            for host in ("compute-1", "compute-2", "compute-3")
        ]
        assert round_of(dice, *reports) == ["ok"] * len(reports)
        check_hardware(calm)


def _any_card(dice: random.Random, host: str, bus: str) -> DeviceReport:
    """Return a card of a host that is whole and in parts, or cut otherwise."""
    shapes = dice.choice(
        [(whole(bus), parts(bus)), (whole(bus), parts(bus, 2)), (mediated(bus), parts(bus, 0))]
    )
    here = [dataclasses.replace(part, name=part.name.replace(HOST, host)) for part in shapes]
    return device(f"card-{bus}", *here)


def test_everything_at_once(calm: Environment) -> None:
    """Nobody gives up, and nobody is told to come back later."""
    env = dataclasses.replace(calm, placement=QuickPlacement())
    env.conf.set_override("release_attempts", 100, group="conductor")
    env.conf.set_override("program_attempts", 100, group="conductor")
    profile(env, "both", {"resources:PGPU": "1"}, {"resources:FPGA": "1"})
    storm = Storm(env, random.Random(5))
    storm.report()()
    tally: Counter[str] = Counter()
    for _ in range(ROUNDS // 4):
        names, actions = zip(*storm.actions(), strict=True)
        ends = round_of(storm.dice, *actions)
        assert set(ends) <= HARMLESS, ends
        tally += Counter(f"{name} {end}" for name, end in zip(names, ends, strict=True))
        check_hardware(env)
        check_offers(env)
        check_audit(env)
    print(tally)
