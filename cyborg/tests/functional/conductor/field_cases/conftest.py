from __future__ import annotations

import dataclasses

import pytest

from cyborg.conductor.environment import Environment
from cyborg.tests.functional.conductor.field_cases.machine import Machine
from cyborg.tests.helpers import HOST, placement_client
from cyborg.tests.servers import Placement

#: Where the right value depends on what a kind of database does. What the others decide is decided
#: in Python, and the model of hardware and the races run on each kind.
ON_EVERY_KIND = {"test_findings", "test_k05_info", "test_k11_names"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run most cases on one kind of database, and those on each that depend on it."""
    module = metafunc.module.__name__.rpartition(".")[2]
    if module not in ON_EVERY_KIND and "database_url" in metafunc.fixturenames:
        metafunc.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def machine(env: Environment) -> Machine:
    """A host that has reported nothing yet."""
    return Machine(env)


@pytest.fixture
def scheduled(env: Environment, empty_placement: Placement) -> Machine:
    """The same, below a real Placement which knows the compute node."""
    empty_placement.make_root(HOST)
    client = placement_client(empty_placement.url)
    return Machine(dataclasses.replace(env, placement=client), empty_placement)
