"""Does the work that the conductor sends: one piece at a time on a card, cards in parallel.

What a message means (:mod:`cyborg.agent.decide`) depends on what is known of its job. Work is

* *older than what is known*, or has other steps at the same generation: dropped;
* *waiting or running*: not begun twice, only its end is told under the newest generation;
* *finished well in this boot*: answered from the journal, each attempt once;
* *failed*: answered from the journal if it is the same attempt, else done again;
* *begun before a restart or finished before a reboot*: done again.

A job that was turned round, from a preparation into a release, has other steps at a higher
generation. They take the place of what is waiting, and come after what is running.

What a step needs is fetched before the work waits for its card (:mod:`cyborg.agent.steps`),
which other work may have meanwhile. Before each call of a driver the conductor is asked whether
this attempt still may (:mod:`cyborg.agent.attempts`), and none is waited for without end
(:mod:`cyborg.agent.calls`). That is why it is safe to do again what
the journal does not know, whatever was lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from oslo_context import context
from oslo_log import log

from cyborg.agent.attempts import Attempts, NotAllowed
from cyborg.agent.calls import Calls
from cyborg.agent.card_queues import CardQueues
from cyborg.agent.decide import Answer, Begin, Drop, Join, decide
from cyborg.agent.ends import EndReporter
from cyborg.agent.job_reports import Ended, JobReports, OwnerReports
from cyborg.agent.joint import JointAttempts, Outcomes, is_joint
from cyborg.agent.journal import Journal
from cyborg.agent.steps import BitstreamSource, CannotPerform, performers_of
from cyborg.agent.task import Task
from cyborg.agent.threads import Threads
from cyborg.domain.hardware import same_identity
from cyborg.domain.work import Work, WorkProgress
from cyborg.drivers.contract import Driver

LOG = log.getLogger(__name__)

_BUG = Ended("The agent failed; its log says why.")


class Conductor(JobReports, OwnerReports, Protocol):
    """The part of :class:`cyborg.rpc.agents_door.AgentsDoorClient` that work needs."""


class Executor:
    """Runs work in threads of its own. Every method may be called by any thread."""

    def __init__(
        self,
        host: str,
        drivers: Mapping[str, Driver],
        journal: Journal,
        conductor: Conductor,
        sleep: Callable[[float], object],
        *,
        bitstreams: BitstreamSource,
        calls: Calls,
        report_changed: Callable[[], None],
    ) -> None:
        """Make an executor that has nothing to do and no thread.

        :param host: whose devices these are, in every message to the conductor.
        :param sleep: waits between two attempts at a report; may return early.
        :param calls: how drivers are called.
        :param report_changed: called when a step has changed what the host's scan finds.
        """
        self._drivers = drivers
        self._journal = journal
        self._bitstreams = bitstreams
        self._calls = calls
        self._attempts = Attempts(host, journal, conductor, report_changed, sleep)
        self._joint = JointAttempts(
            host,
            drivers,
            conductor,
            self._attempts,
            queue_of=self._queue_of,
            take=self._take,
        )
        self._threads = Threads("executor")
        self._ends = EndReporter(host, conductor, sleep, self._threads)
        self._queues = CardQueues[Task](self._run, self._threads)
        # Guards all below, and the tasks.
        self._lock = threading.Lock()
        #: What is made ready, waits or runs, by job.
        self._tasks: dict[str, list[Task]] = {}
        self._draining = False

    def submit(self, work: Work) -> None:
        """Take a piece of work, or answer what is known; never waits for hardware or network.

        :raises ValueError: if the job's uuid is none.
        """
        with self._lock:
            if self._draining:
                LOG.info("work not taken, the agent stops job=%s", work.job_uuid)
                return
            tasks = self._tasks.get(work.job_uuid, [])
            entry = self._journal.get(work.job_uuid)
            known = [task.work for task in tasks]
            match decide(work, known, entry, self._journal.boot_id):
                case Drop():
                    LOG.info(
                        "stale work dropped job=%s generation=%d", work.job_uuid, work.generation
                    )
                case Join(joined):
                    task = tasks[known.index(joined)]
                    task.work = replace(task.work, generation=work.generation)
                case Answer(error, away):
                    self._ends.report(work, Ended(error, away), context.get_current())
                case Begin(superseding):
                    self._supersede([task for task in tasks if task.work in superseding])
                    self._begin(work)

    def is_at_work_on(self, job_uuid: str) -> bool:
        """Return whether work of a job is made ready, waits or runs."""
        with self._lock:
            return job_uuid in self._tasks

    def under_way(self) -> list[WorkProgress]:
        """Return what drivers are at now."""
        with self._lock:
            found = [task.progress() for tasks in self._tasks.values() for task in tasks]
        return [each for each in found if each is not None]

    def drain(self, timeout: float) -> bool:
        """Take no more work, forget what waits, and let what runs finish and be reported.

        What is forgotten or cut off is asked for again by the conductor.

        :return: whether everything had ended after ``timeout`` seconds.
        """
        with self._lock:
            self._draining = True
            for task in self._queues.clear():
                self._forget(task)
        ended = self.wait_until_idle(timeout)
        self._ends.abandon()
        return ended

    def wait_until_idle(self, timeout: float) -> bool:
        """Wait until nothing waits, runs or is to be told; return False if that takes longer."""
        return self._threads.wait_until_ended(timeout)

    def _begin(self, work: Work) -> None:
        origin = context.get_current()
        try:
            performers = performers_of(work, self._drivers, self._bitstreams)
        except CannotPerform as failure:
            LOG.warning("work refused job=%s reason=%s", work.job_uuid, failure)
            self._ends.report(work, Ended(str(failure), not_begun=True), origin)
            return
        queue = self._queue_of(work.driver, work.device)
        task = Task(work, performers, origin, self._calls, queue)
        if task.is_slow_to_make_ready:
            self._threads.start(self._make_ready, task)
        else:
            self._queues.add(task.queue, task)
        self._tasks.setdefault(work.job_uuid, []).append(task)

    def _queue_of(self, driver: str, device: str) -> str:
        try:
            return same_identity(self._drivers[driver].queue_of(device))
        except Exception:  # a driver may raise anything
            LOG.exception("driver has a bug driver=%s device=%s", driver, device)
            return same_identity(device)

    def _take(self, queue: str, works: Sequence[Work]) -> list[Task]:
        """Return the tasks of a queue that are for such work, which wait no more.

        What has none, since its message has not come or it waits to be tried again, gets one.
        """
        for work in works:
            self.submit(work)
        with self._lock:
            return [
                task
                for work in works
                for task in self._tasks.get(work.job_uuid, ())
                if task.work.steps == work.steps and self._queues.remove(queue, task)
            ]

    def _supersede(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            task.superseded = True
            if self._queues.remove(task.queue, task):
                self._forget(task)
                LOG.info("waiting work superseded %s", task.log_fields())

    def _make_ready(self, task: Task) -> None:
        """Get what a task needs, and let it wait for its card."""
        task.work_for_its_request()
        ended: Ended | None = _BUG
        try:
            ended = task.make_ready()
        finally:
            with self._lock:
                if self._is_unwanted(task):
                    self._forget(task)
                elif ended is not None:
                    self._close(task, ended)
                else:
                    self._queue(task)

    def _queue(self, task: Task) -> None:
        try:
            self._queues.add(task.queue, task)
        except RuntimeError:  # no thread to be had: asked again, it is done then
            self._forget(task)
            raise

    def _run(self, task: Task) -> None:
        """Do a task whose turn has come, and what goes with it."""
        task.work_for_its_request()
        outcomes: Outcomes = {task: _BUG}
        try:
            if is_joint(task.work, self._drivers[task.work.driver]):
                self._joint.make(task, outcomes)
            else:
                outcomes[task] = self._attempts.make(task)
        finally:
            with self._lock:
                for each, outcome in outcomes.items():
                    self._conclude(each, outcome)

    def _conclude(self, task: Task, outcome: Ended | NotAllowed) -> None:
        if isinstance(outcome, Ended):
            self._close(task, outcome)
        elif task.work.generation == outcome.generation or self._is_unwanted(task):
            # Nobody is told: the conductor knows, or sends the job again.
            self._forget(task)
        else:
            # A newer attempt has joined since: the no was not meant for it.
            self._queue(task)

    def _is_unwanted(self, task: Task) -> bool:
        """Return whether a task shall not wait for its card any more."""
        return task.superseded or self._draining

    def _close(self, task: Task, ended: Ended) -> None:
        self._forget(task)
        if not task.superseded:
            self._ends.report(task.work, ended, task.context)

    def _forget(self, task: Task) -> None:
        tasks = self._tasks[task.work.job_uuid]
        tasks.remove(task)
        if not tasks:
            del self._tasks[task.work.job_uuid]
        task.let_go()
