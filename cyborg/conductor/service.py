"""The conductor as a process: waits for its database, serves RPC, and looks after what is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from oslo_config import cfg
from oslo_log import log

from cyborg import threads
from cyborg.clients import credentials
from cyborg.clients.nova import load_nova
from cyborg.clients.placement import load_placement
from cyborg.conductor import events, finishing, periodic, providers
from cyborg.conductor.endpoint import AGENT_USE_CASES, API_USE_CASES
from cyborg.conductor.environment import Environment
from cyborg.conductor.senders import Senders
from cyborg.db import schema
from cyborg.db.clock import DatabaseClock
from cyborg.db.database import Database
from cyborg.domain import clock
from cyborg.domain.errors import ServiceUnavailable
from cyborg.rpc.agent import AgentClient
from cyborg.rpc.server import Server
from cyborg.rpc.table import TableEndpoint
from cyborg.rpc.transport import AGENTS_DOOR, API_DOOR

LOG = log.getLogger(__name__)

#: Seconds between two tries to reach the database at start.
RETRY_INTERVAL = 2.0

#: What is looked after, each in a thread of its own: one that waits for Placement must not
#: keep jobs waiting.
LOOKS: dict[str, Callable[[Environment], int]] = {
    "jobs": finishing.sweep,
    "events": events.sweep,
    "providers": providers.sweep,
    "periodic tasks": periodic.run_due,
}


#: Seconds for which a conductor lets no deadline end anything after its start. If none was there
#: before, agents have answers that nobody took, and try again to give them.
ANSWERS_FIRST = 10.0


class ConductorService:
    """Any number may run; they share their work through the database only."""

    def __init__(self, conf: cfg.ConfigOpts, transport: Any, *, standalone: bool = False) -> None:
        """Make a conductor that does nothing yet.

        :param standalone: this is a process for a first look, without Placement and Nova.
        :raises ConfigurationError: ``[placement]`` or ``[nova]`` cannot be used.
        """
        self._conf = conf
        self._database = Database(conf)
        self._senders = Senders()
        self._env = Environment(
            conf,
            self._database,
            # What a lease has run out of is sent again.
            AgentClient(transport, lambda: float(conf.conductor.job_lease)),
            # What is written has the time by which it expires, whatever this host's clock says.
            DatabaseClock(self._database).now,
            clock.new_uuid,
            None if standalone else load_placement(conf),
            None if standalone else load_nova(conf),
            self._senders,
        )
        self._trials: list[credentials.Trial] = []
        if not standalone:
            self._warn()
            for group in ("placement", "nova"):
                self._trials += credentials.trial_of(conf, group)
        self._servers = [
            Server(transport, door, conf.host, TableEndpoint(use_cases, self._env))
            for door, use_cases in ((API_DOOR, API_USE_CASES), (AGENTS_DOOR, AGENT_USE_CASES))
        ]
        self._stopping = threading.Event()
        self._serving = threading.Event()
        #: When it began to serve, by the monotonic clock.
        self._since = 0.0
        self._lookers: list[threading.Thread] = []

    def start(self) -> None:
        """Begin, in the background: neither database nor message queue need be there yet."""
        credentials.try_in_background(self._trials, self._stopping.wait)
        threads.serve("conductor-rpc", self._serve, done=self._may_end)
        self._lookers = [
            threads.serve(
                f"conductor-{name.replace(' ', '-')}",
                self._look_after,
                name,
                look,
                done=self._stopping.is_set,
            )
            for name, look in {**LOOKS, "jobs": self._look_after_jobs}.items()
        ]

    def wait_until_serving(self, timeout: float) -> bool:
        """Wait until requests are taken; return False if that did not come in time."""
        return self._serving.wait(timeout)

    def stop(self, timeout: float) -> None:
        """Take no new requests, finish those begun, at most for ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        self._stopping.set()
        for server in self._servers:
            server.begin_stop()
        for server in self._servers:
            server.join(deadline - time.monotonic())
        for thread in self._lookers:
            thread.join(max(0.0, deadline - time.monotonic()))
        # What is not sent yet is another conductor's as soon as its lease has run out.
        self._senders.stop()
        self._env.asking.stop()
        self._database.dispose()

    def reload(self) -> None:
        """Nothing to do: options are read where they are used."""

    def _warn(self) -> None:
        if self._env.placement is None:
            LOG.warning("[placement] has no auth_type: no provider is published")
        if self._env.nova is None:
            LOG.warning("[nova] has no auth_type: no event is sent")

    def _may_end(self) -> bool:
        return self._serving.is_set() or self._stopping.is_set()

    def _serve(self) -> None:
        if not self._wait_for_database():
            return
        for server in self._servers:
            server.start()
        for server in self._servers:
            server.wait_until_serving()
        self._since = time.monotonic()
        self._serving.set()
        LOG.info("conductor serves host=%s", self._conf.host)

    def _look_after_jobs(self, env: Environment) -> int:
        heard = time.monotonic() - self._since >= ANSWERS_FIRST
        return finishing.sweep(env, expires=heard)

    def _look_after(self, name: str, look: Callable[[Environment], int]) -> None:
        while not self._stopping.wait(self._conf.conductor.job_poll_interval):
            if not self._serving.is_set():
                continue
            try:
                # As long as there is something to do, without a pause.
                while look(self._env) and not self._stopping.is_set():
                    pass
            except ServiceUnavailable as error:
                LOG.warning("%s not looked after: %s", name, error)
            except Exception:
                # One of the outermost loops: they must go on being looked after.
                LOG.exception("looking after %s failed", name)

    def _wait_for_database(self) -> bool:
        """Return True as soon as the database has our schema, False when told to stop."""
        while not self._stopping.is_set():
            problem = self._database_problem()
            if problem is None:
                return True
            LOG.warning("waiting for the database: %s", problem)
            self._stopping.wait(RETRY_INTERVAL)
        return False

    def _database_problem(self) -> str | None:
        try:
            with self._database.reader() as connection:
                found = schema.version(connection)
        except ServiceUnavailable as error:
            return str(error.__cause__ or error).splitlines()[0]
        if found != schema.head():
            return (
                f"its schema is at {found or 'nothing'}, this release needs {schema.head()}: "
                "run 'cyborg-dbsync upgrade'"
            )
        return None
