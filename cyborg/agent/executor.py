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

A programming fetches its bitstream before it waits for the card, which other work may have
meanwhile. When its turn has come it asks the conductor whether it still may: a message that was
kept in a queue while the agent was away must not program what was given to somebody since.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from oslo_context import context
from oslo_log import log

from cyborg.agent import driving
from cyborg.agent.journal import Entry, Journal, JournalError, Phase
from cyborg.domain.errors import CyborgError, RemoteError, ServiceUnavailable
from cyborg.domain.model import JobKind
from cyborg.drivers.base import Bitstream, Driver
from cyborg.rpc.agent import Work

LOG = log.getLogger(__name__)

#: Seconds between attempts to tell the conductor how a job ended; it asks again anyway.
REPORT_DELAYS = (1, 2, 4, 8, 15, 15, 15)

_BUG = "The agent failed; its log says why."


class Jobs(Protocol):
    """The part of :class:`cyborg.rpc.conductor.ConductorClient` that work needs."""

    def finish_job(self, uuid: str, generation: int, error: str | None) -> None:
        """Report how a job ended."""

    def begin_programming(self, uuid: str) -> bool:
        """Say that a job is about to touch its hardware; return whether it still may."""


class Source(Protocol):
    """The part of :class:`cyborg.agent.bitstreams.Bitstreams` that work needs."""

    def fetch(self, image_uuid: str, project_id: str | None) -> Bitstream:
        """Return a bitstream as a file, which stays until it is released."""

    def release(self, bitstream: Bitstream) -> None:
        """Let the file go."""


@dataclass(slots=True, eq=False)
class _Task:
    """A piece of work that waits or runs. Changed under the executor's lock only."""

    #: Its generation rises when the conductor asks again.
    work: Work
    #: Of the message that brought it: its request id is in the log lines of its thread.
    context: context.RequestContext | None
    #: Of a programming that has been fetched.
    bitstream: Bitstream | None = None


class Executor:
    """Runs work in threads of its own. Every method may be called by any thread."""

    def __init__(
        self,
        drivers: Mapping[str, Driver],
        journal: Journal,
        conductor: Jobs,
        sleep: Callable[[float], object],
        *,
        bitstreams: Source,
        programmed: Callable[[], None],
    ) -> None:
        """Make an executor that has nothing to do and no thread.

        :param sleep: waits between two attempts at a report; may return early.
        :param programmed: called when a device has been programmed: its report has changed.
        """
        self._drivers = drivers
        self._journal = journal
        self._conductor = conductor
        self._sleep = sleep
        self._bitstreams = bitstreams
        self._programmed = programmed
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
                    self._forget(task)
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
        if work.kind is JobKind.PROGRAM:
            self._spawn(self._fetch, task)
        else:
            self._queue(task)
        self._tasks[work.job_uuid, work.kind] = task

    def _queue(self, task: _Task) -> None:
        device = task.work.device
        queue = self._waiting.get(device)
        if queue is None:
            queue = deque()
            self._spawn(self._serve, device, queue)
            self._waiting[device] = queue
        queue.append(task)

    def _fetch(self, task: _Task) -> None:
        """Get a programming's bitstream, and let it wait for its card."""
        if task.context is not None:
            task.context.update_store()
        error: str | None = _BUG
        try:
            error = self._fetch_for(task)
        finally:
            self._fetched(task, error)

    def _fetched(self, task: _Task, error: str | None) -> None:
        with self._changed:
            if error is None and not self._draining:
                try:
                    self._queue(task)
                except RuntimeError:  # no thread to be had: asked again, it is done then
                    self._forget(task)
                    raise
                return
            self._forget(task)
            if not self._draining:
                self._spawn(self._report, task.work, error, task.context)

    def _fetch_for(self, task: _Task) -> str | None:
        """Return why there is no bitstream, None if there is."""
        work = task.work
        if work.image_uuid is None:
            return "The work names no image."
        if work.driver not in self._drivers:
            return f"The driver {work.driver} is not enabled on this host."
        try:
            task.bitstream = self._bitstreams.fetch(work.image_uuid, work.project_id)
        except CyborgError as failure:
            LOG.warning("no bitstream %s reason=%s", driving.described(work), failure)
            return str(failure)
        return None

    def _forget(self, task: _Task) -> None:
        del self._tasks[task.work.job_uuid, task.work.kind]
        if task.bitstream is not None:
            self._bitstreams.release(task.bitstream)

    def _supersede(self, release: Work) -> None:
        prepare = self._tasks.get((release.job_uuid, JobKind.PREPARE))
        queue = self._waiting.get(release.device, ())
        if prepare is not None and prepare in queue:
            self._waiting[release.device].remove(prepare)
            self._forget(prepare)
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
        error: str | None = _BUG
        if task.context is not None:
            task.context.update_store()
        try:
            error = self._do(work, task.bitstream)
        finally:
            with self._changed:
                self._forget(task)
                # What has become a release is not waited for as a prepare.
                if (work.job_uuid, JobKind.RELEASE) not in self._tasks:
                    self._spawn(self._report, task.work, error, task.context)

    def _do(self, work: Work, bitstream: Bitstream | None) -> str | None:
        """Do it between two entries of the journal; return None, or why it failed."""
        driver = self._drivers.get(work.driver)
        if driver is None:
            return f"The driver {work.driver} is not enabled on this host."
        if bitstream is not None and (refusal := driving.check(driver, work, bitstream)):
            return refusal
        try:
            self._journal.start(work)
        except JournalError as failure:
            LOG.error("work refused job=%s reason=%s", work.job_uuid, failure)
            return str(failure)
        LOG.info("work started %s", driving.described(work))
        if bitstream is None:
            error = driving.prepare_or_release(driver, work)
        else:
            error = self._program(driver, work, bitstream)
        if error is None:
            LOG.info("work finished %s", driving.described(work))
        try:
            self._journal.finish(work, error)
        except JournalError as failure:
            LOG.error("end of work not recorded job=%s reason=%s", work.job_uuid, failure)
        return error

    def _program(self, driver: Driver, work: Work, bitstream: Bitstream) -> str | None:
        try:
            may_begin = self._conductor.begin_programming(work.job_uuid)
        except (ServiceUnavailable, RemoteError) as failure:
            return f"The conductor could not be asked whether to program: {failure}"
        if not may_begin:
            return "It was too late to program."
        error = driving.program(driver, work, bitstream)
        if error is None:
            self._programmed()
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
