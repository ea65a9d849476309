"""Random histories of hardware with the pci driver on fake hosts.

The quick run is on SQLite alone: what the servers do in another way the invented drivers show.
``make hardware-model`` makes a long one on each.
"""

from __future__ import annotations

import pytest

from cyborg.conductor.environment import Environment
from cyborg.tests.functional.conductor.hardware_model.real.machine import RealMachine
from cyborg.tests.functional.conductor.hardware_model.running import WANTED, run_histories
from cyborg.tests.functional.conftest import KINDS

HISTORIES = {"sqlite": 6}

_databases = pytest.mark.parametrize("database_url", KINDS if WANTED else HISTORIES, indirect=True)


@pytest.mark.timeout(0)
@_databases
def test_the_pci_drivers_cards_are_given_to_nobody_twice_nor_dirty(
    env: Environment, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = request.node.callspec.params["database_url"]
    run_histories(RealMachine, env, kind, HISTORIES, capsys)
