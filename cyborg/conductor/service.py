"""The conductor as a process: waits for its database, serves RPC, looks after jobs."""

from __future__ import annotations

import threading
from typing import Any

from oslo_config import cfg
from oslo_log import log

from cyborg.conductor import finishing
from cyborg.conductor.endpoint import ConductorEndpoint
from cyborg.conductor.environment import Environment
from cyborg.db import schema
from cyborg.db.database import Database
from cyborg.domain import clock
from cyborg.domain.errors import ServiceUnavailable
from cyborg.rpc.agent import AgentClient
from cyborg.rpc.transport import CONDUCTOR_TOPIC, get_server

LOG = log.getLogger(__name__)

#: Seconds between two tries to reach the database at start.
RETRY_INTERVAL = 2.0


class ConductorService:
    """Any number may run; they share their work through the database only."""

    def __init__(self, conf: cfg.ConfigOpts, transport: Any) -> None:
        agents = AgentClient(transport)
        self._conf = conf
        self._agents = agents
        self._database = Database(conf)
        self._env = Environment(conf, self._database, agents, clock.utcnow, clock.new_uuid)
        endpoint = ConductorEndpoint(self._env)
        self._server = get_server(transport, CONDUCTOR_TOPIC, conf.host, endpoint)
        self._stopping = threading.Event()
        self._serving = threading.Event()
        self._threads = [
            threading.Thread(target=self._serve, name="conductor-rpc", daemon=True),
            threading.Thread(target=self._sweep, name="conductor-jobs", daemon=True),
        ]

    def start(self) -> None:
        """Begin, in the background: neither database nor message queue need be there yet."""
        for thread in self._threads:
            thread.start()

    def wait_until_serving(self, timeout: float) -> bool:
        """Wait until requests are taken; return False if that did not come in time."""
        return self._serving.wait(timeout)

    def stop(self, timeout: float) -> None:
        """Take no new requests, finish those begun, at most for ``timeout`` seconds."""
        self._stopping.set()
        if self._serving.is_set():
            drain = threading.Thread(target=self._drain, name="conductor-drain", daemon=True)
            drain.start()
            drain.join(timeout)
        self._threads[1].join(timeout)
        self._database.dispose()

    def reload(self) -> None:
        """Nothing to do: options are read where they are used."""

    def _serve(self) -> None:
        if not self._wait_for_database():
            return
        self._agents.connect()
        self._server.start()
        self._serving.set()
        LOG.info("conductor serves host=%s", self._conf.host)

    def _drain(self) -> None:
        self._server.stop()
        self._server.wait()

    def _sweep(self) -> None:
        while not self._stopping.wait(self._conf.conductor.job_poll_interval):
            if not self._serving.is_set():
                continue
            try:
                finishing.sweep(self._env)
            except ServiceUnavailable as error:
                LOG.warning("jobs not looked at: %s", error)
            except Exception:
                # One of the two outermost loops: jobs must go on being looked at.
                LOG.exception("looking at jobs failed")

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
