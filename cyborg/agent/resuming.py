"""What an agent does before it reports: it prepares what its host's servers have, after a boot.

Discovery would miss what a boot has undone, and what is missed is not there for the conductor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from oslo_log import log

from cyborg.domain.errors import ReleaseMismatch, RemoteError
from cyborg.domain.work import Work

LOG = log.getLogger(__name__)

#: Seconds between two looks whether all is done.
LOOK = 0.1


class Resumes(Protocol):
    """The part of :class:`cyborg.rpc.agents_door.AgentsDoorClient` that this needs."""

    def resume(self, host: str, *, agent: Mapping[str, Any] | None = None) -> list[Work]:
        """Return what is to be done first."""


class Works(Protocol):
    """The part of :class:`cyborg.agent.executor.Executor` that this needs."""

    def submit(self, work: Work) -> None:
        """Take a piece of work."""

    def is_at_work_on(self, job_uuid: str) -> bool:
        """Return whether a job waits or runs."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """Asks what is to be done first, and sees to it."""

    host: str
    conductor: Resumes
    executor: Works
    #: Says who the agent is.
    introduce: Callable[[], Mapping[str, Any] | None]
    #: Waits so many seconds; returns something true when the agent stops.
    wait: Callable[[float], object]
    #: Seconds after which what has not ended is not waited for any more.
    patience: float

    def run(self) -> None:
        """Return when all of it has ended, whether well or not, or the agent stops.

        :raises RemoteError: the conductor does not believe this agent.
        :raises ServiceUnavailable: it cannot be asked.
        """
        works = self._ask()
        if not works:
            return
        LOG.info("host booted, its servers' devices are prepared again jobs=%d", len(works))
        for work in works:
            self.executor.submit(work)
        waited = 0.0
        while any(self.executor.is_at_work_on(work.job_uuid) for work in works):
            if self.wait(LOOK) or waited >= self.patience:
                return
            waited += LOOK

    def _ask(self) -> list[Work]:
        try:
            return self.conductor.resume(self.host, agent=self.introduce())
        except RemoteError as error:
            if error.code != ReleaseMismatch.code:
                raise
            # A conductor of the release before prepares nothing again.
            return []
