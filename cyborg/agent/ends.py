"""Tells the conductor how jobs ended: each end once, the newest of a job, by few threads.

An agent that was away finds many messages about one job in its queue. Of their answers only the
one to the newest has an effect, so whatever of a job is still to be told gives way to what is
newer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from oslo_context import context
from oslo_log import log

from cyborg.agent.job_reports import Ended, JobReports, reason
from cyborg.agent.threads import Threads
from cyborg.domain.errors import RemoteError, ServiceUnavailable
from cyborg.domain.work import Work

LOG = log.getLogger(__name__)

#: Seconds between the begins of two attempts to tell the conductor how a job ended, unless one
#: takes longer; it asks again anyway.
REPORT_DELAYS = (1, 2, 4, *(5,) * 11)

#: How many ends are told at the same time.
TELLERS = 8

#: Seconds between two answers about one job: what comes meanwhile may be newer still.
PAUSE = 1.0

#: Seconds for which the same question is not answered again.
ANSWERED_FOR = 10.0


@dataclass(frozen=True, slots=True)
class _End:
    work: Work
    ended: Ended
    #: Whose request's id the message carries.
    origin: context.RequestContext | None


@dataclass(frozen=True, slots=True)
class _Told:
    generation: int
    at: float


class EndReporter:
    """Tells ends in threads of its own. Safe for several threads."""

    def __init__(
        self,
        host: str,
        conductor: JobReports,
        sleep: Callable[[float], object],
        threads: Threads,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a reporter that has nothing to tell.

        :param sleep: waits between two attempts; may return early.
        :param threads: where its threads are started.
        """
        self._host = host
        self._conductor = conductor
        self._sleep = sleep
        self._threads = threads
        self._clock = clock
        self._abandoned = False
        # Guards all below.
        self._lock = threading.Lock()
        #: What is to be told, by job.
        self._waiting: dict[str, _End] = {}
        #: Jobs about which a thread is telling.
        self._in_hand: set[str] = set()
        self._tellers = 0
        self._told: dict[str, _Told] = {}

    def abandon(self) -> None:
        """Give up each report whose next attempt fails."""
        self._abandoned = True

    def report(self, work: Work, ended: Ended, origin: context.RequestContext | None) -> None:
        """Let be told how a job ended, for about a minute; returns at once.

        Nothing is told of an attempt of which that was done moments ago.

        :param origin: whose request's id the message carries.
        """
        with self._lock:
            told = self._told_lately(work.job_uuid)
            waiting = self._waiting.get(work.job_uuid)
            if told is not None and told.generation >= work.generation:
                LOG.info("answered already job=%s generation=%d", work.job_uuid, work.generation)
                return
            if waiting is None or waiting.work.generation <= work.generation:
                self._waiting[work.job_uuid] = _End(work, ended, origin)
            if self._tellers < TELLERS:
                self._threads.start(self._serve)
                self._tellers += 1

    def _serve(self) -> None:
        """Tell what is to be told, until nothing is left that no other thread has in hand."""
        while True:
            with self._lock:
                job = next((each for each in self._waiting if each not in self._in_hand), None)
                if job is None:
                    self._tellers -= 1
                    return
                self._in_hand.add(job)
                told = self._told_lately(job)
            try:
                if told is not None:
                    self._sleep(max(0.0, told.at + PAUSE - self._clock()))
                self._tell(job)
            except Exception:  # a thread's outermost loop: other ends are still to be told
                LOG.exception("end of job not told job=%s", job)
            finally:
                with self._lock:
                    self._in_hand.discard(job)

    def _tell(self, job: str) -> None:
        """Tell the newest end of a job, whichever that is at each attempt."""
        with self._lock:
            end = self._waiting.pop(job)
        for delay in (*REPORT_DELAYS, None):
            began = self._clock()
            try:
                self._say(end)
            except ServiceUnavailable as failure:
                if delay is None or self._abandoned:
                    LOG.warning("end of job not told job=%s reason=%s", job, failure)
                    return
                self._sleep(max(0.0, began + delay - self._clock()))
            except RemoteError as failure:
                LOG.warning("end of job refused job=%s reason=%s", job, failure)
                return
            else:
                with self._lock:
                    self._told.pop(job, None)
                    self._told[job] = _Told(end.work.generation, self._clock())
                return
            with self._lock:
                end = self._waiting.pop(job, end)

    def _say(self, end: _End) -> None:
        if end.origin is not None:
            end.origin.update_store()
        work, ended = end.work, end.ended
        self._conductor.finish_job(
            self._host,
            work.job_uuid,
            work.generation,
            # Also of what an earlier release has journaled.
            None if ended.error is None else reason(ended.error),
            away=ended.away,
            not_begun=ended.not_begun,
        )

    def _told_lately(self, job: str) -> _Told | None:
        oldest = self._clock() - ANSWERED_FOR
        # In the order in which they were told.
        for known in [*self._told]:
            if self._told[known].at >= oldest:
                break
            del self._told[known]
        told = self._told.get(job)
        return told if told is not None and told.at >= oldest else None
