"""Makes d17129c.json: a database of commit d17129c with something in every state.

It runs with the code of that commit, whose use cases bring everything where it is; this file
is not run, nor type-checked, in any other. To make the database anew::

  git worktree add --detach ../d17129c d17129c
  cd cyborg/tests/functional/db
  cp -r frozen.py data ../../../../../d17129c/cyborg/tests/functional/db
  cd ../../../../../d17129c
  make test ARGS=cyborg/tests/functional/db/data/d17129c.py

and bring back the JSON file that is beside its copy then. Time passes as in that commit's tests:
by moving what a row says of it.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
from typing import Any
from zlib import crc32

import sqlalchemy as sa

from cyborg.conductor import (
    catalogue,
    events,
    finishing,
    leftovers,
    periodic,
    programming,
    providers,
    releasing,
)
from cyborg.conductor.environment import Environment
from cyborg.db.devices import list_devices
from cyborg.db.tables import (
    accelerator_requests,
    attach_handles,
    devices,
    jobs,
    metadata,
    outbox,
)
from cyborg.db.types import database_now
from cyborg.domain.clock import provider_uuid
from cyborg.domain.inventory import DeviceReport, HandleReport
from cyborg.domain.model import DeviceStatus, HandleCondition, Presence
from cyborg.rpc.context import working_for
from cyborg.tests.functional.conductor.harness import (
    OTHER_PROJECT,
    PROJECT,
    answer,
    bind,
    fail_to_prepare,
    make,
    only_sqlite,
)
from cyborg.tests.functional.db import frozen
from cyborg.tests.functional.fuzz.world import uuids
from cyborg.tests.helpers import (
    HOST,
    deployable,
    device,
    handles,
    placement_client,
    profile,
    report,
)
from cyborg.tests.servers import NovaStandIn, Placement, StandInServer

PREPARED = {"needs_prepare": True, "needs_release": True}
IMAGE = "11111111-1111-4111-8111-111111111111"
OTHER_IMAGE = "22222222-2222-4222-8222-222222222222"


def named(name: str) -> str:
    return f"{HOST}_{name}"


def on_bus(name: str, count: int) -> tuple[HandleReport, ...]:
    """Handles of a card. Each has a bus of its own: one address is one piece of hardware."""
    return handles(count, f"{crc32(name.encode()) & 0xFF:02x}")


def card(name: str, count: int = 2, **values: Any) -> DeviceReport:
    values = {"handles": on_bus(name, count), **values}
    return device(
        name, deployable(named(name), count, **values), control_path={"bus": "0c", "card": name}
    )


CARDS = {
    "plain": card("plain", 16),
    "prepared": card("prepared", 32, **PREPARED),
    "off": card("off"),
    "shrunk": card("shrunk"),
    "lost": card("lost"),
    "hidden": card("hidden", traits=("CUSTOM_FAKE_DEVICE", "CUSTOM_HIDDEN")),
    **{
        name: card(name, programmable=True)
        for name in ("programmed", "failed", "half", "half-overdue", "written", "fetched", "late")
    },
}


class Making:
    """Brings ARQs and deployables where they shall be, each under a name."""

    def __init__(self, env: Environment, nova: NovaStandIn) -> None:
        self.env = env
        self.nova = nova
        self.names: dict[str, str] = {}

    def arq(self, name: str, group: str = "one") -> str:
        [self.names[name]] = make(self.env, group)
        return self.names[name]

    def instance(self) -> str:
        uuid = self.env.new_uuid()
        self.nova.servers[uuid] = StandInServer(PROJECT, HOST)
        return uuid

    def bound(self, name: str, card: str = "plain", *, group: str = "one", **values: Any) -> str:
        """An ARQ that is bound to an instance of its own, or is about to be."""
        uuid = self.arq(name, group)
        instance = self.instance()
        bind(self.env, uuid, instance=instance, rp=provider_uuid(named(card)), **values)
        return uuid

    def prepared(self, name: str, **values: Any) -> str:
        """One whose device was made ready, and must be cleaned."""
        uuid = self.bound(name, "prepared", **values)
        answer(self.env, uuid, None)
        return uuid

    def failing(self, name: str) -> str:
        """One whose bind has failed after Nova was answered."""
        uuid = self.bound(name, "prepared")
        fail_to_prepare(self.env, uuid)
        return uuid

    def bind_failed(self, name: str) -> str:
        """One whose bind nobody but its user waited for."""
        uuid = self.bound(name, "prepared", by_service=False)
        fail_to_prepare(self.env, uuid)
        return uuid

    def unbind_failed(self, name: str) -> str:
        uuid = self.prepared(name)
        releasing.unbind(self.env, [uuid])
        for _ in range(self.env.conf.conductor.release_attempts):
            answer(self.env, uuid, "it cannot be cleaned")
        return uuid

    def unbind(self, uuid: str) -> None:
        releasing.unbind(self.env, [uuid])

    def delete(self, uuid: str) -> None:
        releasing.delete(self.env, [uuid])

    def programming(self, card: str, image: str = IMAGE, *, begun: bool = True) -> str:
        self.names[card] = provider_uuid(named(card))
        job = programming.program(self.env, self.names[card], image, PROJECT)
        if begun:
            assert programming.begin(self.env, job)
        return job

    def program(
        self, card: str, image: str = IMAGE, *, begun: bool = True, error: str | None = None
    ) -> None:
        job = self.programming(card, image, begun=begun)
        attempts = self.env.conf.conductor.program_attempts if error else 1
        for _ in range(attempts):
            with self.env.database.reader() as connection:
                generation = connection.scalar(
                    sa.select(jobs.c.generation).where(jobs.c.uuid == job)
                )
            finishing.finish(self.env, job, generation, error)

    def pass_time(self, table: sa.Table, column: str, seconds: float, *names: str) -> None:
        """Let something about ARQs be over, or begun, so many seconds from now."""
        if table is accelerator_requests:
            ids = accelerator_requests.c.id
        else:
            ids = table.c.accelerator_request_id
        of = sa.select(accelerator_requests.c.id).where(
            accelerator_requests.c.uuid.in_([self.names[name] for name in names])
        )
        change = table.update().where(ids.in_(of)).values({column: database_now(seconds)})
        with self.env.database.engine.begin() as connection:
            assert connection.execute(change).rowcount == len(names)


def what_nobody_allocated(making: Making, grace: float) -> None:
    """What the look for left-over ARQs finds; nothing else is there yet."""
    for name in ("in grace", "over grace", "doubtful"):
        making.bound(name)
    making.bound("direct, in grace", by_service=False)
    making.prepared("unbinding, in grace")
    making.prepared("deleting, in grace")
    with making.env.database.reader() as connection:
        arqs = list(connection.execute(sa.select(accelerator_requests)))
    for arq in arqs:
        if arq.uuid != making.names["doubtful"]:
            del making.nova.servers[arq.instance_uuid]
    leftovers.compare(making.env)
    making.unbind(making.names["unbinding, in grace"])
    making.delete(making.names["deleting, in grace"])
    making.pass_time(accelerator_requests, "leftover_since", -60, "in grace")
    making.pass_time(accelerator_requests, "leftover_since", -grace - 60, "over grace")


def what_is_bound(making: Making) -> None:
    making.arq("initial")
    making.bound("bound")
    making.bound("bound for a group", "plain", group="note")
    making.prepared("bound, needs release")
    making.bound("direct", by_service=False)
    making.prepared("direct, needs release", by_service=False)
    making.bound("on a lost device", "lost")
    making.bound("on a disabled device", "off")
    making.unbind(making.bound("unbound"))
    making.bound("of another project", owner=OTHER_PROJECT)
    # Nova is down: it is told later.
    making.nova.down()
    making.bound("untold")
    making.nova.up()
    making.bound("on a vanished handle", "shrunk")


def what_is_under_way(making: Making) -> None:
    env = making.env
    making.failing("bind failed, Nova was told for long enough")
    making.pass_time(outbox, "deadline", -5, "bind failed, Nova was told for long enough")
    events.sweep(env)
    making.bind_failed("bind failed")
    making.unbind_failed("unbind failed")

    making.bound("starting", "prepared")
    answer(env, making.bound("starting, failed once", "prepared"), "not yet")
    making.bound("starting, nobody answered", "prepared", group="note")
    making.bound("starting, too late", "prepared")
    making.failing("failing")
    making.failing("failing, patience is over")

    making.unbind(making.prepared("unbinding"))
    uuid = making.prepared("unbinding, failed once")
    making.unbind(uuid)
    answer(env, uuid, "not yet")
    making.unbind(making.bound("unbinding what was starting", "prepared"))
    making.unbind(making.failing("unbinding what was failing"))
    making.unbind(making.bind_failed("unbinding what had failed"))
    making.unbind(making.unbind_failed("unbinding once more"))

    making.delete(making.prepared("deleting"))
    making.delete(making.bound("deleting what was starting", "prepared"))
    making.delete(making.failing("deleting what was failing"))
    uuid = making.prepared("deleting, failed once")
    making.delete(uuid)
    answer(env, uuid, "not yet")

    quarantined = making.prepared("quarantined")
    making.delete(quarantined)
    for _ in range(env.conf.conductor.release_attempts):
        answer(env, quarantined, "it cannot be cleaned")
    del making.names["quarantined"]


def what_is_programmed(making: Making) -> None:
    making.program("programmed")
    making.program("failed", begun=False, error="Image could not be found.")
    making.program("half", error="the card is stuck")
    overdue = making.programming("half-overdue")
    let_be_late(making, overdue)
    finishing.sweep(making.env)
    making.program("written")
    making.programming("written", OTHER_IMAGE)
    making.programming("fetched", begun=False)
    let_be_late(making, making.programming("late", begun=False))


def let_be_late(making: Making, job: str) -> None:
    late = jobs.update().where(jobs.c.uuid == job).values(deadline=database_now(-5))
    with making.env.database.engine.begin() as connection:
        connection.execute(late)


def what_the_host_reports(making: Making) -> None:
    """Devices that are lost or hidden, handles that vanish."""
    env = making.env
    shrunk = card("shrunk", handles=on_bus("shrunk", 2)[1:])
    left = [one for name, one in CARDS.items() if name not in ("lost", "shrunk")]
    for _ in range(2):
        report(env, *left, shrunk)
    left = [one for one in left if one.identity != "hidden"]
    report(env, *left, shrunk)


def what_the_operator_did(making: Making) -> None:
    env = making.env
    with env.database.reader() as connection:
        off = connection.scalar(sa.select(devices.c.uuid).where(devices.c.identity == "off"))
    catalogue.set_device_status(env, off, DeviceStatus.MAINTAINING)
    catalogue.create_attribute(env, provider_uuid(named("plain")), "place", "left")
    catalogue.create_attribute(env, provider_uuid(named("plain")), "trait7", "CUSTOM_FAST")


@only_sqlite
def test_freeze(cloud_env: Environment, empty_placement: Placement, nova: NovaStandIn) -> None:
    start = datetime.datetime(2026, 11, 28, 12, 0, 0, 123456, tzinfo=datetime.UTC)
    seconds = itertools.count()
    empty_placement.make_root(HOST)
    env = dataclasses.replace(
        cloud_env,
        clock=lambda: start + datetime.timedelta(seconds=next(seconds)),
        new_uuid=uuids().__next__,
    )
    making = Making(env, nova)
    with working_for("req-frozen", "req-global"):
        report(env, *CARDS.values())
        profile(env)
        profile(env, "note", {"resources:FPGA": "1", "accel:note": "x"})
        profile(env, "unused", {"resources:GPU": "2", "trait:CUSTOM_A": "required"})
        while providers.sweep(env):
            pass
        what_nobody_allocated(making, env.conf.conductor.leftover_grace_period)
        periodic.run_due(dataclasses.replace(env, nova=None))
        what_is_bound(making)
        what_is_under_way(making)
        what_is_programmed(making)
        while providers.sweep(env):
            pass
        # From here on Placement is down: what it must hear of waits.
        env = making.env = dataclasses.replace(
            env, placement=placement_client("http://127.0.0.1:1")
        )
        what_the_host_reports(making)
        what_the_operator_did(making)
        report(env, card("new"), host="compute-2")
        making.unbind(making.prepared("unbinding, Placement was down"))
    making.pass_time(jobs, "leased_until", -5, "starting, nobody answered")
    making.pass_time(jobs, "deadline", -5, "starting, too late")
    making.pass_time(outbox, "deadline", -5, "failing, patience is over")
    check(env)
    frozen.write(env, "d17129c", making.names)


def check(env: Environment) -> None:
    """See that what is rare is there."""
    with env.database.reader() as connection:
        conditions = set(connection.scalars(sa.select(attach_handles.c.condition)))
        presences = {one.presence for one in list_devices(connection)}
        kinds = set(connection.scalars(sa.select(jobs.c.kind)))
        empty = [
            table.name
            for table in metadata.sorted_tables
            if connection.execute(sa.select(table)).first() is None
        ]
    assert conditions == set(HandleCondition)
    assert presences == set(Presence)
    assert kinds == {"prepare", "release", "program", "provider", "inventory", "traits"}
    assert empty == []
