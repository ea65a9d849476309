from __future__ import annotations

import dataclasses

import pytest

from cyborg.conductor.environment import Environment
from cyborg.tests.functional.conductor.field_cases.machine import Machine
from cyborg.tests.helpers import HOST, placement_client
from cyborg.tests.servers import Placement


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
