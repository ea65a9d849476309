"""What claims lock, and for what they wait: on MariaDB and PostgreSQL.

A device that is offered in one shape is claimed without a lock that others of its host may hold:
neither a report under way, nor claims of a card that is offered in several shapes, delay it.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import sqlalchemy as sa

from cyborg.conductor import finishing, inventory, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.database import Database
from cyborg.db.tables import consumptions, counters, hosts
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.errors import NoFreeHandle
from cyborg.domain.inventory import DeployableReport, DeviceReport
from cyborg.domain.model import DeviceCondition
from cyborg.tests.functional.conductor.harness import arq, bind, held, make
from cyborg.tests.functional.conductor.racing import (
    held_open,
    mediated,
    on_servers,
    parts,
    report_of,
    whole,
)
from cyborg.tests.helpers import HOST, RecordingAgents, device, profile, report

pytestmark = on_servers

WHOLE, PARTS = provider_uuid(whole().name), provider_uuid(parts().name)

#: A card that is offered in one shape.
BESIDE = dataclasses.replace(
    parts("50"),
    handles=tuple(dataclasses.replace(each, shares=()) for each in parts("50").handles),
)
BESIDE_RP = provider_uuid(BESIDE.name)

#: Seconds in which what need not wait has ended, for who waits for a lock waits for at least 50;
#: and after which what has not ended waits.
AT_ONCE, WAITING = 10.0, 0.5


def card(*shapes: DeployableReport, condition: DeviceCondition | None = None) -> DeviceReport:
    return device("card", *shapes, condition=condition or DeviceCondition.HEALTHY)


SINGLE = device("beside", BESIDE)
BOTH = card(whole(), parts())


@pytest.fixture
def ready(env: Environment) -> Environment:
    """A card that is offered whole and in parts, and one beside it."""
    profile(env, "part", {"resources:FPGA": "1"})
    profile(env, "parts", {"resources:FPGA": "3"})
    profile(env, "whole", {"resources:PGPU": "1"})
    report(env, BOTH, SINGLE)
    return env


@contextmanager
def locked(database: Database, *tables: sa.Table) -> Iterator[None]:
    """Hold every row of tables."""
    with database.engine.connect() as connection, connection.begin():
        for table in tables:
            assert connection.execute(sa.select(table).with_for_update()).all()
        yield


def do_at_once(action: Callable[[], object]) -> None:
    begin = time.monotonic()
    action()
    assert time.monotonic() - begin < AT_ONCE


def live(env: Environment) -> None:
    """Live through claims of the card that is offered in one shape; none of it waits."""
    for uuids in (make(env, "part"), make(env, "parts")):
        do_at_once(partial(bind, env, *uuids, instance=new_uuid(), rp=BESIDE_RP))
        do_at_once(partial(releasing.unbind, env, uuids))
        do_at_once(partial(bind, env, *uuids, instance=new_uuid(), rp=BESIDE_RP))
        do_at_once(partial(releasing.delete, env, uuids))


#: What becomes of the card in shapes while others claim the one beside it, and in how many
#: reports before it has been so: what a report lacks goes with the third.
REPORTS = {
    "fails": (0, [card(whole(), parts(), condition=DeviceCondition.FAILED), SINGLE]),
    "is cut otherwise": (0, [card(mediated(), parts(count=0)), SINGLE]),
    "has fewer parts": (2, [card(whole(), parts(count=2)), SINGLE]),
    "is not there": (2, [SINGLE]),
    "has company": (0, [BOTH, device("another", whole("43"), parts("43")), SINGLE]),
}


@pytest.mark.parametrize("what", REPORTS)
def test_a_claim_beside_a_report_does_not_wait(ready: Environment, what: str) -> None:
    """Finding 18: on MariaDB every bind of a host waited for the whole report."""
    before, cards = REPORTS[what]
    for _ in range(before):
        inventory.report(ready, HOST, report_of(ready, *cards))
    wire = report_of(ready, *cards)
    with held_open(ready, lambda other: inventory.report(other, HOST, wire)):
        live(ready)


def test_a_claim_of_one_shape_locks_no_counter_and_no_host(
    ready: Environment, other_database: Database
) -> None:
    with locked(other_database, counters, consumptions, hosts):
        live(ready)


def test_what_must_be_released_locks_neither(
    ready: Environment, agents: RecordingAgents, other_database: Database
) -> None:
    beside = device("beside", dataclasses.replace(BESIDE, needs_prepare=True, needs_release=True))
    report(ready, BOTH, beside)
    uuids = make(ready, "parts")

    def answer() -> None:
        for host, work in agents.sent:
            finishing.finish(ready, host, work.job_uuid, work.generation, None)
        agents.sent.clear()

    with locked(other_database, counters, consumptions, hosts):
        do_at_once(partial(bind, ready, *uuids, instance=new_uuid(), rp=BESIDE_RP))
        do_at_once(answer)
        do_at_once(partial(releasing.delete, ready, uuids))
        do_at_once(answer)
    assert held(ready) == 0


def test_a_claim_waits_for_another_claim_of_the_same_card(ready: Environment) -> None:
    """Whoever has the card's counters is waited for, and what he has taken is seen."""
    [part], [one] = make(ready, "part"), make(ready, "whole")
    ends: list[str] = []

    def claim() -> None:
        try:
            bind(ready, part, instance=new_uuid(), rp=PARTS)
            ends.append("ok")
        except NoFreeHandle:
            ends.append("none is free")

    with held_open(ready, lambda other: bind(other, one, instance=new_uuid(), rp=WHOLE)):
        thread = threading.Thread(target=claim)
        thread.start()
        thread.join(WAITING)
        assert thread.is_alive(), f"it did not wait: {ends}"
    thread.join()
    assert ends == ["none is free"]
    assert arq(ready, one).state == "Bound"
