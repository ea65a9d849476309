"""What a host with very many functions costs the database, as long as nothing changes there.

The agent's real parts look at a host that was built, and their messages cross as they do.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from cyborg.agent.identity import introduction
from cyborg.agent.report import Reporter
from cyborg.agent.scan import Scanner
from cyborg.conductor.endpoint import AGENT_USE_CASES
from cyborg.conductor.environment import Environment
from cyborg.db.tables import attach_handles
from cyborg.drivers.pci.driver import PciDriver
from cyborg.rpc.agents_door import AgentsDoorClient
from cyborg.testing.drivers import make_conf
from cyborg.testing.drivers.machine import Machine
from cyborg.testing.hosts import build
from cyborg.tests.functional.in_process import InProcess
from cyborg.tests.helpers import HOST, counted_statements

#: Five cards with 128 virtual functions each.
FUNCTIONS = 640

#: A test's machine may stand still for so many seconds.
PATIENCE = 60.0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root directory of the host, which no test changes."""
    root = tmp_path_factory.mktemp("many-vfs") / "root"
    build("many-vfs", root)
    return root


class Agent:
    """What reports of an agent, with a conductor that is asked at once."""

    def __init__(self, env: Environment, root: Path, state: Path) -> None:
        allowed = json.dumps({"vendor_id": "15b3", "product_id": "101e"})
        conf = make_conf(PciDriver, pci={"passthrough_whitelist": [allowed]})
        driver = PciDriver(Machine(root, state, conf).environment(HOST))
        driver.configure()
        scanner = Scanner([driver])
        self.queue = InProcess(env, AGENT_USE_CASES)
        self._reporter = Reporter(
            HOST,
            lambda: scanner.scan(PATIENCE),
            AgentsDoorClient(None, lambda: PATIENCE, self.queue),
            lambda: PATIENCE,
            introduce=lambda: introduction("this boot", PATIENCE),
        )

    def report(self) -> None:
        """Scan and report, as at every interval."""
        assert self._reporter.tick()


def test_an_unchanged_scan_of_many_functions_is_one_update(
    env: Environment, root: Path, tmp_path: Path
) -> None:
    agent = Agent(env, root, tmp_path)
    agent.report()
    with env.database.reader() as connection:
        count = sa.select(sa.func.count()).select_from(attach_handles)
        assert connection.scalar(count) == FUNCTIONS
    for each in (agent, Agent(env, root, tmp_path)):
        each.queue.calls.clear()
        with counted_statements(env.database.engine) as statements:
            each.report()
        assert each.queue.calls == ["heartbeat"]
        [statement] = statements
        assert statement.startswith("UPDATE hosts")
