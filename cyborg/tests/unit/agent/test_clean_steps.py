"""A release in steps: each is asked for, recorded, limited and shown by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cyborg.agent.executor import Executor
from cyborg.agent.journal import Phase
from cyborg.agent.progress import ProgressTeller
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.work import WorkProgress
from cyborg.drivers.contract import (
    CleanStep,
    DeviceAway,
    DriverError,
    Handle,
    Progress,
    StepwiseDriver,
)
from cyborg.tests.unit.agent.helpers import PATIENCE, ScriptedDriver, job_uuid, release, work_of
from cyborg.tests.unit.agent.test_executor import Bench

ALL = ("drain", "erase", "test")


class SteppedDriver(ScriptedDriver, StepwiseDriver):
    """Does the steps that a test names; what it raises and where it waits is by their names."""

    steps: Sequence[CleanStep] = tuple(CleanStep(name, f"to {name}") for name in ALL)
    #: What each step tells of how far it is.
    percent: float = 30.7

    def clean_steps(self, handle: Handle) -> Sequence[CleanStep]:
        return self.steps

    def clean(self, handle: Handle, step: str, progress: Progress) -> None:
        self.calls.append((step, handle.uuid))
        progress(self.percent)
        self._wait_for(step)

    def release(self, handle: Handle) -> None:
        StepwiseDriver.release(self, handle)

    @property
    def done(self) -> list[str]:
        return [step for step, _ in self.calls]


class SteppedBench(Bench):
    """An executor whose driver cleans in steps."""

    driver: SteppedDriver  # type: ignore[assignment]  # it programs nothing

    def make_executor(self, **changes: object) -> Executor:
        self.driver = SteppedDriver()
        return super().make_executor(**changes)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[SteppedBench]:
    made = SteppedBench(tmp_path / "journal")
    yield made
    made.close()


WORK = work_of(release(), kind="release")


def ended(bench: SteppedBench, generation: int = 1) -> str | None:
    """Do an attempt; return how it ended."""
    bench.submit(replace(WORK, generation=generation))
    job, told, error = bench.conductor.next_finished()
    assert (job, told) == (job_uuid(1), generation)
    return error


def test_the_steps_are_done_in_their_order(bench: SteppedBench) -> None:
    assert ended(bench) is None
    assert bench.driver.done == list(ALL)


def test_it_may_be_called_for_all_at_once(bench: SteppedBench) -> None:
    bench.driver.release(release().handle)
    assert bench.driver.done == list(ALL)


def test_each_is_asked_for(bench: SteppedBench) -> None:
    ended(bench)
    assert bench.conductor.asked == [(job_uuid(1), 1, 0)] * len(ALL)


def test_a_no_ends_the_attempt_between_two(bench: SteppedBench) -> None:
    bench.conductor.answer = lambda *_question: "drain" not in bench.driver.done
    bench.submit(WORK)
    assert bench.everything_told() == []
    assert bench.driver.done == ["drain"]
    entry = bench.journal.get(job_uuid(1))
    assert entry is not None, "what is done is forgotten"
    assert (entry.phase, entry.done) == (Phase.STARTED, ("0/drain",))


@pytest.mark.parametrize("number", range(len(ALL)))
def test_what_failed_goes_on_with_the_step_that_was_not_done(
    bench: SteppedBench, number: int
) -> None:
    bench.driver.errors[ALL[number]] = DriverError("it is hot")
    assert ended(bench) == "it is hot"
    assert bench.driver.done == list(ALL[: number + 1])
    bench.driver.calls.clear()
    assert ended(bench, 2) is None
    assert bench.driver.done == list(ALL[number:])


def killed_in(bench: SteppedBench, step: str, boot_id: str = "boot-1") -> SteppedBench:
    """Let an agent be gone in the middle of a step; return the one that comes after it."""
    bench.driver.gates[step] = threading.Event()
    bench.submit(WORK)
    while bench.driver.begun.get(timeout=PATIENCE) != step:
        pass
    # Where the process is killed the journal says no more.
    bench.journal = None  # type: ignore[assignment]  # nobody may use it any more
    return SteppedBench(bench.directory, boot_id)


@pytest.mark.parametrize("number", range(len(ALL)))
def test_what_was_killed_goes_on_with_the_step_that_was_not_done(
    bench: SteppedBench, number: int
) -> None:
    again = killed_in(bench, ALL[number])
    assert ended(again, 2) is None
    assert again.driver.done == list(ALL[number:])
    again.close()


def test_a_boot_undoes_them_all(bench: SteppedBench) -> None:
    again = killed_in(bench, "test", boot_id="boot-2")
    assert ended(again, 2) is None
    assert again.driver.done == list(ALL)
    again.close()


def test_who_was_away_is_cleaned_from_the_beginning(bench: SteppedBench) -> None:
    bench.driver.errors["test"] = DeviceAway("it was pulled")
    ended(bench)
    assert bench.conductor.away == [job_uuid(1)]
    bench.driver.calls.clear()
    assert ended(bench, 2) is None
    assert bench.driver.done == list(ALL)


def test_other_work_of_the_job_begins_anew(bench: SteppedBench) -> None:
    bench.driver.errors["test"] = DriverError("no")
    ended(bench)
    bench.driver.calls.clear()
    bench.submit(replace(WORK, generation=2, steps=(release(2),)))
    assert bench.conductor.next_finished() == (job_uuid(1), 2, None)
    assert bench.driver.done == list(ALL)


def test_a_step_that_an_operator_puts_first_is_done(bench: SteppedBench) -> None:
    """Where another order is configured, what is done counts as far as it comes first."""
    bench.driver.errors["test"] = DriverError("no")
    ended(bench)
    bench.driver.calls.clear()
    drain, erase, test = bench.driver.steps
    bench.driver.steps = (drain, test, erase)
    assert ended(bench, 2) is None
    assert bench.driver.done == ["test", "erase"]


def test_each_has_a_limit_of_its_own(bench: SteppedBench) -> None:
    drain, erase, test = bench.driver.steps
    bench.driver.steps = (drain, replace(erase, timeout=0.1), test)
    bench.driver.gates["erase"] = gate = threading.Event()
    error = ended(bench)
    assert error is not None
    assert error.startswith("The driver's erase (handle=handle-1), called at ")
    assert bench.conductor.away == [job_uuid(1)]
    gate.set()
    assert bench.noticed.acquire(timeout=PATIENCE)
    assert bench.noticed.acquire(timeout=PATIENCE)


def test_none_is_no_clean_handle(bench: SteppedBench) -> None:
    bench.driver.steps = ()
    assert ended(bench) == "The driver test_driver has no step that cleans this."


def test_a_bug_where_they_are_named(
    bench: SteppedBench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bench.driver, "clean_steps", lambda _handle: 1 / 0)
    assert ended(bench) == ("The driver test_driver failed: ZeroDivisionError: division by zero")
    assert "Traceback" in caplog.text


# What is told meanwhile


def step_begun(bench: SteppedBench, step: str = "drain") -> threading.Event:
    """Let the work come to a step; return what lets it go on."""
    bench.driver.gates[step] = gate = threading.Event()
    bench.submit(WORK)
    while bench.driver.begun.get(timeout=PATIENCE) != step:
        pass
    return gate


def test_what_is_under_way_is_known(bench: SteppedBench) -> None:
    assert bench.executor.under_way() == []
    gate = step_begun(bench, "erase")
    [found] = bench.executor.under_way()
    assert replace(found, seconds=0) == WorkProgress(job_uuid(1), 1, "erase", 0, 30)
    assert 0 <= found.seconds < PATIENCE
    gate.set()
    bench.conductor.next_finished()
    assert bench.executor.wait_until_idle(PATIENCE)
    assert bench.executor.under_way() == []


@pytest.mark.parametrize(("percent", "told"), [(-3, 0), (100.4, 100), (99.9, 99)])
def test_what_a_driver_says_is_made_to_fit(bench: SteppedBench, percent: float, told: int) -> None:
    bench.driver.percent = percent
    gate = step_begun(bench)
    [found] = bench.executor.under_way()
    assert found.percent == told
    gate.set()


class Told:
    """A conductor that keeps what it is told, or refuses it."""

    def __init__(self) -> None:
        self.messages: list[list[str]] = []
        self.refuses = False

    def tell_progress(self, host: str, works: Sequence[Mapping[str, Any]]) -> None:
        if self.refuses:
            raise ServiceUnavailable("nobody is there")
        self.messages.append([f"{each['step']} {each['percent']}" for each in works])


Tellers = tuple[ProgressTeller, Told, list[WorkProgress]]


@pytest.fixture
def teller() -> Tellers:
    told, found = Told(), [WorkProgress(job_uuid(1), 1, "erase", 0.4)]
    return ProgressTeller("compute-1", told, lambda: found, lambda _seconds: True), told, found


def step(**changes: Any) -> Callable[[WorkProgress], WorkProgress]:
    return lambda before: replace(before, **changes)


def test_only_what_is_new_and_lasts_is_told(teller: Tellers) -> None:
    tells, told, found = teller
    for change in (
        step(),
        step(seconds=0.5),
        step(seconds=1.5),
        step(percent=1),
        step(seconds=9.5),
        step(generation=2),
        step(step="test", percent=None),
    ):
        found[0] = change(found[0])
        tells.tell()
    assert told.messages == [["erase None"], ["erase 1"], ["erase 1"], ["test None"]]


def test_what_was_not_taken_is_told_again(teller: Tellers) -> None:
    tells, told, found = teller
    found[0] = replace(found[0], seconds=1)
    told.refuses = True
    tells.tell()
    told.refuses = False
    tells.tell()
    tells.tell()
    assert told.messages == [["erase None"]]
