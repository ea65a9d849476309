"""Faults of the services around: Placement, Nova, Keystone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial

from checks import waited
from fault import Fault, within
from load import PATIENCE, Boot, Target
from processes import CONDUCTORS
from settings import NARROW, PLAIN
from world import World, providers

from cyborg.tests.functional.processes.harness import Api

#: What Placement says to who writes on condition of an older generation.
_CONFLICT = json.dumps(
    {
        "errors": [
            {
                "status": 409,
                "title": "Conflict",
                "detail": "another process changed it",
                "code": "placement.concurrent_update",
            }
        ]
    }
)
#: What a provider's job says of itself then.
_DRIFT = "others change it at the same time"
_TRIES = 4


def conflicts(world: World) -> str:
    """Placement refuses every write with a conflict, while cards of a host have failed."""
    way = world.ways["placement"]
    target = Target(PLAIN, providers(world.hosts[PLAIN])[0])
    before = way.answered()
    way.answer(409, _CONFLICT, ("PUT", "POST"))
    world.reload(NARROW, conditions=_conditions(world, "failed"))
    waited("drift", lambda: _looks(world) >= 2, 30)
    boot = world.load.bound(target)
    assert boot is not None
    assert boot.status == 202, f"a bind answers {boot.status}"
    world.load.see(boot)
    world.load.delete(boot)
    time.sleep(1)
    looks, writes = _looks(world), way.answered() - before
    way.mend()
    mended = time.monotonic()
    # Each conductor may be in the middle of a look.
    most = (looks + len(CONDUCTORS)) * _TRIES
    assert writes <= most, f"{writes} writes in {looks} looks"
    waited("cards that are reserved", partial(_reserves, world, 1), 40)
    seconds = time.monotonic() - mended
    world.reload(NARROW)
    waited("cards that are offered", partial(_reserves, world, 0), 60)
    return f"{writes} tries in {looks} looks, kept as drift, healed after {seconds:.1f} s"


def _looks(world: World) -> int:
    """Return how many looks at providers have ended in drift."""
    [(failures,)] = world.rows(
        "SELECT COALESCE(SUM(failures), 0) FROM jobs WHERE last_error = :error", error=_DRIFT
    )
    return int(failures)


def _conditions(world: World, condition: str) -> str:
    cards = range(world.hosts[NARROW].devices)
    return ",".join(f"fake-{number}:{condition}" for number in cards)


def _reserves(world: World, number: int) -> bool:
    return all(
        world.placement.inventories(uuid)["FPGA"]["reserved"] == number
        for uuid in providers(world.hosts[NARROW])
    )


def events(world: World) -> str:
    """Nova fails, is away, and hangs, while binds are done; then it is there again."""
    load, number = world.load, world.settings.events
    slots = world.slots(number)
    boots: list[Boot] = []
    third = len(slots) // 3
    troubles: tuple[Callable[[], None], ...] = (
        partial(world.nova.failing, 500),
        world.nova.down,
        world.ways["nova"].hold,
    )
    for number_of, trouble in enumerate(troubles):
        world.nova.normal()
        world.nova.up()
        trouble()
        end = len(slots) if number_of == 2 else (number_of + 1) * third
        part = slots[number_of * third : end]
        boots += [boot for boot in load.at_once(load.bound, part, 16) if boot]
    unscheduled = boots[::10]
    for boot in unscheduled:
        # Nova has never heard of it: 404.
        world.nova.servers.pop(boot.server)
    time.sleep(world.settings.outage)
    world.ways.mend()
    mended = time.monotonic()
    load.at_once(load.see, boots, 16)
    told = [boot.told for boot in boots if boot.told is not None]
    refused = [boot.status for boot in boots if boot.status != 202]
    assert not refused, f"binds were answered {refused[:5]}"
    share = len(told) / number
    assert share >= 0.9999, f"{len(told)} of {number} were told"
    seconds = within(max(told) - mended, PATIENCE, "the last event")
    load.at_once(load.delete, boots, 16)
    return f"{share:.2%} of {number} events, the last {seconds:.1f} s after Nova's return"


def placement_away(world: World) -> str:
    """Placement answers 500, then 30 s late, then not at all, for 90 s; binds go on."""
    way, load = world.ways["placement"], world.load
    third = world.settings.outage / 2
    with load.background():
        way.answer(500, "{}")
        world.reload(NARROW, conditions=_conditions(world, "failed"))
        time.sleep(third)
        way.mend()
        way.delay(30)
        time.sleep(third)
        way.mend()
        way.hold()
        time.sleep(third)
        way.mend()
        mended = time.monotonic()
        period = world.settings.option("conductor", "provider_comparison_interval")
        waited("cards that are reserved", partial(_reserves, world, 1), period + 60)
        seconds = within(time.monotonic() - mended, period, "healing")
    load.check()
    done = load.tally.count(202)
    world.reload(NARROW)
    waited("cards that are offered", partial(_reserves, world, 0), 60)
    load.tally.refuse("without Placement")
    return f"{done} binds meanwhile, healed after {seconds:.1f} s of {period:g}"


def keystone_away(world: World) -> str:
    """Keystone is away: tokens that were looked at are good, others get 503."""
    load = world.load
    # One that the API has looked at earlier may be one that it looks at again meanwhile.
    load.renew()
    known, unknown = world.as_admin(), world.cloud.as_user("demo-reader")
    # Each process of the API has a cache of its own.
    for _ in range(8):
        assert known.status("GET", "/v2/devices") == 200
    took = {}
    for name, harm in (
        ("down", world.ways["keystone"].cut),
        ("silent", world.ways["keystone"].hold),
    ):
        with load.background(4):
            time.sleep(1)
            harm()
            time.sleep(world.settings.outage / 6)
            began = time.monotonic()
            answer = unknown.ask("GET", "/v2/accelerator_requests")
            took[name] = time.monotonic() - began
            assert answer.status_code == 503, f"an unknown token: {answer.status_code}"
            assert known.status("GET", "/v2/devices") == 200, "a known token"
        load.check()
        load.tally.refuse("a known token without Keystone")
        world.ways.mend()
        waited("an unknown token", partial(_is_known, unknown), 30)
        unknown = world.cloud.as_user("demo-reader")
    told = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items())
    return f"known tokens are served, others 503 ({told}); {load.tally}"


def _is_known(api: Api) -> bool:
    return api.status("GET", "/v2/accelerator_requests") == 200


FAULTS = (
    Fault(
        "F10",
        "Placement answers 500, is 30 s slow, is away",
        "binds go on; heals within 1 comparison",
        placement_away,
    ),
    Fault(
        "F12",
        "Keystone away",
        "known tokens are served, others get 503",
        keystone_away,
    ),
    Fault(
        "F9",
        "Placement answers 409 to every write",
        "at most 4 tries a look, then kept as drift",
        conflicts,
        is_short=True,
    ),
    Fault(
        "F11",
        "Nova answers 500 or 404, is down, or hangs",
        "99.99 % of events within 300 s of its return",
        events,
        is_short=True,
    ),
)
