"""What a life costs of a card that is offered in several shapes, over HTTP in this process.

At most two statements more than of any other, without Placement. What Placement is told before
the answer costs more: for each shape of the card, what is recorded of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from cyborg.conductor.environment import Environment
from cyborg.domain.hardware import Share
from cyborg.tests.functional.conductor.quick_placement import QuickPlacement
from cyborg.tests.functional.in_process import NAME, Service
from cyborg.tests.functional.test_http import LIFE, life
from cyborg.tests.helpers import deployable, device, handles, report

#: The counters are locked, and then read with what is taken of them.
SHAPES = {
    **LIFE,
    "bind": [
        "SELECT accelerator_requests",
        "SELECT accelerator_requests",
        "SELECT deployables",
        "SELECT counters",
        "SELECT counters",
        "SELECT attach_handles",
        "UPDATE attach_handles",
        "UPDATE accelerator_requests",
        "INSERT outbox",
        "INSERT instance_owners",
    ],
}

#: Right after the bind, for each provider of the card: what is recorded of it, and what is left.
TOLD = [
    "SELECT deployables",
    "SELECT counters",
    "SELECT attach_handles",
    "SELECT attributes",
    "DELETE jobs",
]

#: The other shapes are marked, and told to Placement: before the answer to a bind, and some time
#: after the answer to a delete.
TELLING = {
    **SHAPES,
    "bind": [*SHAPES["bind"], "INSERT jobs", "SELECT jobs", *TOLD, *TOLD],
    "delete": [*SHAPES["delete"], "INSERT jobs"],
}

_CARD = "the card"


def serving(env: Environment) -> Service:
    """A card that is offered in sixteen parts, and whole; one is asked for, or eight."""
    shared = tuple(dataclasses.replace(each, shares=(Share(_CARD, 1, 16),)) for each in handles(16))
    [one] = (dataclasses.replace(each, shares=(Share(_CARD),)) for each in handles(1, "0d"))
    whole = deployable(f"{NAME}_whole", 1, resource_class="PGPU", handles=(one,))
    report(env, device("card", deployable(NAME, 16, handles=shared), whole))
    service = Service(env)
    for name, units in (("one", "1"), ("eight", "8")):
        body = [{"name": name, "groups": [{"resources:FPGA": units}]}]
        assert service.ask("POST", "/v2/device_profiles", body).status_int == 201
    return service


@pytest.fixture
def service(env: Environment) -> Iterator[Service]:
    """Such a card, without Placement."""
    service = serving(env)
    yield service
    service.database.dispose()


@pytest.fixture
def telling(env: Environment) -> Iterator[Service]:
    """Such a card, and a Placement that is told of it."""
    service = serving(dataclasses.replace(env, placement=QuickPlacement()))
    yield service
    service.database.dispose()


@pytest.mark.parametrize("profile", ["one", "eight"])
def test_a_life_of_a_card_in_shapes_is_two_statements_more(service: Service, profile: str) -> None:
    done = life(service, profile)
    assert done == SHAPES
    assert sum(map(len, done.values())) == sum(map(len, LIFE.values())) + 2


def test_what_telling_placement_costs(telling: Service) -> None:
    assert life(telling, "one") == TELLING


def test_placement_costs_nothing_where_there_is_one_shape(env: Environment) -> None:
    service = serving(dataclasses.replace(env, placement=QuickPlacement()))
    try:
        report(env, device("card", deployable(NAME, 16)))
        report(env, device("card", deployable(NAME, 16)))
        report(env, device("card", deployable(NAME, 16)))
        assert life(service, "one") == LIFE
    finally:
        service.database.dispose()
