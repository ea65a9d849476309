"""Faults of agents and of their drivers."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from checks import waited
from fault import Fault, within
from load import Target
from settings import NARROW, PLAIN, SLOW
from world import World, providers

from cyborg.db.tables import metadata
from cyborg.domain.model import ProviderJobKind

#: Seconds for a process to be there, on a machine that has other work, too.
_START = 20
#: Seconds after its first report in which all that follows from it is written.
_MORE = 3
#: What changes without any request: heartbeats, and who looks after what.
_HEARTBEAT = {
    "hosts": ("last_seen_at",),
    # The conductors' comparisons note it.
    "deployables": ("provider_generation", "updated_at"),
}
#: Work, events, and hosts of whose last report something is left to settle.
_RESTLESS = """
    SELECT id FROM jobs UNION ALL SELECT id FROM outbox
    UNION ALL SELECT id FROM hosts WHERE report_digest IS NULL"""
_TROUBLE = "discovery problem driver=chaos_driver"
_OTHERS_TABLES = ("periodic_tasks",)


def killed_while_programming(world: World) -> str:
    """The agent is killed in the middle; nobody gets the device before it is programmed."""
    target = Target(SLOW, providers(world.hosts[SLOW])[0])
    image = world.glance.add(b"a bitstream" * 1000, visibility="public")
    before = world.log(SLOW).count("work started")
    asked = threading.Thread(
        target=lambda: world.as_admin().program(target.provider, image), daemon=True
    )
    asked.start()
    waited("programming", lambda: world.log(SLOW).count("work started") > before, 20)
    world.kill(SLOW)
    killed = time.monotonic()
    _refused(world, target)
    world.begin(SLOW)
    limit = 30 + float(world.hosts[SLOW].options["program_delay"]) + 5
    while _programming(world, target)[0] == "programming":
        _refused(world, target)
        time.sleep(0.2)
        assert time.monotonic() - killed < limit * 2, "programming does not end"
    seconds = time.monotonic() - killed
    state, is_unknown = _programming(world, target)
    assert (state, bool(is_unknown)) == ("programmed", False), f"it is {state}, {is_unknown}"
    asked.join()
    boot = world.load.bound(target)
    assert boot is not None
    assert boot.status == 202, f"a bind afterwards answers {boot.status}"
    world.load.see(boot)
    world.load.delete(boot)
    return f"programmed {within(seconds, limit, 'programming'):.1f} s after the kill"


def _programming(world: World, target: Target) -> tuple[Any, ...]:
    [row] = world.rows(
        "SELECT programming_state, content_unknown FROM deployables WHERE rp_uuid = :uuid",
        uuid=target.provider,
    )
    return row


def _refused(world: World, target: Target) -> None:
    """See that a device is given to nobody, unless its programming has ended meanwhile."""
    boot = world.load.prepared(target)
    assert boot is not None, "no ARQ could be made"
    status = world.load.nova.bind(boot, insist=False)
    still = _programming(world, target)[0] == "programming"
    assert status == 409 or not still, f"a device being programmed was given away: {status}"
    if status == 202:
        world.load.see(boot)
    world.load.delete(boot)


def restarted(world: World) -> str:
    """An agent is restarted while servers have its devices; nothing at all changes."""
    load = world.load
    targets = [Target(PLAIN, providers(world.hosts[PLAIN])[0])]
    targets.append(Target(SLOW, providers(world.hosts[SLOW])[1]))
    boots = [load.bound(target) for target in targets for _ in range(3)]
    held = [load.see(boot) for boot in boots if boot]
    waited("rest", lambda: not world.rows(_RESTLESS), 30)
    before = _contents(world)
    names = (PLAIN, SLOW)
    with ThreadPoolExecutor(len(names)) as pool:
        # Terminated, since one that is killed may have been about to write.
        list(pool.map(world.terminate, names))
    seen = {name: world.seen(name) for name in names}
    for name in names:
        world.begin(name)
    for name in names:
        waited(f"reports of {name}", partial(world.is_seen_after, name, seen[name]), _START)
    time.sleep(_MORE)
    after = _contents(world)
    differing = {t: before[t] ^ after[t] for t in before if before[t] != after[t]}
    assert not differing, f"restarts have changed {_brief(differing)}"
    changed = sum(map(len, differing.values()))
    for boot in held:
        load.see(boot)
    load.at_once(load.delete, held, 4)
    return f"{changed} rows changed, {len(held)} ARQs untouched"


def _brief(differing: dict[str, set[tuple[Any, ...]]]) -> str:
    """Return which values of the first rows differ, by table."""
    told = []
    for table, rows in differing.items():
        one, *others = sorted(rows, key=str)
        pairs = zip(one, (others or [one])[0], strict=True)
        told.append(f"{table} {one[:2]}: {[pair for pair in pairs if pair[0] != pair[1]]}")
    return "; ".join(told)


def _contents(world: World) -> dict[str, set[tuple[Any, ...]]]:
    """Return all rows of all tables, but for heartbeats."""
    found = {}
    with world.engine.connect() as connection:
        for table in metadata.sorted_tables:
            if table.name not in _OTHERS_TABLES:
                left_out = _HEARTBEAT.get(table.name, ())
                columns = [column for column in table.c if column.name not in left_out]
                rows = connection.execute(_query(table).with_only_columns(*columns))
                found[table.name] = {tuple(row) for row in rows}
    return found


def bad_drivers(world: World) -> str:
    """One driver raises, talks nonsense, and hangs, while another has news."""
    mood = Path(world.folder, NARROW, "mood")
    mood.parent.mkdir(exist_ok=True)
    timeout = world.settings.option("agent", "discovery_timeout")
    seconds = {}
    with world.load.background():
        for number, name in enumerate(("raises", "garbage", "hangs")):
            troubles = world.log(NARROW).count(_TROUBLE)
            mood.write_text(name)
            began = time.monotonic()
            condition = ("degraded", "healthy")[number % 2]
            world.reload(NARROW, conditions=f"fake-0:{condition}")
            limit = timeout + 5
            waited(f"news while it {name}", partial(_is, world, condition), limit + 10)
            seconds[name] = within(time.monotonic() - began, limit, f"news while it {name}")
            waited(
                f"a word on a driver that {name}",
                partial(_has_more_troubles, world, troubles),
                limit,
            )
            assert "problem driver=fake_driver" not in world.log(NARROW)
    mood.write_text("good")
    world.reload(NARROW)
    waited("the old condition", lambda: _is(world, "healthy"), timeout + 15)
    told = ", ".join(f"{name} {took:.1f} s" for name, took in seconds.items())
    return f"others' news: {told} of {timeout:g}; {_hanging_call(world)}"


def _hanging_call(world: World) -> str:
    """Preparing a device hangs; its bind fails in time, and that of another device does not."""
    load, limit = world.load, world.settings.option("agent", "call_timeout")
    first, second = (Target(SLOW, uuid) for uuid in providers(world.hosts[SLOW])[:2])
    world.reload(SLOW, prepare_hangs=0)
    boot, other = load.bound(first), load.bound(second)
    assert boot is not None and other is not None
    load.see(other)
    load.delete(other)
    told = load.events.wait(boot.arqs, boot.answered + limit + 30)
    assert told is not None, "Nova is not told of a prepare that hangs"
    assert world.cloud.events_of(boot.server, "failed"), "a prepare that hangs has ended well"
    load.delete(boot)
    world.reload(SLOW)
    waited("a healthy device", partial(_is, world, "healthy", SLOW), limit + 30)
    seconds = within(told - boot.answered, limit + 5, "the end of a prepare that hangs")
    return f"a hanging prepare was cut after {seconds:.1f} s of {limit:g}"


def _query(table: sa.Table) -> sa.Select[Any]:
    """Return a query for what no comparison with Placement writes, whenever it likes."""
    query = sa.select(table)
    return query.where(table.c.kind != ProviderJobKind.PROVIDER) if table.name == "jobs" else query


def _has_more_troubles(world: World, before: int) -> bool:
    return world.log(NARROW).count(_TROUBLE) > before


def _is(world: World, condition: str, host: str = NARROW) -> bool:
    """Return whether the first device of a host is in a condition."""
    [row] = world.rows(
        "SELECT v.* FROM devices v JOIN deployables d ON d.device_id = v.id"
        " WHERE d.rp_uuid = :uuid",
        uuid=providers(world.hosts[host])[0],
    )
    return condition in row


FAULTS = (
    Fault(
        "F3",
        "an agent killed during programming",
        "not offered before; done within lease (30 s) and 1 retry",
        killed_while_programming,
        is_short=True,
    ),
    Fault(
        "F4",
        "an agent restarted, hardware as it was",
        "0 writes beyond the heartbeat, ARQs untouched",
        restarted,
        is_short=True,
    ),
    Fault(
        "F14",
        "a driver raises, hangs, talks nonsense",
        "others report; a hang is cut at 60 s",
        bad_drivers,
        is_short=True,
    ),
)
