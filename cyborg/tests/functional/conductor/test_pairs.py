"""Races of two over one ARQ, handle or device, by many threads on servers with many writers.

``make races`` runs ten thousand of each kind.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from cyborg.conductor.environment import Environment
from cyborg.db.tables import jobs
from cyborg.tests.functional.conductor.harness import check_audit, rows
from cyborg.tests.functional.conductor.pairs import KINDS, MANY, WORKING_KINDS, run
from cyborg.tests.functional.conductor.racing import on_servers
from cyborg.tests.helpers import profile

pytestmark = on_servers

#: Of each kind.
PAIRS = int(os.environ.get("CYBORG_TEST_PAIRS", "50"))
#: Of each kind in which an agent is at work.
WORKING_PAIRS = int(os.environ.get("CYBORG_TEST_WORKING_PAIRS", "50"))

THREADS = 32


def test_two_at_once(env: Environment) -> None:
    profile(env, MANY, {"resources:FPGA": "32"})
    ends = run(env, KINDS, PAIRS, THREADS)
    print_ends(env, ends)
    assert sum(ends.values()) == PAIRS * len(KINDS)
    check_audit(env)


def test_two_at_once_while_an_agent_is_at_work(env: Environment) -> None:
    profile(env, MANY, {"resources:FPGA": "32"})
    ends = run(env, WORKING_KINDS, WORKING_PAIRS, THREADS)
    print_ends(env, ends)
    assert sum(ends.values()) == WORKING_PAIRS * len(WORKING_KINDS)
    check_audit(env)
    assert rows(env, jobs) == []


def print_ends(env: Environment, ends: Mapping[str, int]) -> None:
    print(f"\non {env.database.engine.dialect.name}")
    for end, count in sorted(ends.items()):
        print(f"{count:8} {end}")
