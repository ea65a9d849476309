"""One attempt at a piece of work, when its card's turn has come.

A message may have lain in a queue while the agent was away, or come twice or out of order, and
its job may be over: what it names may be somebody else's by now. So the conductor is asked
immediately before each call of a driver, and the journal is written before that, so that
nothing lies between the conductor's yes and the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from oslo_log import log

from cyborg.agent.job_reports import Ended, JobReports
from cyborg.agent.journal import Journal, JournalError
from cyborg.agent.steps import Part
from cyborg.agent.task import Task
from cyborg.domain.errors import RemoteError, ServiceUnavailable
from cyborg.domain.work import Work

LOG = log.getLogger(__name__)

#: Seconds after which a question is asked again that nobody has answered.
PAUSES = (0.5, 2.0)


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """The conductor did not let an attempt begin or go on, or could not be asked."""

    #: Of the attempt that was asked for.
    generation: int


class _Done:
    """Which parts of an attempt's steps are done."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)

    def left(self, number: int, parts: Sequence[Part]) -> Sequence[Part]:
        """Return the parts of a step from the first that is not done."""
        for position, part in enumerate(parts):
            if self._name(number, part) not in self.names:
                return parts[position:]
        # Nobody has heard that all is done. The last one looks again.
        return parts[-1:]

    def add(self, number: int, part: Part) -> None:
        """Note that a part is done."""
        self.names.append(self._name(number, part))

    @staticmethod
    def _name(number: int, part: Part) -> str:
        return f"{number}/{part.name}"


_NOTHING = _Done(())


class Attempts:
    """Makes attempts; two of one card's are never under way at once."""

    def __init__(
        self,
        host: str,
        journal: Journal,
        conductor: JobReports,
        report_changed: Callable[[], None],
        sleep: Callable[[float], object],
    ) -> None:
        """Make what makes attempts.

        :param report_changed: called when a step has changed what the host's scan finds.
        :param sleep: waits between two questions; may return early.
        """
        self._host = host
        self._journal = journal
        self._conductor = conductor
        self._report_changed = report_changed
        self._sleep = sleep

    def make(self, task: Task) -> Ended | NotAllowed:
        """Do the steps in their order, up to the first that fails or may not be done.

        What earlier attempts have done of a step is not done again.
        """
        done = _Done(self._journal.done(task.work))
        for number, performer in enumerate(task.performers):
            ended = self._make_step(task, number, done)
            if ended is not None:
                return ended
            if performer.changes_report:
                self._report_changed()
        return self._ended(task, Ended(None), done)

    def begin(self, task: Task) -> Ended | NotAllowed | None:
        """Record and ask for the only step of a task; return None if it may be done now."""
        failure = task.check(0) or self._record_start(task, _NOTHING)
        if failure is not None:
            return failure
        newest = task.work
        if self._may_act(task, newest, 0):
            return None
        self._journal.forget(newest.job_uuid)
        return NotAllowed(newest.generation)

    def end(self, task: Task, failure: Ended | None) -> Ended:
        """Record how a step ended that was begun."""
        if failure is not None and failure.not_begun:
            self._journal.forget(task.work.job_uuid)
            return failure
        return self._ended(task, failure or Ended(None), _NOTHING)

    def _make_step(self, task: Task, number: int, done: _Done) -> Ended | NotAllowed | None:
        """Do a step; return how the attempt ends with it, or None if it goes on."""
        failure = task.check(number)
        parts = task.parts(number) if failure is None else failure
        if isinstance(parts, Ended):
            return self._ended(task, parts, done) if number else parts
        left = done.left(number, parts)
        for part in left:
            # Nothing is known of what was never begun.
            is_first = number == 0 and not done.names
            failure = self._record_start(task, done) if number == 0 or part is not left[0] else None
            if failure is not None:
                return failure if is_first else self._ended(task, failure, done)
            newest = task.work
            if not self._may_act(task, newest, number):
                if is_first:
                    self._journal.forget(newest.job_uuid)
                return NotAllowed(newest.generation)
            LOG.info("work started %s step=%d part=%s", task.log_fields(), number, part.name)
            failure = task.act(number, part)
            if failure is not None and failure.not_begun and is_first:
                self._journal.forget(newest.job_uuid)
                return failure
            if failure is not None:
                return self._ended(task, failure, done)
            done.add(number, part)
        return None

    def _may_act(self, task: Task, work: Work, number: int) -> bool:
        try:
            if self._ask(work, number):
                return True
        except (ServiceUnavailable, RemoteError) as failure:
            LOG.warning(
                "work not begun, the conductor cannot be asked %s step=%d reason=%s",
                task.log_fields(),
                number,
                failure,
            )
        else:
            LOG.info("work not begun, the conductor says no %s step=%d", task.log_fields(), number)
        return False

    def _ask(self, work: Work, number: int) -> bool:
        """Ask whether an attempt may act; once more if nobody answers, who may have just died.

        The same question again is the same, and its card waits no longer than for one answer.
        """
        begin = partial(
            self._conductor.begin_work,
            self._host,
            work.job_uuid,
            work.generation,
            number,
            agent={"boot_id": self._journal.boot_id},
        )
        for pause in PAUSES:
            try:
                return begin()
            except ServiceUnavailable:
                self._sleep(pause)
        return begin()

    def _record_start(self, task: Task, done: _Done) -> Ended | None:
        try:
            self._journal.start(task.work, done.names)
        except JournalError as failure:
            LOG.error("work refused %s reason=%s", task.log_fields(), failure)
            return Ended(str(failure), not_begun=True)
        return None

    def _ended(self, task: Task, ended: Ended, done: _Done) -> Ended:
        if ended.error is None:
            LOG.info("work finished %s", task.log_fields())
        try:
            self._journal.finish(task.work, ended.error, ended.away, done.names)
        except JournalError as failure:
            LOG.error("end of work not recorded %s reason=%s", task.log_fields(), failure)
        return ended
