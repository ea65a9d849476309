"""What races over hardware share: cards in several shapes, rounds of threads, what must hold."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from cyborg.conductor import inventory
from cyborg.conductor.environment import Environment
from cyborg.db.database import Database
from cyborg.db.providers import recorded_providers
from cyborg.db.tables import accelerator_requests, attach_handles, deployables
from cyborg.domain.hardware import Share
from cyborg.domain.inventory import DeployableReport, DeviceReport, HandleReport, Snapshot
from cyborg.domain.model import HandleCondition
from cyborg.domain.recorded import DIRTY
from cyborg.domain.states import ArqState, is_reserved
from cyborg.tests.functional.conductor.harness import rows
from cyborg.tests.functional.conductor.test_races import at_once
from cyborg.tests.helpers import HOST, an_interval_later

#: Of each race.
ROUNDS = int(os.environ.get("CYBORG_TEST_RACES", "100"))

#: Where threads wait for each other's rows. SQLite has one writer.
on_servers = pytest.mark.parametrize("database_url", ["mariadb", "postgresql"], indirect=True)

#: Seconds that the threads of a round begin one after the other, at most.
_SPREAD = 0.02

#: Seconds after which a thread has not come to where it should.
_PATIENCE = 30

#: How MariaDB and PostgreSQL say that a transaction was given up for another one: a deadlock, a
#: lock that was waited for too long, two that cannot both be.
_GIVEN_UP = {1205, 1213, 1020, "40P01", "40001", "55P03"}


def function(bus: str, number: int) -> dict[str, str]:
    """Return the info of a PCI function of the card on a bus."""
    return {
        "domain": "0000",
        "bus": bus,
        "device": f"{number // 8:02x}",
        "function": str(number % 8),
    }


def whole(bus: str = "42", **values: Any) -> DeployableReport:
    """Return a card as one piece, of class PGPU."""
    handles = (HandleReport("PCI", function(bus, 0)),)
    return _part(f"{HOST}_0000:{bus}:00.0", "PGPU", handles, **values)


def parts(bus: str = "42", count: int = 4, **values: Any) -> DeployableReport:
    """Return a card's virtual functions, of class FPGA: shares of its physical one."""
    handles = tuple(
        HandleReport("PCI", function(bus, n + 1), shares=(Share(f"0000:{bus}:00.0", 1, count),))
        for n in range(count)
    )
    return _part(f"{HOST}_0000:{bus}_parts", "FPGA", handles, **values)


def mediated(bus: str = "42", count: int = 4, **values: Any) -> DeployableReport:
    """Return a card that has the place of the whole one cut into mediated devices, of VGPU."""
    handles = tuple(
        HandleReport("MDEV", {**function(bus, 0), "asked_type": "nvidia-223", "mark": str(n)})
        for n in range(count)
    )
    return _part(f"{HOST}_0000:{bus}:00.0", "VGPU", handles, **values)


def _part(
    name: str, resource_class: str, handles: tuple[HandleReport, ...], **values: Any
) -> DeployableReport:
    values = {
        "name": name,
        "resource_class": resource_class,
        "num_accelerators": len(handles),
        "driver_name": "fake",
        "handles": handles,
        **values,
    }
    return DeployableReport(**values)


def report_of(env: Environment, *cards: DeviceReport) -> dict[str, Any]:
    """Return a report, as it crosses, that comes an interval after the one before."""
    an_interval_later(env)
    return Snapshot(devices=cards).to_wire()


def reporting(env: Environment, *cards: DeviceReport, host: str = HOST) -> Callable[[], None]:
    """Return what reports these cards, an interval after the report before."""
    return partial(inventory.report, env, host, report_of(env, *cards))


def round_of(dice: random.Random, *actions: Callable[[], object]) -> list[str]:
    """Do these at once, each a little later than it could be; return how each ended."""
    return at_once([partial(_later, dice.uniform(0, _SPREAD), action) for action in actions])


def _later(seconds: float, action: Callable[[], object]) -> None:
    time.sleep(seconds)
    action()


@contextmanager
def held_open(env: Environment, action: Callable[[Environment], object]) -> Iterator[None]:
    """Let another conductor do something, and not commit it before this ends."""
    database = Database(env.conf)
    done, go_on = threading.Event(), threading.Event()

    def wait(_connection: sa.Connection) -> None:
        done.set()
        assert go_on.wait(_PATIENCE)

    sa.event.listen(database.engine, "commit", wait)
    other = dataclasses.replace(env, database=database)
    thread = threading.Thread(target=action, args=(other,))
    thread.start()
    try:
        assert done.wait(_PATIENCE), "it has not come to its end"
        yield
    finally:
        go_on.set()
        thread.join()
        database.dispose()


@contextmanager
def nobody_gives_up(env: Environment) -> Iterator[None]:
    """See that the database gives no transaction up meanwhile, by its own count and by what it
    says; each would be tried again, and users would wait for it."""
    given_up: list[str] = []

    def note(context: Any) -> None:
        error = context.original_exception
        if {getattr(error, "pgcode", None), *getattr(error, "args", ())[:1]} & _GIVEN_UP:
            given_up.append(f"{error} in {context.statement}")

    engine = env.database.engine
    before = _deadlocks(engine)
    sa.event.listen(engine, "handle_error", note)
    try:
        yield
    finally:
        sa.event.remove(engine, "handle_error", note)
    assert not given_up, f"{len(given_up)} were given up: {given_up[0]}"
    deadlocks = _deadlocks(engine) - before
    assert not deadlocks, f"{deadlocks} deadlocks"


def _deadlocks(engine: sa.Engine) -> int:
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    if engine.dialect.name != "postgresql":
        query = (
            "SELECT variable_value FROM information_schema.global_status"
            " WHERE variable_name = 'INNODB_DEADLOCKS'"
        )
    with engine.connect() as connection:
        return int(connection.exec_driver_sql(query).scalar_one())


def check_hardware(env: Environment) -> None:
    """See that nothing is given to two: what is held, or must be cleaned, fits on what there is.

    By the rows of handles alone, whatever is recorded of counters.
    """
    handles = _handles(env)
    assert len({(each.host_id, each.hardware) for each in handles}) == len(handles)
    left = _left(handles)
    held = [(h.hardware, h.state, h.condition) for h in handles if _occupies(h)]
    assert min(left.values(), default=0) >= 0, f"given to two: {held}"


def check_offers(env: Environment) -> None:
    """See that no provider offers more than could be bound there, and no ARQ is bound to nothing.

    As Placement would, that is without what Nova has allocated.
    """
    handles = _handles(env)
    bound = {row.id for row in rows(env, accelerator_requests) if row.state == ArqState.BOUND}
    assert bound <= {each.accelerator_request_id for each in handles}, "bound to nothing"
    allocated = Counter(h.deployable_id for h in handles if h.state and not is_reserved(h))
    can = bindable(env)
    for part in rows(env, deployables):
        offered = _offered(env, part.rp_uuid) - allocated[part.id]
        assert offered <= can[part.rp_uuid], f"{offered} of {part.name} offered: {can}"


def bindable(env: Environment) -> Mapping[str, int]:
    """Return how many handles of each provider alone could be bound, by the rows of handles.

    Whether its device is there and works is not looked at.
    """
    handles = _handles(env)
    left = _left(handles)
    can = {}
    for part in rows(env, deployables):
        room = dict(left)
        free = [each for each in handles if each.deployable_id == part.id and _is_free(each)]
        can[part.rp_uuid] = sum(_fits(each, room) for each in free)
    return can


def _handles(env: Environment) -> Sequence[sa.Row[Any]]:
    arqs = accelerator_requests.c
    query = sa.select(
        attach_handles.c.host_id,
        attach_handles.c.hardware,
        attach_handles.c.shares,
        attach_handles.c.condition,
        attach_handles.c.deployable_id,
        attach_handles.c.accelerator_request_id,
        arqs.state,
        arqs.bound_by_service,
        arqs.suspicion,
    ).outerjoin(accelerator_requests, arqs.id == attach_handles.c.accelerator_request_id)
    with env.database.reader() as connection:
        # In the order in which they are given out.
        return connection.execute(query.order_by(attach_handles.c.id)).all()


def _offered(env: Environment, uuid: str) -> int:
    with env.database.reader() as connection:
        provider = recorded_providers(connection, [uuid])[uuid]
    return provider.total - provider.unavailable if provider.offered else 0


def _left(handles: Sequence[sa.Row[Any]]) -> dict[tuple[int, str], Fraction]:
    """Return what is left of each counter of each host."""
    left: dict[tuple[int, str], Fraction] = {}
    for handle in handles:
        for counter, taken in _amounts(handle).items():
            left[counter] = left.get(counter, Fraction(1)) - (taken if _occupies(handle) else 0)
    return left


def _fits(handle: sa.Row[Any], room: dict[tuple[int, str], Fraction]) -> bool:
    """Take a handle out of what is left, if that is enough."""
    amounts = _amounts(handle)
    if any(room[counter] < taken for counter, taken in amounts.items()):
        return False
    for counter, taken in amounts.items():
        room[counter] -= taken
    return True


def _amounts(handle: sa.Row[Any]) -> Mapping[tuple[int, str], Fraction]:
    amounts: dict[tuple[int, str], Fraction] = defaultdict(Fraction)
    for share in json.loads(handle.shares):
        taken = Fraction(share["amount"], share["capacity"])
        amounts[handle.host_id, share["counter"]] += taken
    return amounts


def _occupies(handle: sa.Row[Any]) -> bool:
    return handle.accelerator_request_id is not None or handle.condition in DIRTY


def _is_free(handle: sa.Row[Any]) -> bool:
    return handle.accelerator_request_id is None and handle.condition == HandleCondition.READY
