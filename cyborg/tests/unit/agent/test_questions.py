"""The conductor is asked immediately before each call of a driver, whatever the work is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cyborg.agent.journal import Phase
from cyborg.domain.errors import CyborgError, RemoteError, ServiceUnavailable
from cyborg.domain.model import JobKind
from cyborg.domain.work import Work
from cyborg.drivers.contract import DriverError
from cyborg.tests.unit.agent.helpers import (
    PATIENCE,
    job_uuid,
    make_programming,
    make_work,
    prepare,
    program,
    release,
    work_of,
)
from cyborg.tests.unit.agent.test_executor import Bench

PREPARE, RELEASE = JobKind.PREPARE, JobKind.RELEASE
SEVERAL = work_of(release(1), program(), prepare(2))
EVERY = [
    pytest.param(make_work(), id="prepare"),
    pytest.param(make_work(kind=RELEASE), id="release"),
    pytest.param(make_programming(), id="program"),
    pytest.param(SEVERAL, id="several"),
]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "journal")
    yield made
    made.close()
    assert made.images.out == []


def acts(bench: Bench) -> list[tuple[str, str]]:
    """Return the calls that touched hardware."""
    return [call for call in bench.driver.calls if call[0] != "check"]


def phase(bench: Bench) -> Phase | None:
    entry = bench.journal.get(job_uuid(1))
    return None if entry is None else entry.phase


@pytest.mark.parametrize("work", EVERY)
def test_each_step_is_asked_for_when_it_is_recorded_and_not_yet_done(
    bench: Bench, work: Work
) -> None:
    seen = []

    def note(_uuid: str, _generation: int, step: int) -> bool:
        seen.append((step, phase(bench), len(acts(bench))))
        return True

    bench.conductor.answer = note
    bench.submit(work)
    assert bench.conductor.next_finished() == (job_uuid(1), 1, None)
    steps = range(len(work.steps))
    assert seen == [(step, Phase.STARTED, step) for step in steps]
    assert bench.conductor.asked == [(job_uuid(1), 1, step) for step in steps]
    assert len(acts(bench)) == len(work.steps)


def test_it_says_which_boot_asks(bench: Bench) -> None:
    bench.submit(make_work())
    bench.conductor.next_finished()
    assert bench.conductor.agents == [{"boot_id": bench.journal.boot_id}]


@pytest.mark.parametrize("work", EVERY)
def test_after_a_no_nothing_is_touched_told_or_kept(
    bench: Bench, caplog: pytest.LogCaptureFixture, work: Work
) -> None:
    caplog.set_level(logging.INFO)
    bench.conductor.answer = lambda *_question: False
    bench.submit(work)
    assert bench.everything_told() == []
    assert acts(bench) == []
    assert phase(bench) is None
    (line,) = [each for each in caplog.records if "the conductor says no" in each.message]
    assert line.levelno == logging.INFO


@pytest.mark.parametrize("work", EVERY)
@pytest.mark.parametrize(
    "failures", [[ServiceUnavailable("no queue")] * 3, [RemoteError("refused", "cyborg.x", 400)]]
)
def test_when_nobody_can_be_asked_the_attempt_is_not_begun(
    bench: Bench, caplog: pytest.LogCaptureFixture, work: Work, failures: list[CyborgError]
) -> None:
    bench.conductor.begin_errors = list(failures)
    bench.submit(work)
    assert bench.everything_told() == []
    assert acts(bench) == []
    assert phase(bench) is None
    (line,) = [each for each in caplog.records if "cannot be asked" in each.message]
    assert line.levelno == logging.WARNING
    # The conductor sends it again.
    bench.submit(make_work(generation=2))
    assert bench.conductor.next_finished() == (job_uuid(1), 2, None)


@pytest.mark.parametrize("work", EVERY)
def test_a_conductor_that_dies_over_the_question_costs_no_attempt(bench: Bench, work: Work) -> None:
    """Another one answers; the lease is not waited for."""
    bench.conductor.begin_errors = [ServiceUnavailable("it is gone")] * 2
    bench.submit(work)
    assert bench.everything_told() == [(work.job_uuid, work.generation, None)]


def test_a_later_step_that_may_not_be_done_leaves_the_work_started(bench: Bench) -> None:
    """Something was touched: nobody is told that it failed, and it is not forgotten."""
    bench.conductor.answer = lambda _uuid, _generation, step: step == 0
    bench.submit(SEVERAL)
    assert bench.everything_told() == []
    assert acts(bench) == [("release", "handle-1")]
    assert phase(bench) is Phase.STARTED


def test_a_question_that_waits_for_its_answer_holds_the_card(bench: Bench) -> None:
    asked, answered = threading.Event(), threading.Event()

    def slow(*_question: object) -> bool:
        asked.set()
        return answered.wait(PATIENCE)

    bench.conductor.answer = slow
    bench.submit(make_work(1))
    bench.submit(make_work(2))
    assert asked.wait(PATIENCE)
    assert bench.driver.calls == []
    assert bench.conductor.asked == [(job_uuid(1), 1, 0)]
    answered.set()
    assert len(bench.everything_told()) == 2


def while_it_waits(bench: Bench, then: Callable[[], None]) -> None:
    """Do something while job 1 waits for a card on which job 2 is at work."""
    bench.gate(2)
    bench.submit(make_work(2))
    bench.await_begun(2)
    bench.submit(make_work(1, generation=1))
    then()
    bench.gate(2).set()


def test_the_newest_attempt_is_asked_for(bench: Bench) -> None:
    def join() -> None:
        bench.submit(make_work(1, generation=3))
        bench.submit(make_work(1, generation=2))

    bench.conductor.answer = lambda uuid, generation, _: uuid != job_uuid(1) or generation == 3
    while_it_waits(bench, join)
    assert (job_uuid(1), 3, None) in bench.everything_told()
    assert (job_uuid(1), 3, 0) in bench.conductor.asked


def test_a_no_for_an_attempt_is_none_for_the_newer_one_that_has_come_meanwhile(
    bench: Bench,
) -> None:
    def answer(uuid: str, generation: int, _step: int) -> bool:
        if generation == 1:
            bench.submit(make_work(generation=2))
        return generation == 2

    bench.conductor.answer = answer
    bench.submit(make_work(generation=1))
    assert bench.everything_told() == [(job_uuid(1), 2, None)]
    assert bench.conductor.asked == [(job_uuid(1), 1, 0), (job_uuid(1), 2, 0)]


def test_the_end_is_recorded_under_the_newest_attempt(bench: Bench) -> None:
    bench.gate(1)
    bench.driver.errors["handle-1"] = DriverError("no")
    bench.submit(make_work(generation=1))
    bench.await_begun(1)
    bench.submit(make_work(generation=2))
    assert bench.everything_told() == [(job_uuid(1), 2, "no")]
    again = Bench(bench.directory)
    again.submit(make_work(generation=2))
    assert again.everything_told() == [(job_uuid(1), 2, "no")]
    assert len(bench.driver.calls) == 1
    assert again.driver.calls == []


def test_what_was_turned_into_a_release_is_asked_for_by_its_own_attempt(bench: Bench) -> None:
    """The preparation's turn came before it was turned: it is not begun as a release."""
    asked, answered = threading.Event(), threading.Event()

    def answer(_uuid: str, generation: int, _step: int) -> bool:
        if generation == 1:
            asked.set()
            assert answered.wait(PATIENCE)
        return generation == 2

    bench.conductor.answer = answer
    bench.submit(make_work(generation=1, kind=PREPARE))
    assert asked.wait(PATIENCE)
    bench.submit(make_work(generation=2, kind=RELEASE))
    answered.set()
    assert bench.everything_told() == [(job_uuid(1), 2, None)]
    assert bench.conductor.asked == [(job_uuid(1), 1, 0), (job_uuid(1), 2, 0)]
    assert bench.driver.calls == [("release", "handle-1")]


def test_what_is_fetched_when_its_job_is_turned_is_let_go(bench: Bench) -> None:
    bench.images.gate = threading.Event()
    bench.submit(work_of(program(), prepare(), generation=1))
    bench.submit(work_of(release(), generation=2))
    assert bench.conductor.next_finished() == (job_uuid(1), 2, None)
    bench.images.gate.set()
    assert bench.everything_told() == []
    assert bench.driver.calls == [("release", "handle-1")]


def test_an_entry_that_cannot_be_deleted_does_no_harm(
    bench: Bench, directory_made_read_only: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    def answer(*_question: object) -> bool:
        directory_made_read_only()
        return False

    bench.conductor.answer = answer
    bench.submit(make_work())
    assert bench.everything_told() == []
    assert "journal entry not deleted" in caplog.text
    bench.conductor.answer = lambda *_question: True


@pytest.fixture
def directory_made_read_only(tmp_path: Path) -> Callable[[], None]:
    """Put a directory in the place of job 1's file: it cannot be unlinked, not even by root."""

    def make() -> None:
        file = tmp_path / "journal" / f"{job_uuid(1)}.json"
        file.unlink()
        file.mkdir()

    return make
