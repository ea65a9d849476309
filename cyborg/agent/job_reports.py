"""What the agent asks and tells the conductor about jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from oslo_context import context
from oslo_log import log

from cyborg.domain.errors import RemoteError, ServiceUnavailable
from cyborg.domain.work import Work

LOG = log.getLogger(__name__)

#: Seconds between attempts to tell the conductor how a job ended; it asks again anyway.
REPORT_DELAYS = (1, 2, 4, 8, 15, 15, 15)


class JobReports(Protocol):
    """The part of :class:`cyborg.rpc.conductor.ConductorClient` that work needs."""

    def begin_work(self, host: str, uuid: str, generation: int, step: int) -> bool:
        """Return whether an attempt at a job may still act on the hardware with a step."""

    def finish_job(self, host: str, uuid: str, generation: int, error: str | None) -> None:
        """Report how a job ended."""


class EndReporter:
    """Tells the conductor how jobs ended. Safe for several threads."""

    def __init__(self, host: str, conductor: JobReports, sleep: Callable[[float], object]) -> None:
        """Make a reporter.

        :param sleep: waits between two attempts; may return early.
        """
        self._host = host
        self._conductor = conductor
        self._sleep = sleep
        self._abandoned = False

    def abandon(self) -> None:
        """Give up each report whose next attempt fails."""
        self._abandoned = True

    def report(self, work: Work, error: str | None, origin: context.RequestContext | None) -> None:
        """Tell how a job ended, for about a minute.

        :param origin: whose request's id the message carries.
        """
        if origin is not None:
            origin.update_store()
        for delay in (*REPORT_DELAYS, None):
            try:
                self._conductor.finish_job(self._host, work.job_uuid, work.generation, error)
            except ServiceUnavailable as failure:
                if delay is None or self._abandoned:
                    LOG.warning("end of job not told job=%s reason=%s", work.job_uuid, failure)
                    return
                self._sleep(delay)
            except RemoteError as failure:
                LOG.warning("end of job refused job=%s reason=%s", work.job_uuid, failure)
                return
            else:
                return
