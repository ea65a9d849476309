"""What is told of the ends of jobs when there is much to tell: finding 7's storm."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyborg.agent.ends import ANSWERED_FOR, TELLERS, EndReporter
from cyborg.agent.job_reports import Ended
from cyborg.agent.threads import Threads
from cyborg.domain.errors import RemoteError, ServiceUnavailable
from cyborg.domain.model import JobKind
from cyborg.tests.unit.agent.helpers import HOST, PATIENCE, Conductor, job_uuid, make_work
from cyborg.tests.unit.agent.test_executor import Bench

RELEASE = JobKind.RELEASE

#: As many messages as a day away has left, at one each 30 seconds.
STORM = 2880


class Told(Conductor):
    """A conductor that takes its time: each call waits for a permit."""

    def __init__(self) -> None:
        super().__init__()
        self.permits = threading.Semaphore(0)
        self.calls = threading.Semaphore(0)
        self.at_once = 0
        self.most_at_once = 0
        self._count = threading.Lock()

    def _fail(self, errors: list[Exception]) -> None:
        with self._count:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.calls.release()
        assert self.permits.acquire(timeout=PATIENCE)
        with self._count:
            self.at_once -= 1
        super()._fail(errors)


class Reports:
    """A reporter whose clock stands, and whose conductor takes its time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self.conductor = Told()
        self.threads = Threads("test-ends")
        self.ends = EndReporter(
            HOST, self.conductor, self.slept.append, self.threads, lambda: self.now
        )

    def report(self, job: int = 1, generation: int = 1, error: str | None = None) -> None:
        self.ends.report(make_work(job, generation, RELEASE), Ended(error), None)

    def await_calls(self, count: int) -> None:
        for _ in range(count):
            assert self.conductor.calls.acquire(timeout=PATIENCE)

    def everything_told(self) -> list[tuple[str, int, str | None]]:
        self.conductor.permits.release(10_000)
        assert self.threads.wait_until_ended(PATIENCE)
        finished = self.conductor.finished
        return [finished.get_nowait() for _ in range(finished.qsize())]


@pytest.fixture
def reports() -> Iterator[Reports]:
    made = Reports()
    yield made
    made.everything_told()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "journal")
    yield made
    made.close()


def test_of_what_waits_the_newest_is_told(reports: Reports) -> None:
    reports.report(generation=1)
    reports.await_calls(1)
    for generation in (2, 5, 3, 4):
        reports.report(generation=generation)
    told = reports.everything_told()
    assert told == [(job_uuid(1), 1, None), (job_uuid(1), 5, None)]


def test_two_answers_about_one_job_are_a_pause_apart(reports: Reports) -> None:
    """While it lasts something newer may come."""
    reports.report(generation=1)
    reports.everything_told()
    reports.now += 0.25
    reports.report(generation=2)
    reports.report(job=2)
    assert (job_uuid(1), 2, None) in reports.everything_told()
    assert reports.slept == [0.75]


def test_who_was_waited_for_in_vain_is_asked_again_at_once(reports: Reports) -> None:
    """One of two conductors may be frozen, and half of all calls come to it."""
    reports.conductor.errors = [ServiceUnavailable("No answer in time.")] * 3
    reports.report()
    for _ in range(3):
        reports.await_calls(1)
        reports.now += 3
        reports.conductor.permits.release()
    assert reports.everything_told() == [(job_uuid(1), 1, None)]
    assert reports.slept == [0, 0, 1]


def test_the_same_is_not_answered_again_within_moments(reports: Reports) -> None:
    reports.report(generation=2)
    assert len(reports.everything_told()) == 1
    reports.report(generation=2)
    reports.report(generation=1)
    assert reports.everything_told() == []
    reports.now += ANSWERED_FOR + 1
    reports.report(generation=2)
    assert reports.everything_told() == [(job_uuid(1), 2, None)]


@pytest.mark.parametrize("failure", [ServiceUnavailable("down"), RemoteError("no", "x", 404)])
def test_what_was_not_taken_is_answered_again(reports: Reports, failure: Exception) -> None:
    reports.ends.abandon()
    reports.conductor.errors = [failure]
    reports.report()
    assert reports.everything_told() == []
    reports.report()
    assert reports.everything_told() == [(job_uuid(1), 1, None)]


def test_what_is_newer_is_told_at_the_next_try(reports: Reports) -> None:
    reports.conductor.errors = [ServiceUnavailable("down")]
    reports.report(generation=1)
    reports.await_calls(1)
    reports.report(generation=2, error="worse")
    assert reports.everything_told() == [(job_uuid(1), 2, "worse")]


def test_few_threads_tell_all(reports: Reports) -> None:
    """It was one thread each."""
    jobs = range(1, 101)
    for job in jobs:
        reports.report(job)
    reports.await_calls(TELLERS)
    assert reports.conductor.at_once == TELLERS
    told = reports.everything_told()
    assert sorted(job for job, _, _ in told) == sorted(job_uuid(job) for job in jobs)
    assert reports.conductor.most_at_once == TELLERS


def test_what_has_been_told_is_forgotten(reports: Reports) -> None:
    for job in range(1, 101):
        reports.report(job)
    reports.everything_told()
    reports.now += ANSWERED_FOR + 1
    reports.report(200)
    reports.everything_told()
    assert len(reports.ends._told) == 1


def test_a_storm_about_what_is_done_is_one_answer(bench: Bench) -> None:
    """The agent finished it and went away before it could say so."""
    bench.journal.finish(make_work(generation=1, kind=RELEASE), None)
    asleep, awake = threading.Event(), threading.Event()

    def sleep(_seconds: float) -> None:
        asleep.set()
        assert awake.wait(PATIENCE)

    executor = bench.make_executor(sleep=sleep)
    executor.submit(make_work(generation=1, kind=RELEASE))
    assert bench.conductor.next_finished() == (job_uuid(1), 1, None)
    for generation in range(2, STORM + 1):
        executor.submit(make_work(generation=generation, kind=RELEASE))
    awake.set()
    assert executor.drain(PATIENCE)
    assert bench.everything_told() == [(job_uuid(1), STORM, None)]
    assert bench.driver.calls == []


def test_a_storm_about_what_is_to_be_done_is_one_call_and_one_answer(bench: Bench) -> None:
    """Of the messages only the newest is still wanted, as the conductor says."""
    asked, go_on = threading.Event(), threading.Event()

    def answer(_uuid: str, generation: int, _step: int) -> bool:
        asked.set()
        assert go_on.wait(PATIENCE)
        return generation == STORM

    bench.conductor.answer = answer
    bench.submit(make_work(generation=1, kind=RELEASE))
    assert asked.wait(PATIENCE)
    for generation in range(2, STORM + 1):
        for _twice in range(2):
            bench.submit(make_work(generation=generation, kind=RELEASE))
    go_on.set()
    assert bench.everything_told() == [(job_uuid(1), STORM, None)]
    assert bench.driver.calls == [("release", "handle-1")]
    assert len(bench.conductor.asked) == 2
