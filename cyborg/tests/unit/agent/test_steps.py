"""Work of several steps, and what another form of step needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from cyborg.agent.bitstreams import BitstreamError
from cyborg.agent.endpoint import WORK_USE_CASES
from cyborg.agent.journal import Phase
from cyborg.agent.steps import PERFORMERS, Performer
from cyborg.domain.plain import to_plain
from cyborg.domain.work import STEPS, Prepare, Program, Release, Step
from cyborg.drivers.contract import DriverError, Handle
from cyborg.rpc.table import TableEndpoint
from cyborg.tests.unit.agent.helpers import (
    IMAGE,
    PATIENCE,
    OtherDriver,
    ScriptedDriver,
    job_uuid,
    make_handle,
    make_work,
    prepare,
    program,
    release,
    work_of,
)
from cyborg.tests.unit.agent.test_executor import Bench

OTHER_IMAGE = IMAGE[:-1] + "f"
SEVERAL = work_of(release(1), program(), prepare(2))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "journal")
    yield made
    made.close()
    assert made.images.out == []


def error_of(bench: Bench) -> str:
    _, _, error = bench.conductor.next_finished()
    assert error is not None
    return error


def test_each_step_that_a_message_may_name_can_be_done() -> None:
    assert set(PERFORMERS) == set(STEPS.values())


def test_steps_are_done_in_their_order_and_with_their_own_records(bench: Bench) -> None:
    bench.executor.submit(SEVERAL)
    assert bench.conductor.next_finished() == (job_uuid(1), 1, None)
    assert bench.driver.calls == [
        ("release", "handle-1"),
        ("check", "host_card-1"),
        ("program", IMAGE),
        ("prepare", "handle-2"),
    ]
    first, second, third = SEVERAL.steps
    assert isinstance(first, Release)
    assert isinstance(second, Program)
    assert isinstance(third, Prepare)
    for handed, named in zip(
        bench.driver.handed, (first.handle, second.region, third.handle), strict=True
    ):
        assert handed is named
    assert bench.programmed == ["once"]


def test_all_are_made_ready_before_the_first_is_done(bench: Bench) -> None:
    bench.images.gate = threading.Event()
    bench.executor.submit(work_of(prepare(), program(image=IMAGE), program(image=OTHER_IMAGE)))
    bench.submit(make_work(2))
    assert bench.conductor.next_finished() == (job_uuid(2), 1, None)
    bench.images.gate.set()
    assert bench.conductor.next_finished() == (job_uuid(1), 1, None)
    assert [image for image, _ in bench.images.asked] == [IMAGE, OTHER_IMAGE]
    assert bench.driver.calls[:2] == [("prepare", "handle-2"), ("prepare", "handle-1")]


def test_what_cannot_be_made_ready_is_not_begun_and_what_was_is_let_go(bench: Bench) -> None:
    def fail_next() -> bool:
        bench.images.errors = [BitstreamError("not there")]
        return True

    fetch = bench.images.fetch
    bench.images.fetch = lambda *of: (fetch(*of), fail_next())[0]  # type: ignore[method-assign]
    bench.executor.submit(work_of(prepare(), program(image=IMAGE), program(image=OTHER_IMAGE)))
    assert error_of(bench) == "Step 3 of 3, program: not there"
    assert bench.driver.calls == []
    assert bench.conductor.asked == []


def test_the_first_step_that_fails_ends_the_attempt(bench: Bench) -> None:
    bench.driver.errors["host_card-1"] = DriverError("half way")
    bench.executor.submit(SEVERAL)
    assert error_of(bench) == "Step 2 of 3, program: half way"
    assert [action for action, _ in bench.driver.calls] == ["release", "check", "program"]
    assert bench.programmed == []
    entry = bench.journal.get(job_uuid(1))
    assert entry is not None
    assert (entry.phase, entry.error) == (Phase.FINISHED, "Step 2 of 3, program: half way")


def test_a_later_step_that_the_driver_does_not_take_is_not_asked_for(bench: Bench) -> None:
    bench.driver.refusal = "not for this card"
    bench.executor.submit(SEVERAL)
    assert error_of(bench) == "Step 2 of 3, program: not for this card"
    assert [step for _, _, step in bench.conductor.asked] == [0]
    entry = bench.journal.get(job_uuid(1))
    assert entry is not None
    assert entry.phase is Phase.FINISHED


def test_a_driver_that_cannot_do_one_of_them_is_not_called(bench: Bench) -> None:
    bench.executor = bench.make_executor(drivers={"test_driver": ScriptedDriver()})
    bench.executor.submit(SEVERAL)
    assert error_of(bench) == "The driver test_driver cannot program."
    assert bench.images.asked == []
    assert bench.executor.drain(PATIENCE)


@dataclass(frozen=True, slots=True)
class Warm(Step):
    """A step that only these tests know."""

    name: ClassVar[str] = "warm"
    handle: Handle
    degrees: Mapping[str, str]


class WarmDriver(OtherDriver):
    name = "test_driver"

    def warm(self, handle: Handle, degrees: int) -> None:
        self.calls.append((f"warm {degrees}", handle.uuid))


class WarmPerformer(Performer[Warm]):
    def log_fields(self) -> str:
        return f"handle={self.step.handle.uuid}"

    def act(self) -> None:
        assert isinstance(self.driver, WarmDriver)
        self.driver.warm(self.step.handle, int(self.step.degrees["celsius"]))


def test_another_step_needs_its_class_and_its_performer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STEPS, Warm.name, Warm)
    monkeypatch.setitem(PERFORMERS, Warm, WarmPerformer)
    driver = WarmDriver()
    bench.executor = bench.make_executor(drivers={"test_driver": driver})
    message = to_plain(work_of(Warm(make_handle(), {"celsius": "40"}), prepare()))
    TableEndpoint(WORK_USE_CASES, bench.executor.submit).start({}, work=message)
    assert bench.conductor.next_finished() == (job_uuid(1), 1, None)
    assert driver.calls == [("warm 40", "handle-1"), ("prepare", "handle-1")]
    assert [step for _, _, step in bench.conductor.asked] == [0, 1]
    # Known from the journal, and not done twice.
    again = message | {"generation": 2}
    TableEndpoint(WORK_USE_CASES, bench.executor.submit).start({}, work=again)
    assert bench.conductor.next_finished() == (job_uuid(1), 2, None)
    assert len(driver.calls) == 2
    assert bench.executor.drain(PATIENCE)


def test_a_driver_that_would_end_the_process_fails_and_its_card_goes_on(bench: Bench) -> None:
    bench.driver.errors["handle-1"] = SystemExit(1)
    bench.executor.submit(work_of(prepare()))
    assert error_of(bench) == "The driver test_driver failed: SystemExit: 1"
    bench.executor.submit(work_of(prepare(2), job=2))
    assert bench.conductor.next_finished() == (job_uuid(2), 1, None)
