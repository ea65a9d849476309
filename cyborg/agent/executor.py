"""Does the work that the conductor sends: one piece at a time on a card, cards in parallel.

The conductor sends a job again, with a higher generation, whenever it has not heard of its
end in time, and messages may be lost, late or doubled. So each piece of work is known by
its job and kind, and asked for again it is

* *older than what is known of the job*: dropped, nobody waits for it;
* *waiting or running*: not begun twice, only its end is told under the newest generation;
* *finished well*: answered from the journal;
* *failed*: answered from the journal if it is the same attempt, else done again;
* *begun before a restart or finished before a reboot*: done again.

A job may turn from prepare into release, never back. Its release takes the place of a
prepare that is waiting, and comes after one that is running.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from oslo_context import context
from oslo_log import log

from cyborg.agent.journal import Entry, Journal, JournalError, Phase
from cyborg.domain.errors import RemoteError, ServiceUnavailable
from cyborg.domain.model import JobKind
from cyborg.drivers.base import Driver, DriverError, Handle
from cyborg.rpc.agent import Work

LOG = log.getLogger(__name__)

#: Seconds between attempts to tell the conductor how a job ended; it asks again anyway.
REPORT_DELAYS = (1, 2, 4, 8, 15, 15, 15)


class Jobs(Protocol):
    """The part of :class:`cyborg.rpc.conductor.ConductorClient` that work needs."""

    def finish_job(self, uuid: str, generation: int, error: str | None) -> None:
        """Report how a job ended."""


@dataclass(slots=True, eq=False)
class _Task:
    """A piece of work that waits or runs. Changed under the executor's lock only."""

    #: Its generation rises when the conductor asks again.
    work: Work
    #: Of the message that brought it: its request id is in the log lines of its thread.
    context: context.RequestContext | None


class Executor:
    """Runs work in threads of its own. Every method may be called by any thread."""

    def __init__(
        self,
        drivers: Mapping[str, Driver],
        journal: Journal,
        conductor: Jobs,
        sleep: Callable[[float], object],
    ) -> None:
        """Make an executor that has nothing to do and no thread.

        :param sleep: waits between two attempts at a report; may return early.
        """
        self._drivers = drivers
        self._journal = journal
        self._conductor = conductor
        self._sleep = sleep
        # Guards all below; notified when a thread ends.
        self._changed = threading.Condition()
        self._tasks: dict[tuple[str, JobKind], _Task] = {}
        self._waiting: dict[str, deque[_Task]] = {}
        self._threads = 0
        self._draining = False
        self._abandoned = False

    def submit(self, work: Work) -> None:
        """Take a piece of work, or answer what is known; never waits for hardware or network.

        :raises ValueError: the job's uuid is none.
        """
        with self._changed:
            if self._draining:
                LOG.info("work not taken, the agent stops job=%s", work.job_uuid)
                return
            entry = self._journal.get(work.job_uuid)
            if self._is_stale(work, entry):
                LOG.info("stale work dropped job=%s generation=%d", work.job_uuid, work.generation)
            elif (task := self._tasks.get((work.job_uuid, work.kind))) is not None:
                task.work = replace(task.work, generation=work.generation)
            elif entry is not None and self._answers(entry, work):
                self._spawn(self._report, work, entry.error, context.get_current())
            else:
                self._enqueue(work)

    def drain(self, timeout: float) -> bool:
        """Take no more work, forget what waits, and let what runs finish and be reported.

        What is forgotten or cut off is asked for again by the conductor.

        :return: whether everything had ended after ``timeout`` seconds.
        """
        with self._changed:
            self._draining = True
            for queue in self._waiting.values():
                for task in queue:
                    del self._tasks[task.work.job_uuid, task.work.kind]
                queue.clear()
            ended = self._changed.wait_for(lambda: not self._threads, timeout)
            self._abandoned = True
        return ended

    def _is_stale(self, work: Work, entry: Entry | None) -> bool:
        known = [task.work for kind in JobKind if (task := self._tasks.get((work.job_uuid, kind)))]
        if entry is not None:
            known.append(entry.work)
        return any(
            other.generation > work.generation
            or (other.kind is JobKind.RELEASE and work.kind is JobKind.PREPARE)
            for other in known
        )

    def _answers(self, entry: Entry, work: Work) -> bool:
        """Return whether what is recorded is the answer to this work."""
        return (
            entry.phase is Phase.FINISHED
            and entry.work.kind is work.kind
            and self._journal.is_of_this_boot(entry)
            and (entry.error is None or entry.work.generation == work.generation)
        )

    def _enqueue(self, work: Work) -> None:
        if work.kind is JobKind.RELEASE:
            self._supersede(work)
        task = _Task(work, context.get_current())
        queue = self._waiting.get(work.device)
        if queue is None:
            queue = deque()
            self._spawn(self._serve, work.device, queue)
            self._waiting[work.device] = queue
        queue.append(task)
        self._tasks[work.job_uuid, work.kind] = task

    def _supersede(self, release: Work) -> None:
        prepare = self._tasks.get((release.job_uuid, JobKind.PREPARE))
        queue = self._waiting.get(release.device, ())
        if prepare is not None and prepare in queue:
            self._waiting[release.device].remove(prepare)
            del self._tasks[release.job_uuid, JobKind.PREPARE]
            LOG.info("waiting prepare superseded by release job=%s", release.job_uuid)

    def _serve(self, device: str, queue: deque[_Task]) -> None:
        """Work on a card until nothing waits for it."""
        while True:
            with self._changed:
                if not queue:
                    # In one step with the look, so that nobody adds to a queue without thread.
                    del self._waiting[device]
                    return
                task = queue.popleft()
            try:
                self._run(task)
            except Exception:  # the card's other work goes on
                LOG.exception("agent has a bug job=%s", task.work.job_uuid)

    def _run(self, task: _Task) -> None:
        work = task.work
        error: str | None = "The agent failed; its log says why."
        if task.context is not None:
            task.context.update_store()
        try:
            error = self._do(work)
        finally:
            with self._changed:
                del self._tasks[work.job_uuid, work.kind]
                # What has become a release is not waited for as a prepare.
                if (work.job_uuid, JobKind.RELEASE) not in self._tasks:
                    self._spawn(self._report, task.work, error, task.context)

    def _do(self, work: Work) -> str | None:
        """Do it between two entries of the journal; return None, or why it failed."""
        driver = self._drivers.get(work.driver)
        if driver is None:
            return f"The driver {work.driver} is not enabled on this host."
        try:
            self._journal.start(work)
        except JournalError as failure:
            LOG.error("work refused job=%s reason=%s", work.job_uuid, failure)
            return str(failure)
        LOG.info("work started %s", _described(work))
        error = _drive(driver, work)
        if error is None:
            LOG.info("work finished %s", _described(work))
        try:
            self._journal.finish(work, error)
        except JournalError as failure:
            LOG.error("end of work not recorded job=%s reason=%s", work.job_uuid, failure)
        return error

    def _report(self, work: Work, error: str | None, origin: context.RequestContext | None) -> None:
        """Tell the conductor how a job ended, for about a minute."""
        if origin is not None:
            origin.update_store()
        for delay in (*REPORT_DELAYS, None):
            try:
                self._conductor.finish_job(work.job_uuid, work.generation, error)
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

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        """Start a thread that :meth:`drain` waits for. The lock is held."""
        thread = threading.Thread(
            target=self._thread, args=(target, *arguments), name="executor", daemon=True
        )
        thread.start()
        self._threads += 1

    def _thread(self, target: Callable[..., None], *arguments: object) -> None:
        try:
            target(*arguments)
        except Exception:  # nobody above would say it in the log
            LOG.exception("thread of the executor failed")
        finally:
            with self._changed:
                self._threads -= 1
                self._changed.notify_all()


def _drive(driver: Driver, work: Work) -> str | None:
    handle = Handle(
        uuid=work.handle_uuid,
        device=work.device,
        deployable=work.deployable,
        type=work.handle_type,
        info=work.handle_info,
    )
    try:
        if work.kind is JobKind.PREPARE:
            driver.prepare(handle, work.group)
        else:
            driver.release(handle)
    except DriverError as error:
        LOG.warning("work failed %s reason=%s", _described(work), error)
        return str(error)
    except Exception as error:  # a driver may raise anything
        LOG.exception("driver has a bug %s", _described(work))
        return f"The driver {work.driver} failed: {type(error).__name__}: {error}"[:1000]
    return None


def _described(work: Work) -> str:
    return (
        f"job={work.job_uuid} generation={work.generation} kind={work.kind} "
        f"device={work.device} handle={work.handle_uuid}"
    )
