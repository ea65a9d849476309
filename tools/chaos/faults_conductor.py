"""Faults of the conductors: killed, alone, told to stop."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from checks import waited
from fault import Fault, within
from load import Boot
from processes import API, CONDUCTORS
from world import World

_THREADS = 24
#: Seconds for requests to be on their way.
_BEGUN = 0.7


def _killed_with_binds(world: World) -> str:
    """One of two is killed while half of the binds are answered and the others under way."""
    load, number = world.load, world.settings.binds
    boots = [b for b in load.at_once(load.prepared, world.slots(number), _THREADS) if b]
    assert len(boots) == number, f"only {len(boots)} of {number} were prepared"
    answered = threading.Semaphore(0)

    def bind(boot: Boot) -> Boot:
        load.bind(boot)
        answered.release()
        return boot

    with ThreadPoolExecutor(_THREADS) as pool:
        futures = [pool.submit(bind, boot) for boot in boots]
        for _ in range(number // 2):
            answered.acquire()
        world.kill(CONDUCTORS[0])
        killed = time.monotonic()
        for future in futures:
            future.result()
    load.at_once(load.see, boots, _THREADS)
    late = max(_end_of(boot) for boot in boots) - killed
    refused = [boot.status for boot in boots if boot.status != 202]
    handles = {handle for boot in boots for handle in boot.handles}
    world.begin(CONDUCTORS[0])
    load.at_once(load.delete, boots, _THREADS)
    assert not refused, f"answered {refused[:5]}"
    assert len(handles) == number, f"{number} ARQs have {len(handles)} handles"
    return f"{number} Bound, the last after {within(late, 30, 'the last event'):.1f} s"


def _end_of(boot: Boot) -> float:
    return boot.told if boot.told is not None else float("inf")


def _all_killed(world: World) -> str:
    """Both are killed, and come back after a while."""
    load, number = world.load, 100
    boots = [b for b in load.at_once(load.prepared, world.slots(number), _THREADS) if b]
    with ThreadPoolExecutor(_THREADS) as pool:
        futures = [pool.submit(load.bind, boot) for boot in boots]
        time.sleep(_BEGUN)
        for name in CONDUCTORS:
            world.kill(name)
        began = time.monotonic()
        slowest = _refusals(world)
        time.sleep(max(0.0, 60 - (time.monotonic() - began)))
        started = time.monotonic()
        for name in CONDUCTORS:
            world.begin(name)
        for future in futures:
            future.result()
    # What could not begin before the deadline has failed, and Nova is told that.
    load.at_once(partial(load.see, may_fail=True), boots, _THREADS)
    # The others were told that nobody could serve them, and have nothing.
    accepted = [boot for boot in boots if boot.status == 202]
    odd = {boot.status for boot in boots} - {202, 503}
    assert accepted and not odd, f"{len(accepted)} of {number} were accepted, others {odd}"
    late = max(_end_of(boot) for boot in accepted) - started
    load.at_once(load.delete, boots, _THREADS)
    within(slowest, 2, "a refusal without a conductor")
    seconds = within(late, 15, "the last event")
    return (
        f"{len(accepted)} of {number} accepted, {sum(boot.failed for boot in accepted)} failed, "
        f"the last {seconds:.1f} s after the start; "
        f"503 in {slowest:.1f} s"
    )


def _refusals(world: World) -> float:
    """Return how many seconds the slowest of some requests took that nobody could serve."""
    # The first of them may find a queue that is not known to be deserted.
    time.sleep(world.settings.option("api", "rpc_timeout"))
    slowest = 0.0
    for _ in range(5):
        began = time.monotonic()
        status, _ = world.load.nova.ask(
            "POST", "/v2/accelerator_requests", {"device_profile_name": "one"}
        )
        slowest = max(slowest, time.monotonic() - began)
        assert status == 503, f"without a conductor: {status}"
    return slowest


def _told_to_stop(world: World) -> str:
    """Each process is told to stop while requests are under way in it; none of these fails."""
    drained: dict[str, float] = {}
    with world.load.background():
        time.sleep(_BEGUN)
        # Never both conductors at the same time.
        for names in ((CONDUCTORS[0], *list(world.hosts)[:2]), (CONDUCTORS[1],)):
            with ThreadPoolExecutor(len(names)) as pool:
                ended = pool.map(partial(_stopped, world), names)
                drained |= dict(zip(names, ended, strict=True))
                list(pool.map(world.begin_anew, names))
    world.load.tally.check()
    drained[API] = _api_stopped(world)
    world.load.tally.refuse("while processes were told to stop")
    slowest = max(drained, key=lambda name: drained[name])
    seconds = within(drained[slowest], 30, f"the end of {slowest}")
    return f"the slowest ({slowest}) ended after {seconds:.1f} s, {world.load.tally}"


def _stopped(world: World, name: str) -> float:
    began = time.monotonic()
    status = world.terminate(name)
    assert status == 0, f"{name} ended with {status}"
    return time.monotonic() - began


def _api_stopped(world: World) -> float:
    """Stop the API while what it was asked waits for the database; everything is answered."""
    load = world.load
    boots = [b for b in load.at_once(load.prepared, world.slots(16), 16) if b]
    with ThreadPoolExecutor(16) as pool:
        world.ways["database"].hold()
        asked: list[Future[int]] = [pool.submit(_bind_once, world, boot) for boot in boots]
        time.sleep(_BEGUN)
        stopping = pool.submit(_stopped, world, API)
        time.sleep(_BEGUN)
        world.ways["database"].mend()
        statuses = [each.result() for each in asked]
        seconds = stopping.result()
    assert set(statuses) == {202}, f"in flight were answered {statuses}"
    world.begin(API)
    waited("the API", lambda: world.as_admin().status("GET", "/v2") == 200, 30)
    load.at_once(load.see, boots, 16)
    load.at_once(load.delete, boots, 16)
    return seconds


def _bind_once(world: World, boot: Boot) -> int:
    return world.load.nova.bind(boot, insist=False)


FAULTS = (
    Fault(
        "F1",
        "a conductor killed with binds in flight",
        "all Bound, no handle twice, the last within 30 s",
        _killed_with_binds,
        is_short=True,
    ),
    Fault(
        "F2",
        "both conductors killed, back after 60 s",
        "the same within 15 s of the start, 503 within 2 s before",
        _all_killed,
    ),
    Fault(
        "F26",
        "SIGTERM during traffic",
        "ended within 30 s, no request in flight fails",
        _told_to_stop,
        is_short=True,
    ),
)
