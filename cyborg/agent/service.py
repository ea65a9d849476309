"""The agent as a whole: its threads, and how they begin and end."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_log import log

from cyborg import threads
from cyborg.agent.bitstream_cache import BitstreamCache
from cyborg.agent.bitstreams import Bitstreams
from cyborg.agent.calls import Calls, call_limit
from cyborg.agent.endpoint import WORK_USE_CASES
from cyborg.agent.executor import Executor
from cyborg.agent.identity import introduction, provider_name
from cyborg.agent.journal import Journal, read_boot_id
from cyborg.agent.progress import ProgressTeller
from cyborg.agent.report import Reporter
from cyborg.agent.resuming import Resumption
from cyborg.agent.scan import Scanner
from cyborg.agent.state import StateWatch, require_writable
from cyborg.clients import credentials
from cyborg.clients.glance import load_glance
from cyborg.domain.clock import utcnow
from cyborg.domain.errors import ConfigurationError
from cyborg.domain.inventory import Snapshot
from cyborg.drivers.contract import Driver, DriverEnvironment, DriverError
from cyborg.drivers.host import Host, Verbs
from cyborg.drivers.loader import configure, load_drivers
from cyborg.files import Hold, InUse
from cyborg.privileged.client import PrivilegedVerbs
from cyborg.rpc.agents_door import AgentsDoorClient
from cyborg.rpc.caller import PING_TIMEOUT
from cyborg.rpc.server import Server
from cyborg.rpc.table import TableEndpoint
from cyborg.rpc.transport import AGENT_SERVER, agent_door

LOG = log.getLogger(__name__)

#: Seconds that a report which is under way may take to end when the agent stops.
REPORT_PATIENCE = 1.0

#: Where below its state directory the agent keeps what.
_JOURNAL, _BITSTREAMS = "journal", "bitstreams"


class AgentService:
    """One agent. Start it once, stop it once; it needs no thread of the caller's."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        transport: Any,
        *,
        standalone: bool = False,
        host: Host | None = None,
        verbs: Verbs | None = None,
    ) -> None:
        """Make an agent that does nothing yet.

        :param host: whose devices it finds; by default those of this machine.
        :param verbs: what its drivers may do with privileges; by default what the privileged
            process does.
        :param standalone: this is a process for a first look, where fake devices are right.
        """
        self._conf = conf
        self._transport = transport
        self._standalone = standalone
        self._host = host
        self._verbs = verbs or PrivilegedVerbs()
        self._drivers: Sequence[Driver] = ()
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._hold: Hold | None = None
        self._server: Server | None = None
        self._executor: Executor | None = None
        self._reporter: Reporter | None = None
        self._report_loop: threading.Thread | None = None

    def start(self) -> None:
        """Begin to report and to take work; returns at once, the queue may be there later.

        May wait for a name server.

        :raises ConfigurationError: a driver is unknown or cannot be loaded, ``[glance]``
            cannot be used, or ``state_path`` is another agent's, or cannot be written.
        """
        host = provider_name(self._conf)
        state = Path(self._conf.state_path) / "agent"
        require_writable(state, state / _JOURNAL, state / _BITSTREAMS)
        self._hold = _hold(state)
        environment = DriverEnvironment(
            self._conf, host, self._host or Host(state), time.sleep, self._verbs
        )
        drivers = load_drivers(environment)
        self._drivers = drivers
        self._warn_of(drivers)
        conductor = AgentsDoorClient(self._transport, lambda: float(self._conf.agent.rpc_timeout))
        self._make_parts(host, state, drivers, conductor)
        assert self._executor is not None and self._reporter is not None
        endpoint = TableEndpoint(WORK_USE_CASES, self._executor.submit)
        self._server = Server(self._transport, agent_door(host), AGENT_SERVER, endpoint)
        conductor.connect()
        credentials.try_in_background(
            credentials.trial_of(self._conf, "glance"), self._stopping.wait
        )
        self._server.start()
        if any(driver.needs_privileges for driver in drivers):
            self._get_privileges()
        self._report_loop = threads.serve(
            "report", self._report, conductor, self._reporter, done=self._stopped.is_set
        )
        teller = ProgressTeller(host, conductor, self._executor.under_way, self._stopping.wait)
        threads.serve("progress", teller.run, done=self._stopping.is_set)
        LOG.info("agent started host=%s", host)

    def stop(self, timeout: float) -> None:
        """Take no more work, and let what runs end within about ``timeout`` seconds.

        What does not end in time is left to threads that end with the process; the
        conductor asks for it again.
        """
        deadline = time.monotonic() + timeout
        if self._server is not None and self._executor is not None and self._reporter is not None:
            self._end(self._server, self._executor, self._reporter, deadline)
        if self._hold is not None:
            self._hold.let_go()
            self._hold = None

    def _end(self, server: Server, executor: Executor, reporter: Reporter, deadline: float) -> None:
        self._stopped.set()
        reporter.stop()
        server.begin_stop()
        drained = executor.drain(max(0.0, deadline - time.monotonic()))
        self._stopping.set()
        server.join(deadline - time.monotonic())
        if self._report_loop is not None:
            # A report that a dead conductor does not answer is not worth waiting for.
            self._report_loop.join(REPORT_PATIENCE)
        LOG.info("agent stopped drained=%s", drained)

    def reload(self) -> None:
        """Act on changed options now: in the scan that this begins drivers find theirs changed.

        A driver that refuses them goes on with what it had.
        """
        for driver in self._drivers:
            try:
                configure(driver)
            except ConfigurationError as error:
                LOG.error("changed options are not used driver=%s: %s", driver.name, error)
        self._wake()

    def _get_privileges(self) -> None:
        """Start the privileged process in the background, and say if that does not work."""
        verbs = self._verbs
        if isinstance(verbs, PrivilegedVerbs):
            threading.Thread(target=_start, args=(verbs,), name="privileges", daemon=True).start()

    def _wake(self) -> None:
        if self._reporter is not None:
            self._reporter.wake()

    def _report(self, conductor: AgentsDoorClient, reporter: Reporter) -> None:
        # Where the queue is there, the first call need not fail.
        conductor.wait_until_reached(2 * PING_TIMEOUT)
        reporter.run()

    def _interval(self) -> float:
        return float(self._conf.periodic_interval)

    def _make_parts(
        self, host: str, state: Path, drivers: Sequence[Driver], conductor: AgentsDoorClient
    ) -> None:
        """Make what reports and what works, and what both share."""
        watch = StateWatch(state / _JOURNAL, self._wake)
        journal = Journal(state / _JOURNAL, utcnow, read_boot_id(), watch.failed)
        cache = BitstreamCache(state / _BITSTREAMS, utcnow)
        cache.remove_unfinished()
        bitstreams = Bitstreams(self._conf, load_glance(self._conf), cache)
        calls = Calls(partial(call_limit, self._conf), self._wake)
        scanner = Scanner(drivers, lambda device: calls.hanging(device) or watch.reason())

        def scan() -> Snapshot:
            journal.purge()
            bitstreams.purge()
            watch.probe()
            return scanner.scan(self._conf.agent.discovery_timeout)

        self._executor = Executor(
            host,
            {driver.name: driver for driver in drivers},
            journal,
            conductor,
            self._stopping.wait,
            bitstreams=bitstreams,
            calls=calls,
            report_changed=self._wake,
        )
        introduce = partial(self._introduce, journal.boot_id)
        patience = float(self._conf.bind_timeout)
        resumption = Resumption(
            host, conductor, self._executor, introduce, self._stopping.wait, patience
        )
        self._reporter = Reporter(
            host, scan, conductor, self._interval, introduce=introduce, begin=resumption.run
        )

    def _introduce(self, boot_id: str) -> Mapping[str, Any] | None:
        return introduction(boot_id, self._interval())

    def _warn_of(self, drivers: Sequence[Driver]) -> None:
        for driver in drivers:
            if driver.simulated and not self._standalone:
                LOG.error(
                    "%s offers devices which do not exist; "
                    "set [agent] enabled_drivers to the drivers of this host's devices",
                    driver.name,
                )


def _start(verbs: PrivilegedVerbs) -> None:
    try:
        verbs.start()
    except DriverError as error:
        LOG.error("cards cannot be given or taken back: %s", error)


def _hold(state: Path) -> Hold:
    try:
        return Hold(state)
    except InUse as error:
        raise ConfigurationError(str(error)) from error
    except OSError as error:
        raise ConfigurationError(f"[DEFAULT] state_path cannot be used: {error}") from error
