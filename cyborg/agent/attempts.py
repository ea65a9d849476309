"""One attempt at a piece of work, when its card's turn has come.

A message may have lain in a queue while the agent was away, or come twice or out of order, and
its job may be over: what it names may be somebody else's by now. So the conductor is asked
immediately before each call of a driver, and the journal is written before that, so that
nothing lies between the conductor's yes and the driver.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oslo_log import log

from cyborg.agent.job_reports import JobReports
from cyborg.agent.journal import Journal, JournalError
from cyborg.agent.task import Task
from cyborg.domain.errors import RemoteError, ServiceUnavailable
from cyborg.domain.work import Work

LOG = log.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended: None, or why it failed."""

    error: str | None


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """The conductor did not let an attempt begin or go on, or could not be asked."""

    #: Of the attempt that was asked for.
    generation: int


class Attempts:
    """Makes attempts; two of one card's are never under way at once."""

    def __init__(
        self,
        host: str,
        journal: Journal,
        conductor: JobReports,
        report_changed: Callable[[], None],
    ) -> None:
        self._host = host
        self._journal = journal
        self._conductor = conductor
        self._report_changed = report_changed

    def make(self, task: Task) -> Ended | NotAllowed:
        """Do the steps in their order, up to the first that fails or may not be done."""
        for number, performer in enumerate(task.performers):
            error = task.check(number)
            if error is None and number == 0:
                error = self._record_start(task)
            if error is not None:
                return self._ended(task, error) if number else Ended(error)
            newest = task.work
            if not self._may_act(task, newest, number):
                if number == 0:
                    self._journal.forget(newest.job_uuid)
                return NotAllowed(newest.generation)
            LOG.info("work started %s step=%d", task.log_fields(), number)
            error = task.act(number)
            if error is not None:
                return self._ended(task, error)
            if performer.changes_report:
                self._report_changed()
        return self._ended(task, None)

    def _may_act(self, task: Task, work: Work, number: int) -> bool:
        try:
            if self._conductor.begin_work(self._host, work.job_uuid, work.generation, number):
                return True
        except (ServiceUnavailable, RemoteError) as failure:
            LOG.warning(
                "work not begun, the conductor cannot be asked %s step=%d reason=%s",
                task.log_fields(),
                number,
                failure,
            )
        else:
            LOG.info("work not begun, it is too late %s step=%d", task.log_fields(), number)
        return False

    def _record_start(self, task: Task) -> str | None:
        try:
            self._journal.start(task.work)
        except JournalError as failure:
            LOG.error("work refused %s reason=%s", task.log_fields(), failure)
            return str(failure)
        return None

    def _ended(self, task: Task, error: str | None) -> Ended:
        if error is None:
            LOG.info("work finished %s", task.log_fields())
        try:
            self._journal.finish(task.work, error)
        except JournalError as failure:
            LOG.error("end of work not recorded %s reason=%s", task.log_fields(), failure)
        return Ended(error)
