"""What holds once everything has come to rest: nothing is lost, doubled, or left behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

from cyborg.conductor.audit.database import database_disagreements
from cyborg.db.audit import hold_still
from cyborg.tests.servers.keeper import processes_below

if TYPE_CHECKING:
    from world import World

_POLL_SECONDS = 0.2

#: What must find no row once everything has come to rest.
_AT_REST = {
    "no ARQ is left": "SELECT uuid, state, state_reason FROM accelerator_requests",
    "no job is left": "SELECT kind, subject, attempt, last_error FROM jobs",
    "no event is left": "SELECT accelerator_request_uuid, attempt FROM outbox",
    "every handle is free and clean": """
        SELECT uuid, {condition}, condition_reason FROM attach_handles
        WHERE accelerator_request_id IS NOT NULL OR {condition} <> 'ready'""",
    "what is programmed is known": "SELECT name FROM deployables WHERE content_unknown IS TRUE",
    "no host is withheld": "SELECT name, withheld FROM hosts WHERE withheld IS NOT NULL",
}


def disagreements(world: World) -> dict[str, list[Any]]:
    """Return what contradicts itself in the database, and always must not, by its kind."""
    found: dict[str, list[Any]] = {}
    with world.engine.begin() as connection:
        hold_still(connection)
        for each in database_disagreements(connection):
            found.setdefault(each.kind, []).append(each.words)
    return found


def unrest(world: World) -> dict[str, list[Any]]:
    """Return what is not at rest: in the database, in the queues, and in Placement."""
    found = disagreements(world)
    found |= {words: rows for words, query in _AT_REST.items() if (rows := world.rows(query))}
    queues = {name: n for name, n in world.queue.depths(world.queue_url).items() if n}
    if queues:
        found["the queues are empty"] = [queues]
    return found or _differences(world)


def come_to_rest(world: World, patience: float) -> float:
    """Wait until everything is at rest; return how many seconds that took.

    :raises AssertionError: after so many seconds it was not.
    """
    began = time.monotonic()
    while found := unrest(world):
        if time.monotonic() - began > patience:
            raise AssertionError(f"not at rest after {patience:.0f} s: {_in_brief(found)}")
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - began


def always(world: World) -> None:
    """Raise if something does not hold that always must."""
    found = disagreements(world)
    assert not found, _in_brief(found)


def _differences(world: World) -> dict[str, list[Any]]:
    """Return where Placement has not what the database has, while nothing is allocated."""
    wrong = []
    statement = "SELECT rp_uuid, resource_class, num_accelerators FROM deployables"
    for uuid, resource_class, number in world.rows(statement):
        inventory = world.placement.inventories(uuid).get(resource_class, {})
        have = (inventory.get("total"), inventory.get("reserved"))
        if have != (number, 0) or "OWNER_CYBORG" not in world.placement.traits(uuid):
            wrong.append((uuid, have, number))
    return {"Placement has what the database has": wrong} if wrong else {}


def _in_brief(found: Mapping[str, list[Any]]) -> str:
    return "; ".join(
        f"not '{promise}': {len(rows)}, as {rows[0]}" for promise, rows in found.items()
    )


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a process and those below it take."""

    megabytes: float
    threads: int
    descriptors: int


#: More than before that is no leak: pools that were never as full, pages not given back.
_MORE_MEGABYTES, _MORE_THREADS, _MORE_DESCRIPTORS = 60, 80, 120


def footprints(world: World) -> dict[str, Footprint]:
    """Return what each of our processes takes now."""
    found = {}
    for name, process in world.processes.items():
        if process.child is not None and process.alive():
            pids = [process.child.pid, *processes_below(process.child.pid)]
            found[name] = _sum([_footprint(pid) for pid in pids])
    return found


def growth(before: Mapping[str, Footprint], now: Mapping[str, Footprint]) -> list[str]:
    """Return what takes more than before, beyond a margin."""
    grown = []
    for name, was in before.items():
        have = now.get(name)
        if have is None:
            grown.append(f"{name} does not run")
        elif (
            have.megabytes > was.megabytes + _MORE_MEGABYTES
            or have.threads > was.threads + _MORE_THREADS
            or have.descriptors > was.descriptors + _MORE_DESCRIPTORS
        ):
            grown.append(f"{name}: {was} became {have}")
    return grown


def _footprint(pid: int) -> Footprint:
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    kilobytes = int(status.get("VmRSS", "0 kB").split()[0])
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Footprint(kilobytes / 1024, int(status["Threads"]), descriptors)


def _sum(parts: list[Footprint]) -> Footprint:
    return Footprint(
        sum(part.megabytes for part in parts),
        sum(part.threads for part in parts),
        sum(part.descriptors for part in parts),
    )


def waited(what: str, condition: Callable[[], Any], patience: float) -> float:
    """Wait for a condition; return how many seconds that took.

    :raises AssertionError: after so many seconds it was not so.
    """
    began = time.monotonic()
    while not _holds(condition):
        seconds = time.monotonic() - began
        assert seconds <= patience, f"not within {patience:.0f} s: {what}"
        time.sleep(_POLL_SECONDS / 4)
    return time.monotonic() - began


def _holds(condition: Callable[[], Any]) -> bool:
    try:
        return bool(condition())
    except requests.ConnectionError:
        return False
