"""Faults of the message queue and of the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import sqlalchemy as sa
from fault import Fault, within
from load import Boot, Target
from settings import PLAIN
from world import World, providers

_POST = ("POST", "/v2/accelerator_requests", {"device_profile_name": "one"})
_STORM_CLIENTS = 32
_STORM_SECONDS = 20
#: Seconds for which a storm's other user of the database holds the rows.
_LOCKED = 0.3


def queue_down(world: World) -> str:
    """RabbitMQ is away for a minute, which is all that a bind has to be ready in."""
    with world.load.background(may_fail=True):
        time.sleep(1)
        world.queue.kill()
        slowest = _refusals(world, world.settings.outage)
        world.queue.start()
        seconds = _recovery(world)
    world.load.check()
    within(seconds, 15, "recovery")
    failed = sum(boot.failed for boot in world.load.finished)
    return (
        f"recovery {seconds:.1f} s, 503 after {slowest:.1f} s at most, {failed} binds ended "
        f"without their agent, {world.load.tally}"
    )


def _refusals(world: World, outage: float) -> float:
    """See for a while that reading works and changing is refused; return the slowest refusal."""
    admin, end, slowest = world.as_admin(), time.monotonic() + outage, 0.0
    while (began := time.monotonic()) < end:
        answer = admin.ask(*_POST)
        slowest = max(slowest, time.monotonic() - began)
        assert answer.status_code == 503, f"POST without a queue: {answer.status_code}"
        again = answer.headers.get("Retry-After", "")
        assert again.isdigit() and int(again) <= 5, f"Retry-After: {again!r}"
        assert admin.status("GET", "/v2/device_profiles") == 200, "GET without a queue"
        time.sleep(1)
    return within(slowest, 5, "a refusal")


def _recovery(world: World) -> float:
    """Return how many seconds it takes until a server can be booted and deleted again."""
    began = time.monotonic()
    while not _boots(world):
        assert time.monotonic() - began < 120, "no server can be booted"
        time.sleep(0.1)
    return time.monotonic() - began


def _boots(world: World) -> bool:
    load = world.load
    boot = load.prepared(load.targets[0])
    if boot is None:
        return False
    is_bound = load.nova.bind(boot, insist=False) == 202
    load.see(boot, 60)
    load.delete(boot)
    return is_bound


def database_restarted(world: World) -> str:
    """The database is killed and starts again, twice; then it stands still, as in a failover."""
    worst = 0.0
    with world.load.background():
        for _ in range(2):
            time.sleep(2)
            world.database.kill()
            world.database.start()
            worst = max(worst, _recovery(world))
        time.sleep(2)
        world.database.pause()
        time.sleep(10)
        world.database.resume()
        worst = max(worst, _recovery(world))
    world.load.check()
    return f"recovery {within(worst, 10, 'recovery'):.1f} s, {world.load.tally}"


def storm(world: World) -> str:
    """Many use one provider while somebody else locks its rows again and again."""
    load = world.load
    targets = load.targets
    load.targets = [Target(PLAIN, providers(world.hosts[PLAIN])[0])]
    over = threading.Event()
    locker = threading.Thread(target=_lock, args=(world, over))
    try:
        with load.background(_STORM_CLIENTS):
            locker.start()
            time.sleep(_STORM_SECONDS)
            over.set()
    finally:
        over.set()
        locker.join()
        load.targets = targets
    load.check()
    load.tally.refuse("in a storm")
    return f"{len(load.finished)} servers, {load.tally}"


def _lock(world: World, over: threading.Event) -> None:
    uuid = providers(world.hosts[PLAIN])[0]
    statement = sa.text(
        "SELECT h.id FROM attach_handles h JOIN deployables d ON d.id = h.deployable_id"
        " WHERE d.rp_uuid = :uuid FOR UPDATE"
    )
    while not over.wait(_LOCKED):
        try:
            with world.engine.begin() as connection:
                connection.execute(statement, {"uuid": uuid})
                over.wait(_LOCKED)
        except sa.exc.DBAPIError:
            continue  # it was the one to give way


def each_killed(world: World) -> str:
    """Each process is killed under load, and started again."""
    return _one_after_the_other(world, world.kill, 2.0, again=True)


def each_frozen(world: World) -> str:
    """Each process is frozen under load, and goes on."""
    return _one_after_the_other(world, world.freeze, world.settings.freeze, again=False)


def _one_after_the_other(
    world: World, harm: Callable[[str], None], seconds: float, *, again: bool
) -> str:
    took = {}
    with world.load.background():
        for name in tuple(world.processes):
            harm(name)
            time.sleep(seconds)
            began = time.monotonic()
            if again:
                world.begin_anew(name)
            else:
                world.thaw(name)
            _recovery(world)
            took[name] = time.monotonic() - began
    world.load.check(may_be_silent=True)
    slowest = max(took, key=lambda name: took[name])
    within(took[slowest], 15, f"recovery after {slowest}")
    late = _late(world.load.finished)
    return f"slowest: {slowest}, {took[slowest]:.1f} s; {late}; {world.load.tally}"


def _late(boots: list[Boot]) -> str:
    bound = [boot for boot in boots if boot.told is not None]
    late = sum(boot.told is not None and boot.told - boot.began > 5 for boot in bound)
    return f"{late} of {len(bound)} binds took more than 5 s"


FAULTS = (
    Fault(
        "F6",
        "RabbitMQ down for 60 s",
        "503 with Retry-After <= 5 s, GET works; recovery <= 15 s",
        queue_down,
    ),
    Fault(
        "F7",
        "the database restarted twice, and frozen",
        "503 or success; recovery <= 10 s",
        database_restarted,
    ),
    Fault(
        "F8",
        "deadlocks and lock waits, 32 clients",
        "none is seen by a user",
        storm,
    ),
    Fault("P1", "each process killed and restarted", "recovery <= 15 s", each_killed),
    Fault("P2", "each process frozen for 40 s", "recovery <= 15 s", each_frozen),
)
