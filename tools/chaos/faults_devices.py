"""Faults of devices, of the disk, and what an operator does meanwhile."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from checks import waited
from fault import Fault
from load import Target
from settings import NARROW, PLAIN
from world import World, providers

_BINDERS = 8
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class _Bind:
    """A bind: when it began and was answered (monotonic), and how."""

    began: float
    answered: float
    status: int


def disabled(world: World) -> str:
    """An operator disables a device while many bind to it; after the answer nobody can."""
    load, operator = world.load, world.as_admin()
    target = Target(PLAIN, providers(world.hosts[PLAIN])[0])
    [(device,)] = world.rows(
        "SELECT v.uuid FROM devices v JOIN deployables d ON d.device_id = v.id"
        " WHERE d.rp_uuid = :uuid",
        uuid=target.provider,
    )
    binds: list[_Bind] = []
    over = threading.Event()

    def bind() -> None:
        while not over.is_set():
            boot = load.prepared(target)
            if boot is None:
                continue
            began = time.monotonic()
            status = load.nova.bind(boot, insist=False)
            binds.append(_Bind(began, time.monotonic(), status))
            load.see(boot)
            load.delete(boot)

    threads = [threading.Thread(target=bind) for _ in range(_BINDERS)]
    for thread in threads:
        thread.start()
    shut: list[tuple[float, float]] = []
    try:
        for _ in range(_ROUNDS):
            time.sleep(1)
            assert operator.status("POST", f"/v2/devices/{device}/disable") == 204
            answered = time.monotonic()
            time.sleep(3)
            shut.append((answered, time.monotonic()))
            assert operator.status("POST", f"/v2/devices/{device}/enable") == 204
    finally:
        over.set()
        for thread in threads:
            thread.join()
    # What is answered after that may have been done after the device was enabled again.
    during = [b for b in binds for begin, end in shut if begin < b.began and b.answered < end]
    late = [bind for bind in during if bind.status == 202]
    refused = sum(bind.status == 409 for bind in binds)
    assert not late, f"{len(late)} binds of a disabled device"
    assert during and len(binds) > refused, "there was no bind before or none after"
    return f"0 new binds after {_ROUNDS} answers; {len(binds)} tried, {len(during)} meanwhile"


def cleaning_fails(world: World) -> str:
    """The device cannot be cleaned: it goes to nobody, and an operator hears of it."""
    load = world.load
    target = Target(NARROW, providers(world.hosts[NARROW])[1])
    world.reload(NARROW, release_failures=-1)
    boot = load.bound(target)
    assert boot is not None
    assert boot.status == 202, f"the bind answered {boot.status}"
    load.see(boot)
    began = time.monotonic()
    load.delete(boot)
    waited("a quarantine", lambda: _conditions(world, target) == {"quarantined"}, 180)
    seconds = time.monotonic() - began
    both = world.log("conductor-1") + world.log("conductor-2")
    assert " ERROR " in both and "quarantined" in both, "nobody is told"
    other = load.prepared(target)
    assert other is not None
    status = load.nova.bind(other, insist=False)
    load.delete(other)
    assert status == 409, f"a bind of what is dirty answered {status}"
    waited("reserved", lambda: _reserved(world, target) == 1, 30)
    world.reload(NARROW)
    _given_back(world, target)
    return f"quarantined after {seconds:.1f} s, told, reserved; a bind answers 409"


def _conditions(world: World, target: Target) -> set[str]:
    rows = world.rows(
        "SELECT h.* FROM attach_handles h JOIN deployables d ON d.id = h.deployable_id"
        " WHERE d.rp_uuid = :uuid",
        uuid=target.provider,
    )
    return {str(value) for row in rows for value in row if value in ("quarantined", "ready")}


def _reserved(world: World, target: Target) -> int:
    return int(world.placement.inventories(target.provider)["FPGA"]["reserved"])


def _given_back(world: World, target: Target) -> None:
    """Do what an operator does who has cleaned the device by hand."""
    world.change(
        "UPDATE attach_handles SET {condition} = 'ready', condition_reason = NULL"
        " WHERE {condition} = 'quarantined'"
    )
    waited("nothing reserved", lambda: _reserved(world, target) == 0, 90)


FAULTS = (
    Fault(
        "F23",
        "a device disabled under load",
        "0 new binds after the answer",
        disabled,
    ),
    Fault(
        "F24",
        "cleaning fails 3 times",
        "quarantined, told, never available",
        cleaning_fails,
    ),
)
