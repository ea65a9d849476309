"""Random histories of hardware with invented drivers, on each kind of database.

The quick run is always the same. ``make hardware-model`` makes a long one, and says which.
"""

from __future__ import annotations

import pytest

from cyborg.conductor.environment import Environment
from cyborg.tests.functional.conductor.hardware_model.machine import HardwareMachine
from cyborg.tests.functional.conductor.hardware_model.running import run_histories

HISTORIES = {"sqlite": 50, "mariadb": 15, "postgresql": 15}


@pytest.mark.timeout(0)
def test_hardware_is_given_to_nobody_twice_nor_dirty(
    env: Environment, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = request.node.callspec.params["database_url"]
    run_histories(HardwareMachine, env, kind, HISTORIES, capsys)
