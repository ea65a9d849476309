"""Random histories of a machine: the quick run is always the same, a long one says its seed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from cyborg.conductor.environment import Environment
from cyborg.tests.functional.conductor.hardware_model.machine import HardwareMachine

SEED = int(os.environ.get("CYBORG_TEST_HARDWARE_SEED", "10"))

#: Of one history.
STEPS = 50

#: Of all histories on SQLite together, in a long run; the servers get a tenth.
WANTED = int(os.environ.get("CYBORG_TEST_HARDWARE_STEPS", "0"))

#: Whether the shortest history is looked for that fails as the first one found.
SHRINKS = bool(os.environ.get("CYBORG_TEST_HARDWARE_SHRINK", "yes"))

Machine = Callable[[Environment], HardwareMachine]


def run_histories(
    machine: Machine,
    env: Environment,
    kind: str,
    histories: Mapping[str, int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Try random histories, and print how many steps they had.

    :param kind: of the database.
    :param histories: in a quick run, by the kind of the database.
    """
    wanted = WANTED if kind == "sqlite" else WANTED // 10
    env.conf.set_override("release_attempts", 2, group="conductor")
    HardwareMachine.steps = 0
    number = SEED
    try:
        _live(machine, env, max(1, wanted // STEPS) if wanted else histories[kind], number)
        while HardwareMachine.steps < wanted:
            # Some histories end early.
            number += 1
            _live(machine, env, max(1, (wanted - HardwareMachine.steps) // STEPS), number)
    finally:
        with capsys.disabled():
            print(f"\nhardware model on {kind}: {HardwareMachine.steps} steps, seed {number}")


def _live(machine: Machine, env: Environment, histories: int, number: int) -> None:
    """Try so many random histories.

    :param number: the seed.
    """
    make = cast(type[RuleBasedStateMachine], lambda: machine(env))
    run_state_machine_as_test(
        seed(number)(make),
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
