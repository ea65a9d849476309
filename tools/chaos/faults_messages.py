"""Messages that come twice, in another order, or not at all; and clocks that jump."""

from __future__ import annotations

import re
import time
from collections import Counter
from glob import glob
from pathlib import Path
from typing import Any

from checks import waited
from fault import Fault
from kombu.connection import Connection
from load import Target
from processes import CONDUCTORS
from settings import SLOW
from world import World, providers

_BINDS = 12
_HOUR = 3600
#: Few: an hour ahead every token is out of date, and each request to Placement gets another, which
#: takes all of a small machine.
_CLIENTS = 4
_LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")
_STARTED = re.compile(r"work started .*?job=(\S+) generation=(\d+)")


def meddled(world: World) -> str:
    """What is sent to an agent comes twice, backwards, and every third message never."""
    load = world.load
    uuids = providers(world.hosts[SLOW])
    world.kill(SLOW)
    boots = [load.bound(Target(SLOW, uuids[n % len(uuids)])) for n in range(_BINDS)]
    [queue] = [name for name in world.queue.depths(world.queue_url) if name.endswith(f".{SLOW}")]
    taken, lost = _meddle(world, queue)
    assert taken, "no message was in the queue"
    world.begin(SLOW)
    held = [load.see(boot) for boot in boots if boot]
    handles = {handle for boot in held for handle in boot.handles}
    doubled = _doubled(world)
    load.at_once(load.delete, held, 4)
    assert len(handles) == _BINDS, f"{_BINDS} ARQs have {len(handles)} handles"
    assert not doubled, f"done twice: {doubled}"
    return f"{taken} messages taken, {lost} lost, the others sent twice backwards: 0 done twice"


def _meddle(world: World, queue: str) -> tuple[int, int]:
    """Take what is in a queue, and send it again otherwise; return how much, and what is lost."""
    url = world.queue_url.replace("rabbit://", "amqp://", 1)
    with Connection(url) as connection:  # type: ignore[no-untyped-call]  # untyped
        channel = connection.channel()
        taken: list[Any] = []
        while (message := channel.basic_get(queue, no_ack=True)) is not None:
            taken.append(message)
        kept = [message for number, message in enumerate(taken) if number % 3]
        for message in [*reversed(kept), *kept]:
            channel.basic_publish(message, exchange="", routing_key=queue)
    return len(taken), len(taken) - len(kept)


def _doubled(world: World) -> list[tuple[str, ...]]:
    """Return what the agent of the slow host has begun more than once."""
    begun = Counter(_STARTED.findall(world.log(SLOW)))
    return [job for job, number in begun.items() if number > 1]


def clock_jumps(world: World) -> str:
    """The clocks of a conductor and of an agent jump an hour forward, and two back."""
    libraries = [path for pattern in _LIBRARIES for path in glob(pattern)]
    assert libraries, "faketime is not installed: 'make deps'"
    clock = world.folder / "clock"
    clock.write_text("+0")
    environment = {
        "LD_PRELOAD": libraries[0],
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": "1",
    }
    environments = world.cloud.ours.environments
    usual = {name: environments[name] for name in (CONDUCTORS[0], SLOW)}
    for name, own in usual.items():
        world.terminate(name)
        environments[name] = {**own, **environment}
        world.begin_anew(name)
    before = _second_attempts(world)
    with world.load.background(_CLIENTS):
        for seconds in (_HOUR, -_HOUR, 0):
            time.sleep(3)
            _jump(world, clock, seconds)
            sent = _sent(world)
            time.sleep(5)
            assert _sent(world) > sent, f"{CONDUCTORS[0]} asks nobody at {seconds:+d} s"
    world.load.check()
    stolen = _second_attempts(world) - before
    for name, own in usual.items():
        # libfaketime may keep what has done its work from ending.
        world.kill(name)
        environments[name] = own
        world.begin_anew(name)
    assert not stolen, f"{stolen} jobs were begun a second time"
    world.load.tally.refuse("with a wrong clock")
    return f"0 leases stolen, {len(world.load.finished)} servers, {world.load.tally}"


def _jump(world: World, clock: Path, seconds: int) -> None:
    """Let the clock be wrong by so much, and see that the processes believe it."""
    clock.write_text(f"{seconds:+d}")
    hour = time.strftime("%H:", time.gmtime(time.time() + seconds))
    waited("the other time", lambda: f" {hour}" in _last(world.log(SLOW)), 30)


def _last(text: str) -> str:
    return "\n".join(text.splitlines()[-3:])


def _sent(world: World) -> int:
    """Return how many events the conductor whose clock jumps has sent."""
    return world.log(CONDUCTORS[0]).count("event sent")


def _second_attempts(world: World) -> int:
    return sum(int(number) > 1 for _, number in _STARTED.findall(world.log(SLOW)))


FAULTS = (
    Fault(
        "F17",
        "messages doubled, reordered, lost",
        "0 double effects",
        meddled,
    ),
    Fault(
        "F18",
        "the clock jumps by 1 h, on one node",
        "0 leases stolen",
        clock_jumps,
    ),
)
