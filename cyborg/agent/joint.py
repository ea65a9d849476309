"""Attempts at work that a driver does for several handles at once.

What else of a queue somebody has is asked of the conductor when the queue's turn has come: nothing
else is done in it meanwhile. What there is to do for other handles comes with the answer, so it
makes no difference whether its own message has come, or waits to be tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from oslo_log import log

from cyborg.agent.attempts import Attempts, NotAllowed
from cyborg.agent.job_reports import Ended, OwnerReports
from cyborg.agent.steps import Part
from cyborg.agent.task import Task
from cyborg.domain.errors import RemoteError, ServiceUnavailable
from cyborg.domain.work import Handle, OwnedHandle, Prepare, Release, Step, Work
from cyborg.drivers.contract import Driver, JointDriver, Wanted

LOG = log.getLogger(__name__)

Outcomes = dict[Task, Ended | NotAllowed]


def is_joint(work: Work, driver: Driver) -> bool:
    """Return whether a driver does a piece of work together with others of its kind."""
    return (
        isinstance(driver, JointDriver)
        and len(work.steps) == 1
        and isinstance(work.steps[0], Prepare | Release)
    )


class JointAttempts:
    """Makes attempts for all handles of one queue of which the same is wanted."""

    def __init__(
        self,
        host: str,
        drivers: Mapping[str, Driver],
        conductor: OwnerReports,
        attempts: Attempts,
        *,
        queue_of: Callable[[str, str], str],
        take: Callable[[str, Sequence[Work]], Sequence[Task]],
    ) -> None:
        """Make what makes attempts.

        :param queue_of: returns the queue of a device of a driver.
        :param take: returns the tasks of a queue that are for such work, and lets them wait no
            more; what has no task gets one.
        """
        self._host = host
        self._drivers = drivers
        self._conductor = conductor
        self._attempts = attempts
        self._queue_of = queue_of
        self._take = take

    def make(self, task: Task, outcomes: Outcomes) -> None:
        """Do the work of a task, and what goes with it.

        :param outcomes: gets how each ended; what is taken from the queue is in it at once, with
            the outcome that the task has there before.
        """
        newest = task.work.generation
        try:
            owned = self._company(task)
        except (ServiceUnavailable, RemoteError) as failure:
            LOG.warning("work not begun, what else is owned is not known: %s", failure)
            owned = []
        own = [each for each in owned if _is_of(each, task.work)]
        if not own:
            outcomes[task] = NotAllowed(newest)
            return
        wanted = [each.work for each in owned if each.work and _goes_with(each, own[0])]
        tasks = [task, *self._take(task.queue, wanted)]
        outcomes |= dict.fromkeys(tasks, outcomes[task])
        begun = []
        for each in tasks:
            outcome = self._attempts.begin(each)
            if outcome is None:
                begun.append(each)
            else:
                outcomes[each] = outcome
        if begun:
            outcomes |= self._act(begun, owned)

    def _company(self, task: Task) -> list[OwnedHandle]:
        work = task.work
        owned = self._conductor.company(self._host, work.job_uuid, work.generation)
        return [
            each for each in owned if self._queue_of(work.driver, each.handle.device) == task.queue
        ]

    def _act(self, tasks: Sequence[Task], owned: Sequence[OwnedHandle]) -> Outcomes:
        first, *others = tasks
        steps = [step for each in tasks for step in each.work.steps]
        jobs = {each.work.job_uuid for each in tasks}
        held = [
            each.handle for each in owned if each.work is None or each.work.job_uuid not in jobs
        ]
        for each in tasks:
            LOG.info(
                "work started %s together=%d held=%d", each.log_fields(), len(tasks), len(held)
            )
        failure = first.act_with(others, self._part(first.work.driver, steps, held))
        return {each: self._attempts.end(each, failure) for each in tasks}

    def _part(self, name: str, steps: Sequence[Step], held: Sequence[Handle]) -> Part:
        driver = self._drivers[name]
        assert isinstance(driver, JointDriver)
        wanted = [Wanted(step.handle, step.group) for step in steps if isinstance(step, Prepare)]
        if wanted:
            return Part(Prepare.name, lambda _progress: driver.prepare_together(wanted, held))
        handles = [step.handle for step in steps if isinstance(step, Release)]
        return Part(Release.name, lambda _progress: driver.release_together(handles, held))


def _is_of(owned: OwnedHandle, work: Work) -> bool:
    return owned.work is not None and owned.work.job_uuid == work.job_uuid


def _goes_with(other: OwnedHandle, own: OwnedHandle) -> bool:
    """Return whether both are to be prepared for one instance, or both to be released.

    What is released is nobody's any more: two instances that go at the same time, and have a part
    each, would else wait for each other.
    """
    assert own.work is not None
    if other.work is None or other.work.job_uuid == own.work.job_uuid:
        return False
    kind, *_ = {type(step) for step in own.work.steps}
    if [type(step) for step in other.work.steps] != [kind]:
        return False
    return kind is Release or other.instance_uuid == own.instance_uuid
