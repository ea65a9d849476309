"""Rules that are said once and are two things: what SQL makes of them is what Python does."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass

import sqlalchemy as sa

from cyborg.conductor.environment import Environment
from cyborg.db.programming import SETTLED
from cyborg.db.providers import recorded_providers
from cyborg.db.tables import accelerator_requests, attach_handles, deployables
from cyborg.domain.model import ProgrammingState
from cyborg.domain.states import HOLDING, ArqState, Suspicion, is_reserved
from cyborg.tests.functional.conductor.harness import NAME, RP, card, make
from cyborg.tests.helpers import profile, report


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
