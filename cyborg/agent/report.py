"""Keeps the conductor's record of this host's devices true."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from oslo_log import log

from cyborg.domain.backoff import backoff
from cyborg.domain.errors import CyborgError, HostTaken, RemoteError, ServiceUnavailable
from cyborg.domain.inventory import Snapshot

LOG = log.getLogger(__name__)


#: Seconds until a failed report is tried again; doubled at each further failure.
FIRST_DELAY = 1.0


class InventoryReports(Protocol):
    """The part of :class:`cyborg.rpc.agents_door.AgentsDoorClient` that reports need."""

    def heartbeat(self, host: str, digest: str, *, agent: Mapping[str, Any] | None = None) -> bool:
        """Say that the host lives; return False when its whole report is wanted."""

    def report(
        self, host: str, snapshot: Snapshot, *, agent: Mapping[str, Any] | None = None
    ) -> None:
        """Apply what the host found."""


class Reporter:
    """Scans the host again and again, and reports what changed.

    :meth:`run` is a thread's; :meth:`wake` and :meth:`stop` are for all others.
    """

    def __init__(
        self,
        host: str,
        scan: Callable[[], Snapshot],
        conductor: InventoryReports,
        interval: Callable[[], float],
        *,
        introduce: Callable[[], Mapping[str, Any] | None],
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a reporter that has reported nothing.

        :param begin: called before the first scan, until it has worked once; fails as reports do.
        :param introduce: says who the agent is, see :func:`cyborg.agent.identity.introduction`.
        """
        self._host = host
        self._scan = scan
        self._conductor = conductor
        self._interval = interval
        self._introduce = introduce
        self._begin = begin
        self._has_begun = False
        self._wake = threading.Event()
        self._stopping = False
        self._failures = 0
        self._reported: str | None = None

    def run(self) -> None:
        """Report until :meth:`stop`, every interval; sooner after a failure or a wake."""
        while not self._stopping:
            try:
                succeeded = self.tick()
            except Exception:  # the loop must outlive whatever is wrong with one report
                LOG.exception("report failed host=%s", self._host)
                succeeded = False
            self._wake.wait(self.delay(succeeded))
            self._wake.clear()

    def wake(self) -> None:
        """Scan now rather than at the end of the interval."""
        self._wake.set()

    def stop(self) -> None:
        """End :meth:`run` after the scan it is in, if it is in one."""
        self._stopping = True
        self._wake.set()

    def tick(self) -> bool:
        """Scan once and report once; return False if the conductor did not take it."""
        if not self._has_begun:
            try:
                self._begin()
            except (ServiceUnavailable, RemoteError) as error:
                self._log_refusal(error)
                return False
            self._has_begun = True
        snapshot = self._scan()
        digest = snapshot.digest()
        try:
            agent = self._introduce()
            if not self._conductor.heartbeat(self._host, digest, agent=agent):
                self._conductor.report(self._host, snapshot, agent=agent)
        except (ServiceUnavailable, RemoteError) as error:
            self._log_refusal(error)
            return False
        if digest != self._reported:
            self._reported = digest
            LOG.info(
                "inventory reported host=%s devices=%d failed_drivers=%s unseen=%d",
                self._host,
                len(snapshot.devices),
                ",".join(snapshot.failed_drivers) or "none",
                len(snapshot.unseen),
            )
        return True

    def delay(self, succeeded: bool) -> float:
        """Return the seconds until the next scan: 1, 2, 4 … after failures in a row."""
        interval = self._interval()
        if succeeded:
            self._failures = 0
            return interval
        self._failures += 1
        return backoff(self._failures, interval, FIRST_DELAY)

    def _log_refusal(self, error: CyborgError) -> None:
        if error.code == HostTaken.code:
            LOG.error(
                "report refused, and no work is begun here: host=%s reason=%s Two machines must "
                "not have one [agent] resource_provider_name; if the other one is gone, this one "
                "is taken soon",
                self._host,
                error,
            )
        else:
            LOG.warning("report not taken host=%s reason=%s", self._host, error)
