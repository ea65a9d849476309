"""Rules that are said once and are two things: what SQL makes of them is what Python does."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass

import sqlalchemy as sa

from cyborg.conductor.environment import Environment
from cyborg.db.devices import list_deployables, list_devices
from cyborg.db.programming import SETTLED
from cyborg.db.providers import recorded_providers
from cyborg.db.tables import accelerator_requests, attach_handles, deployables, devices
from cyborg.domain.hardware import Share
from cyborg.domain.inventory import HandleReport
from cyborg.domain.model import (
    WITHHELD_IF,
    DeviceCondition,
    DeviceStatus,
    Presence,
    ProgrammingState,
    Usage,
)
from cyborg.domain.states import HOLDING, ArqState, Suspicion, is_reserved
from cyborg.tests.functional.conductor.harness import NAME, RP, card, make
from cyborg.tests.helpers import deployable, device, profile, report


@dataclass(frozen=True)
class Arq:
    state: ArqState
    bound_by_service: bool
    suspicion: Suspicion


#: LEFT_OVER is never stored.
CASES = [
    Arq(*values)
    for values in itertools.product(
        sorted(HOLDING), (True, False), sorted(set(Suspicion) - {Suspicion.LEFT_OVER})
    )
]


def test_what_is_reserved_in_placement(env: Environment) -> None:
    report(env, card(1))
    profile(env)
    [uuid] = make(env)
    for case in CASES:
        with env.database.engine.begin() as connection:
            connection.execute(accelerator_requests.update().values(dataclasses.asdict(case)))
            owner = sa.select(accelerator_requests.c.id).scalar_subquery()
            connection.execute(attach_handles.update().values(accelerator_request_id=owner))
        with env.database.reader() as connection:
            found = recorded_providers(connection, [RP])[RP]
        assert found.unavailable == is_reserved(case), case
    assert uuid


def test_a_quarantined_handle_is_reserved_though_nobody_owns_it(env: Environment) -> None:
    report(env, card(2))
    with env.database.engine.begin() as connection:
        one = sa.select(sa.func.min(attach_handles.c.id)).scalar_subquery()
        first = sa.select(one.label("id")).subquery()
        connection.execute(
            attach_handles.update()
            .where(attach_handles.c.id == sa.select(first.c.id).scalar_subquery())
            .values(condition="quarantined")
        )
    with env.database.reader() as connection:
        assert recorded_providers(connection, [RP])[RP].unavailable == 1


def test_what_nobody_gets_while_its_content_is_in_doubt(env: Environment) -> None:
    report(env, card(1))
    for state, unknown in itertools.product(ProgrammingState, (True, False)):
        with env.database.engine.begin() as connection:
            connection.execute(
                deployables.update().values(programming_state=state, content_unknown=unknown)
            )
        with env.database.reader() as connection:
            settled = connection.scalar(sa.select(SETTLED).where(deployables.c.name == NAME))
        expected = state is not ProgrammingState.PROGRAMMING and not unknown
        assert bool(settled) is expected, (state, unknown)


def test_what_nobody_gets_of_a_device(env: Environment) -> None:
    report(env, card(2))
    for values in itertools.product(DeviceStatus, Presence, DeviceCondition):
        case = dict(zip(("status", "presence", "condition"), values, strict=True))
        with env.database.engine.begin() as connection:
            connection.execute(devices.update().values(case))
        withheld = any(value in WITHHELD_IF[name] for name, value in case.items())
        expected = Usage(total=2, used=0, free=0 if withheld else 2)
        with env.database.reader() as connection:
            [found] = list_devices(connection, with_usage=True)
            [part] = list_deployables(connection, with_usage=True)
        assert found.usage == part.usage == expected, case


def test_what_somebody_has_in_another_shape_is_not_free(env: Environment) -> None:
    function = {"domain": "0000", "bus": "42", "device": "00"}
    whole = HandleReport("PCI", {**function, "function": "0"})
    half = Share("0000:42:00.0", 1, 2)
    halves = [HandleReport("PCI", {**function, "function": n}, shares=(half,)) for n in "12"]
    report(
        env,
        device(
            "card",
            deployable("whole", 1, handles=(whole,)),
            deployable("halves", 2, handles=tuple(halves)),
        ),
    )
    profile(env)
    make(env)
    owner = sa.select(accelerator_requests.c.id).scalar_subquery()
    for taken, expected in (
        (None, {"whole": (1, 0, 1), "halves": (2, 0, 2), "card": (3, 0, 3)}),
        ("0000:42:00.1", {"whole": (1, 0, 0), "halves": (2, 1, 1), "card": (3, 1, 1)}),
        ("0000:42:00.0", {"whole": (1, 1, 0), "halves": (2, 0, 0), "card": (3, 1, 0)}),
    ):
        with env.database.engine.begin() as connection:
            connection.execute(attach_handles.update().values(accelerator_request_id=None))
            mine = attach_handles.c.hardware == taken
            connection.execute(
                attach_handles.update().where(mine).values(accelerator_request_id=owner)
            )
        with env.database.reader() as connection:
            [card_] = list_devices(connection, with_usage=True)
            parts = list_deployables(connection, with_usage=True)
        usages = {"card": card_.usage, **{part.name: part.usage for part in parts}}
        assert usages == {name: Usage(*numbers) for name, numbers in expected.items()}
