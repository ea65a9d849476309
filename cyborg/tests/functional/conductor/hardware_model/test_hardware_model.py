"""Random histories of hardware, on each kind of database.

The quick run is always the same. ``make hardware-model`` makes a long one, and says which.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from cyborg.conductor.environment import Environment
from cyborg.tests.functional.conductor.hardware_model.machine import HardwareMachine

SEED = int(os.environ.get("CYBORG_TEST_HARDWARE_SEED", "10"))

#: Of one history.
STEPS = 50
HISTORIES = {"sqlite": 50, "mariadb": 15, "postgresql": 15}

#: Of all histories on SQLite together, in a long run; the servers get a tenth.
WANTED = int(os.environ.get("CYBORG_TEST_HARDWARE_STEPS", "0"))

#: Whether the shortest history is looked for that fails as the first one found.
SHRINKS = bool(os.environ.get("CYBORG_TEST_HARDWARE_SHRINK", "yes"))


@pytest.mark.timeout(0)
def test_hardware_is_given_to_nobody_twice_nor_dirty(
    env: Environment, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = request.node.callspec.params["database_url"]
    wanted = WANTED if kind == "sqlite" else WANTED // 10
    env.conf.set_override("release_attempts", 2, group="conductor")
    HardwareMachine.steps = 0
    number = SEED
    try:
        _live(env, HISTORIES[kind] if not wanted else max(1, wanted // STEPS), number)
        while HardwareMachine.steps < wanted:
            # Some histories end early.
            number += 1
            _live(env, max(1, (wanted - HardwareMachine.steps) // STEPS), number)
    finally:
        with capsys.disabled():
            print(f"\nhardware model on {kind}: {HardwareMachine.steps} steps, seed {number}")


def _live(env: Environment, histories: int, number: int) -> None:
    """Try so many random histories.

    :param number: the seed.
    """

    @seed(number)
    class Machine(HardwareMachine):
        def __init__(self) -> None:
            super().__init__(env)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=histories,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            # All that is found is one thing at a time, and what it takes to see it.
            phases=(Phase.generate, Phase.shrink) if SHRINKS else (Phase.generate,),
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
