"""What the agent asks and tells the conductor about jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from oslo_context import context
from oslo_log import log

from cyborg.domain.errors import RemoteError, ServiceUnavailable
from cyborg.domain.text import plain
from cyborg.domain.work import Work

LOG = log.getLogger(__name__)

#: Seconds between attempts to tell the conductor how a job ended; it asks again anyway.
REPORT_DELAYS = (1, 2, 4, 8, 15, 15, 15)

#: Characters of what is told of a failure.
_REASON_LENGTH = 2000


class JobReports(Protocol):
    """The part of :class:`cyborg.rpc.conductor.ConductorClient` that work needs."""

    def begin_work(
        self,
        host: str,
        uuid: str,
        generation: int,
        step: int,
        *,
        agent: Mapping[str, Any] | None = None,
    ) -> bool:
        """Return whether an attempt at a job may still act on the hardware with a step."""

    def finish_job(
        self, host: str, uuid: str, generation: int, error: str | None, *, away: bool = False
    ) -> None:
        """Report how a job ended."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended: None, or why it failed."""

    error: str | None
    #: It failed because the device is not there.
    away: bool = False


def reason(text: str) -> str:
    """Return why something failed, as it may be journaled and told: one plain line.

    What drivers and tools say holds whatever they have read, also what no database, message
    or log can hold.
    """
    return plain(text, _REASON_LENGTH) or "The driver gave no reason."


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

    def report(self, work: Work, ended: Ended, origin: context.RequestContext | None) -> None:
        """Tell how a job ended, for about a minute.

        :param origin: whose request's id the message carries.
        """
        if origin is not None:
            origin.update_store()
        # Also of what an earlier release has journaled.
        error = None if ended.error is None else reason(ended.error)
        for delay in (*REPORT_DELAYS, None):
            try:
                self._conductor.finish_job(
                    self._host, work.job_uuid, work.generation, error, away=ended.away
                )
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
