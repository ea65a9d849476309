"""Work that is done for several handles at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from cyborg.agent.executor import Executor
from cyborg.agent.journal import Phase
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.work import OwnedHandle, Prepare, Release, Work
from cyborg.drivers.contract import DriverError, Handle, JointDriver, NotNow, Wanted
from cyborg.tests.unit.agent.helpers import (
    PATIENCE,
    ScriptedDriver,
    job_uuid,
    make_handle,
    prepare,
    program,
    release,
)
from cyborg.tests.unit.agent.test_executor import Bench

INSTANCE, OTHER = "instance-1", "instance-2"


class ModuleDriver(JointDriver, ScriptedDriver):
    """Two cards whose names are alike up to a dot are of one module."""

    def __init__(self) -> None:
        super().__init__()
        #: What was asked, for which handles, beside which others.
        self.asked: list[tuple[str, list[str], list[str]]] = []
        self.error: BaseException | None = None
        self.gate: threading.Event | None = None
        self.entered: queue.Queue[str] = queue.Queue()

    def queue_of(self, device: str) -> str:
        return device.partition(".")[0]

    def prepare_together(self, wanted: Sequence[Wanted], held: Sequence[Handle]) -> None:
        assert all(each.group == {"resources:FPGA": "1"} for each in wanted)
        self._together("prepare", [each.handle for each in wanted], held)

    def release_together(self, handles: Sequence[Handle], held: Sequence[Handle]) -> None:
        self._together("release", handles, held)

    def _together(self, name: str, handles: Sequence[Handle], held: Sequence[Handle]) -> None:
        self.asked.append((name, [each.uuid for each in handles], [each.uuid for each in held]))
        self.entered.put(name)
        if self.gate is not None:
            assert self.gate.wait(PATIENCE)
        if self.error is not None:
            raise self.error


class JointBench(Bench):
    """An executor whose driver does what it does together."""

    driver: ModuleDriver  # type: ignore[assignment]  # it programs nothing

    def make_executor(self, **changes: object) -> Executor:
        self.driver = ModuleDriver()
        return super().make_executor(**changes)

    def own(self, *owned: tuple[Work | int, str | None]) -> None:
        """Say what is owned: by work that is to be done for it, or by number; and by whom."""
        self.conductor.owned = [
            OwnedHandle(make_handle(what, f"card-1.{what}"), instance)
            if isinstance(what, int)
            else OwnedHandle(handle_of(what), instance, what)
            for what, instance in owned
        ]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[JointBench]:
    made = JointBench(tmp_path / "journal")
    yield made
    made.close()


def releasing(number: int, generation: int = 1, card: str = "card-1") -> Work:
    device = f"{card}.{number}"
    step = release(number, device)
    return Work(job_uuid(number), generation, "release", "test_driver", device, (step,))


def preparing(number: int) -> Work:
    device = f"card-1.{number}"
    step = prepare(number, device)
    return Work(job_uuid(number), 1, "prepare", "test_driver", device, (step,))


def handle_of(work: Work) -> Handle:
    """Return whose only step it is."""
    [step] = work.steps
    assert isinstance(step, Prepare | Release)
    return step.handle


def told(bench: JointBench) -> Mapping[str, str | None]:
    """Return how each job ended."""
    return {uuid: error for uuid, _, error in bench.everything_told()}


ONE, TWO = releasing(1), releasing(2)


def test_one_alone(bench: JointBench) -> None:
    bench.own((ONE, INSTANCE))
    bench.submit(ONE)
    assert told(bench) == {job_uuid(1): None}
    assert bench.driver.asked == [("release", ["handle-1"], [])]


def test_both_of_an_instance_are_released_at_once(bench: JointBench) -> None:
    bench.own((ONE, INSTANCE), (TWO, INSTANCE))
    bench.driver.gate = threading.Event()
    bench.submit(ONE)
    assert bench.driver.entered.get(timeout=PATIENCE) == "release"
    # Its message comes later: it has been done with the other by then.
    bench.submit(TWO)
    bench.driver.gate.set()
    assert told(bench) == {job_uuid(1): None, job_uuid(2): None}
    assert bench.driver.asked == [("release", ["handle-1", "handle-2"], [])]
    for number in (1, 2):
        entry = bench.journal.get(job_uuid(number))
        assert entry is not None
        assert (entry.phase, entry.error) == (Phase.FINISHED, None)


def test_each_is_asked_for(bench: JointBench) -> None:
    bench.own((ONE, INSTANCE), (TWO, INSTANCE))
    bench.conductor.answer = lambda uuid, *_question: uuid != job_uuid(2)
    bench.submit(ONE)
    assert told(bench) == {job_uuid(1): None}
    # What may not be done is somebody's.
    assert bench.driver.asked == [("release", ["handle-1"], ["handle-2"])]
    assert bench.journal.get(job_uuid(2)) is None


def test_what_others_have_is_told(bench: JointBench) -> None:
    elsewhere = releasing(7, card="card-2")
    bench.own((ONE, INSTANCE), (3, INSTANCE), (4, OTHER), (elsewhere, INSTANCE))
    bench.submit(ONE)
    assert told(bench) == {job_uuid(1): None}
    assert bench.driver.asked == [("release", ["handle-1"], ["handle-3", "handle-4"])]


def test_instances_that_go_at_the_same_time_do_not_wait_for_each_other(bench: JointBench) -> None:
    bench.own((ONE, INSTANCE), (TWO, OTHER), (releasing(3), None))
    bench.submit(ONE)
    assert set(told(bench)) == {job_uuid(number) for number in (1, 2, 3)}
    assert bench.driver.asked == [("release", ["handle-1", "handle-2", "handle-3"], [])]


def test_only_one_instance_is_prepared_for(bench: JointBench) -> None:
    bench.own(
        (preparing(1), INSTANCE), (preparing(2), INSTANCE), (preparing(3), OTHER), (TWO, INSTANCE)
    )
    bench.submit(preparing(1))
    assert set(told(bench)) == {job_uuid(1), job_uuid(2)}
    [(name, handles, held)] = bench.driver.asked
    assert (name, handles, held[0]) == ("prepare", ["handle-1", "handle-2"], "handle-3")


def test_all_end_as_the_call_ends(bench: JointBench) -> None:
    bench.own((ONE, INSTANCE), (TWO, INSTANCE))
    bench.driver.error = DriverError("the module is stuck")
    bench.submit(TWO)
    assert told(bench) == dict.fromkeys([job_uuid(1), job_uuid(2)], "the module is stuck")
    assert bench.conductor.not_begun == []


def test_what_must_come_first_is_waited_for(bench: JointBench) -> None:
    bench.own((ONE, INSTANCE), (2, INSTANCE))
    bench.driver.error = NotNow("card-1.2 must be released first")
    bench.submit(ONE)
    assert told(bench) == {job_uuid(1): "card-1.2 must be released first"}
    assert bench.conductor.not_begun == [job_uuid(1)]
    assert bench.journal.get(job_uuid(1)) is None


@pytest.mark.parametrize("error", [None, ServiceUnavailable("nobody is there")])
def test_who_cannot_be_asked_lets_nothing_begin(bench: JointBench, error: Exception | None) -> None:
    """Nor does who says that the attempt is over: then nothing at all is owned."""
    bench.conductor.company_error = error
    bench.submit(ONE)
    assert told(bench) == {}
    assert bench.driver.asked == []
    assert not bench.executor.is_at_work_on(job_uuid(1))


def test_a_call_that_hangs_holds_the_module(bench: JointBench) -> None:
    bench.own((ONE, INSTANCE), (TWO, INSTANCE))
    bench.driver.gate = threading.Event()
    bench.limit = 0.1
    bench.submit(ONE)
    assert set(bench.conductor.next_finished()[0] for _ in range(2)) == {job_uuid(1), job_uuid(2)}
    assert bench.calls.hanging("card-1.1") == bench.calls.hanging("card-1.2") is not None
    bench.limit = PATIENCE
    third = releasing(3)
    bench.own((third, OTHER))
    bench.submit(third)
    _, _, error = bench.conductor.next_finished()
    assert error is not None
    assert error.endswith("has not returned.")
    assert len(bench.driver.asked) == 1, "two resets of one module at the same time"
    bench.driver.gate.set()
    for _ in range(2):
        assert bench.noticed.acquire(timeout=PATIENCE)


def test_a_bug_in_the_middle_leaves_nothing_at_work(
    bench: JointBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.own((ONE, INSTANCE), (TWO, INSTANCE))
    monkeypatch.setattr(bench.executor._joint, "_act", lambda *_arguments: 1 / 0)
    bench.submit(ONE)
    assert set(told(bench)) == {job_uuid(1), job_uuid(2)}
    assert not bench.executor.is_at_work_on(job_uuid(2))


def test_work_of_several_steps_is_done_alone(bench: JointBench) -> None:
    device = "card-1.1"
    steps = (prepare(1, device), release(1, device))
    bench.submit(Work(job_uuid(1), 1, "several", "test_driver", device, steps))
    assert told(bench) == {job_uuid(1): None}
    assert [name for name, _, _ in bench.driver.asked] == ["prepare", "release"]
    assert program("card-1").name == "program"
