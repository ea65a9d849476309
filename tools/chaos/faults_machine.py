"""Faults of a compute host's machine: booted anew, a full disk, files that are spoilt."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from os import geteuid
from pathlib import Path

from checks import waited
from fault import Fault, within
from load import PATIENCE, Boot, Target
from machine import FULL, STEPS
from settings import SLOW
from world import World, providers

from cyborg.domain.clock import new_uuid

#: Bytes that are left on a small disk beside the files that an agent has.
_ROOM = 1 << 20


def booted_anew(world: World) -> str:
    """The machine of an agent loses power and boots, while servers have its devices."""
    held = _bound(world, 6)
    period = world.settings.option("DEFAULT", "periodic_interval")
    world.kill(SLOW)
    before = _restored(world)
    boot_id = new_uuid()
    world.machine(SLOW).joinpath("boot_id").write_text(boot_id)
    world.begin(SLOW)
    waited("the first words", lambda: _host(world)[0] == boot_id, 30)
    heard = time.monotonic()
    waited("a whole host", lambda: _is_whole(world, boot_id), 60)
    seconds = time.monotonic() - heard
    prepared = _restored(world) - before
    for boot in held:
        world.load.see(boot)
    world.load.at_once(world.load.delete, held, 4)
    assert prepared >= len(held), f"{prepared} of {len(held)} were prepared again"
    within(seconds, 2 * period, "a whole host")
    return f"{len(held)} ARQs kept and prepared again, {seconds:.1f} s of {2 * period:g}"


def _restored(world: World) -> int:
    lines = world.log(SLOW).splitlines()
    return sum("work finished" in line and "kind=restore" in line for line in lines)


def _host(world: World) -> tuple[str, bool]:
    [(boot_id, withheld)] = world.rows(
        "SELECT boot_id, withheld FROM hosts WHERE name = :name", name=SLOW
    )
    return boot_id, withheld is not None


def _is_whole(world: World, boot_id: str) -> bool:
    """Return whether all of the host is offered, and nothing is being prepared."""
    jobs = world.rows("SELECT id FROM jobs WHERE kind = 'restore' AND host = :name", name=SLOW)
    return _host(world) == (boot_id, False) and not jobs


def _bound(world: World, number: int) -> list[Boot]:
    uuids = providers(world.hosts[SLOW])
    boots = [world.load.bound(Target(SLOW, uuids[n % len(uuids)])) for n in range(number)]
    return [world.load.see(boot) for boot in boots if boot]


def disk_full(world: World) -> str:
    """The disk of an agent is full at each step of a write; nothing is begun, nothing is lost."""
    tried = []
    for step in STEPS:
        full = world.machine(SLOW) / FULL
        tried.append(_while_full(world, step, partial(full.write_text, step), full.unlink))
    if geteuid() == 0:
        with _small_disk(world) as filler:
            tried.append(_while_full(world, "tmpfs", partial(_fill, filler), filler.unlink))
    return f"refused before the device is touched, Nova told: {', '.join(tried)}; 0 files spoilt"


def _while_full(
    world: World, step: str, fill: Callable[[], object], free: Callable[[], None]
) -> str:
    """Bind while nothing can be written, and then let there be room."""
    target = Target(SLOW, providers(world.hosts[SLOW])[1])
    waited("a host that is offered", partial(_is_offered, world, target), 60)
    before = world.log(SLOW).count("work started")
    fill()
    # 409: the agent has already said that it can keep nothing.
    boot = world.load.bound(target)
    assert boot is not None
    assert boot.status in (202, 409), f"{step}: the bind answered {boot.status}"
    time.sleep(2)
    begun = world.log(SLOW).count("work started") - before
    _check_files(world)
    free()
    assert not begun, f"{step}: work was begun on a full disk"
    if boot.status == 202:
        # Done as soon as there is room, or refused for good: Nova is told of either.
        told = world.load.events.wait(boot.arqs, time.monotonic() + PATIENCE)
        assert told is not None, f"{step}: Nova is not told what has become of the bind"
    world.load.delete(boot)
    waited("a release", lambda: not world.rows("SELECT id FROM jobs WHERE kind = 'release'"), 60)
    _check_files(world)
    return f"{step} {boot.status}"


def _is_offered(world: World, target: Target) -> bool:
    boot = world.load.prepared(target)
    if boot is None:
        return False
    is_bound = world.load.nova.bind(boot, insist=False) == 202
    if is_bound:
        world.load.events.wait(boot.arqs, time.monotonic() + PATIENCE)
    world.load.delete(boot)
    waited("its end", lambda: not world.rows("SELECT id FROM jobs WHERE kind <> 'provider'"), 60)
    return is_bound


def _check_files(world: World) -> None:
    """See that each file of the journal is whole."""
    for path in _journal(world).glob("*.json"):
        try:
            json.loads(path.read_text())
        except FileNotFoundError:
            continue  # done with, just now


def _journal(world: World) -> Path:
    return world.folder / SLOW / "agent" / "journal"


def _fill(filler: Path) -> None:
    filler.write_bytes(bytes(shutil.disk_usage(filler.parent).free))


@contextmanager
def _small_disk(world: World) -> Iterator[Path]:
    """Let the agent keep its files on a small disk of its own; yields a file to fill it with."""
    folder = _journal(world).parent
    kept = folder.with_name("kept")
    world.terminate(SLOW)
    shutil.copytree(folder, kept)
    _run("mount", "-t", "tmpfs", "-o", f"size={_taken(kept) + _ROOM}", "none", str(folder))
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        world.begin_anew(SLOW)
        yield folder / "filler"
        world.terminate(SLOW)
    finally:
        if SLOW in world.processes:
            world.kill(SLOW)
        _run("umount", str(folder))
        shutil.rmtree(kept)
        world.begin_anew(SLOW)


def _taken(folder: Path) -> int:
    """Return how many bytes a folder takes: a journal keeps what a day has brought."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=30)  # noqa: S603 -- our own words


def spoilt(world: World) -> str:
    """The journal of an agent is spoilt while it is away: torn, empty, of another release."""
    held = _bound(world, 6)
    world.kill(SLOW)
    paths = sorted(_journal(world).glob("*.json"))
    assert paths, "the journal is empty"
    for number, path in enumerate(paths):
        content = path.read_text()
        path.write_text((content[: len(content) // 2], "", '{"version": 1}')[number % 3])
    path.with_name(f"{new_uuid()}.json").write_bytes(bytes(range(256)))
    world.begin_anew(SLOW)
    more = _bound(world, 6)
    for boot in held:
        world.load.see(boot)
    world.load.at_once(world.load.delete, [*held, *more], 4)
    assert "Traceback" not in world.log(SLOW), "the agent did not bear it"
    return f"{len(paths)} files spoilt, {len(held)} ARQs kept, {len(more)} binds afterwards"


FAULTS = (
    Fault(
        "F5",
        "the host boots anew",
        "ARQs kept and prepared again within 2 report periods",
        booted_anew,
    ),
    Fault(
        "F19",
        "the agent's disk is full",
        "refused before hardware is touched; 0 files spoilt",
        disk_full,
    ),
    Fault(
        "F20",
        "the agent's journal is spoilt",
        "ignored, rebuilt from database and hardware",
        spoilt,
    ),
)
