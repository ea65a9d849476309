import logging
import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from oslo_context import context

from cyborg.agent.calls import Calls
from cyborg.agent.ends import REPORT_DELAYS
from cyborg.agent.executor import Executor
from cyborg.agent.journal import Journal, Phase
from cyborg.domain.clock import utcnow
from cyborg.domain.errors import RemoteError, ServiceUnavailable
from cyborg.domain.model import JobKind
from cyborg.drivers.contract import DriverError
from cyborg.tests.unit.agent.helpers import (
    HOST,
    PATIENCE,
    Conductor,
    Images,
    ProgrammableDriver,
    job_uuid,
    make_work,
)

PREPARE, RELEASE = JobKind.PREPARE, JobKind.RELEASE


class Bench:
    """An executor on real files, and all that surrounds it."""

    def __init__(self, directory: Path, boot_id: str = "boot-1") -> None:
        self.directory = directory
        self.driver = ProgrammableDriver()
        self.conductor = Conductor()
        self.journal = Journal(directory, utcnow, boot_id)
        self.slept: list[float] = []
        self.images = Images(directory.parent)
        self.programmed: list[str] = []
        #: Seconds that a call of the driver may take.
        self.limit = PATIENCE
        #: How often a card has begun to hang, or has ended.
        self.noticed = threading.Semaphore(0)
        self.calls = Calls(lambda _name: self.limit, self.noticed.release)
        self.executor = self.make_executor()
        self.submit = self.executor.submit

    def make_executor(self, **changes: Any) -> Executor:
        arguments: dict[str, Any] = {
            "host": HOST,
            "drivers": {"test_driver": self.driver},
            "journal": self.journal,
            "conductor": self.conductor,
            "sleep": self.slept.append,
            "bitstreams": self.images,
            "calls": self.calls,
            "report_changed": lambda: self.programmed.append("once"),
        }
        return Executor(**{**arguments, **changes})

    def gate(self, job: int) -> threading.Event:
        """Make the work of a job wait until the event that is returned is set."""
        return self.driver.gates.setdefault(f"handle-{job}", threading.Event())

    def await_begun(self, job: int) -> None:
        assert self.driver.begun.get(timeout=PATIENCE) == f"handle-{job}"

    def everything_told(self) -> list[tuple[str, int, str | None]]:
        """Open all gates; return what has been told when nothing is left to do."""
        for gate in self.driver.gates.values():
            gate.set()
        assert self.executor.wait_until_idle(PATIENCE)
        told = []
        while not self.conductor.finished.empty():
            told.append(self.conductor.finished.get())
        return told

    def close(self) -> None:
        """Leave no thread behind."""
        for gate in self.driver.gates.values():
            gate.set()
        assert self.executor.drain(PATIENCE)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def bench(directory: Path) -> Iterator[Bench]:
    bench = Bench(directory)
    yield bench
    bench.close()


def restarted(bench: Bench, boot_id: str = "boot-1") -> Bench:
    return Bench(bench.directory, boot_id)


@pytest.mark.parametrize("kind", [PREPARE, RELEASE])
def test_work_is_done_and_told(bench: Bench, kind: JobKind) -> None:
    bench.submit(make_work(generation=3, kind=kind))
    assert bench.conductor.next_finished() == (job_uuid(1), 3, None)
    assert bench.driver.calls == [(str(kind), "handle-1")]
    entry = bench.journal.get(job_uuid(1))
    assert entry is not None
    assert entry.phase is Phase.FINISHED


def test_it_is_journaled_before_hardware_is_touched(bench: Bench) -> None:
    bench.gate(1)
    bench.submit(make_work())
    bench.await_begun(1)
    entry = bench.journal.get(job_uuid(1))
    assert entry is not None
    assert entry.phase is Phase.STARTED


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DriverError("the card is hot"), "the card is hot"),
        (ZeroDivisionError("x"), "The driver test_driver failed: ZeroDivisionError: x"),
    ],
)
def test_failures_are_told(
    bench: Bench, caplog: pytest.LogCaptureFixture, error: Exception, message: str
) -> None:
    bench.driver.errors["handle-1"] = error
    bench.submit(make_work())
    assert bench.conductor.next_finished() == (job_uuid(1), 1, message)
    bench.close()
    assert bench.conductor.not_begun == []
    assert ("Traceback" in caplog.text) is not isinstance(error, DriverError)


def test_unknown_driver(bench: Bench) -> None:
    bench.submit(make_work(driver="gone_driver"))
    _, _, error = bench.conductor.next_finished()
    assert error == "The driver gone_driver is not enabled on this host."
    assert bench.conductor.not_begun == [job_uuid(1)]


def test_a_card_does_one_thing_at_a_time(bench: Bench) -> None:
    gate = bench.gate(1)
    for job in (1, 2, 3):
        bench.submit(make_work(job))
    bench.await_begun(1)
    assert bench.driver.begun.empty()
    gate.set()
    for _ in range(3):
        bench.conductor.next_finished()
    assert [handle for _, handle in bench.driver.calls] == ["handle-1", "handle-2", "handle-3"]


def test_cards_work_beside_each_other(bench: Bench) -> None:
    bench.gate(1)
    bench.gate(2)
    bench.submit(make_work(1, device="card-1"))
    bench.submit(make_work(2, device="card-2"))
    begun = {bench.driver.begun.get(timeout=PATIENCE) for _ in range(2)}
    assert begun == {"handle-1", "handle-2"}


def test_cards_of_one_queue_take_turns(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two functions of one slot, for instance, which one reset may hit."""
    monkeypatch.setattr(bench.driver, "queue_of", lambda device: device.partition(".")[0])
    gate = bench.gate(1)
    bench.submit(make_work(1, device="card-1.0"))
    bench.await_begun(1)
    bench.submit(make_work(2, device="card-1.1"))
    bench.submit(make_work(3, device="card-2.0"))
    assert bench.driver.begun.get(timeout=PATIENCE) == "handle-3"
    # One that does not wait begins about now.
    with pytest.raises(queue.Empty):
        bench.driver.begun.get(timeout=0.2)
    gate.set()
    assert bench.driver.begun.get(timeout=PATIENCE) == "handle-2"


def test_a_driver_that_cannot_say_its_queue_has_one_a_card(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(device: str) -> str:
        raise KeyError(device)

    monkeypatch.setattr(bench.driver, "queue_of", fail)
    bench.submit(make_work(1))
    assert bench.conductor.next_finished() == (job_uuid(1), 1, None)


def test_many_at_once(bench: Bench) -> None:
    jobs = range(1, 101)
    threads = [
        threading.Thread(
            target=bench.submit, args=(make_work(job, device=f"card-{job % 7}"),), daemon=True
        )
        for job in (*jobs, *jobs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    told: set[str] = set()
    while len(told) < len(jobs):
        told.add(bench.conductor.next_finished()[0])
    assert sorted(handle for _, handle in bench.driver.calls) == sorted(
        f"handle-{job}" for job in jobs
    )


def test_idle_cards_have_no_thread(bench: Bench) -> None:
    bench.submit(make_work(1))
    bench.conductor.next_finished()
    bench.close()
    assert not any(thread.name == "executor" for thread in threading.enumerate())


def test_a_report_in_trouble_does_not_hold_up_the_card(bench: Bench) -> None:
    bench.conductor.errors = [ServiceUnavailable("down")]
    gate = threading.Event()
    bench.executor = bench.make_executor(sleep=lambda _: gate.wait())
    bench.executor.submit(make_work(1))
    bench.await_begun(1)
    bench.executor.submit(make_work(2))
    assert bench.conductor.next_finished()[0] == job_uuid(2)
    gate.set()
    assert bench.conductor.next_finished()[0] == job_uuid(1)


class TestAskedAgain:
    def test_running_same_generation(self, bench: Bench) -> None:
        bench.gate(1)
        bench.submit(make_work())
        bench.await_begun(1)
        bench.submit(make_work())
        assert bench.everything_told() == [(job_uuid(1), 1, None)]
        assert len(bench.driver.calls) == 1

    def test_running_newer_generation(self, bench: Bench) -> None:
        bench.gate(1)
        bench.submit(make_work(generation=1))
        bench.await_begun(1)
        bench.submit(make_work(generation=4))
        bench.submit(make_work(generation=2))
        assert bench.everything_told() == [(job_uuid(1), 4, None)]
        assert len(bench.driver.calls) == 1

    def test_waiting_newer_generation(self, bench: Bench) -> None:
        bench.gate(1)
        bench.gate(2)
        bench.submit(make_work(1))
        bench.submit(make_work(2, generation=1))
        bench.submit(make_work(2, generation=2))
        for job in (1, 2):
            bench.await_begun(job)
            bench.gate(job).set()
        told = {bench.conductor.next_finished() for _ in range(2)}
        assert told == {(job_uuid(1), 1, None), (job_uuid(2), 2, None)}
        assert len(bench.driver.calls) == 2

    @pytest.mark.parametrize("generation", [2, 3])
    @pytest.mark.parametrize("kind", [PREPARE, RELEASE])
    def test_finished_well(self, bench: Bench, generation: int, kind: JobKind) -> None:
        bench.submit(make_work(generation=2, kind=kind))
        bench.conductor.next_finished()
        again = restarted(bench)
        again.submit(make_work(generation=generation, kind=kind))
        assert again.conductor.next_finished() == (job_uuid(1), generation, None)
        assert again.driver.calls == []

    def test_failed_same_generation(self, bench: Bench) -> None:
        bench.driver.errors["handle-1"] = DriverError("no")
        bench.submit(make_work(generation=2))
        assert bench.conductor.next_finished() == (job_uuid(1), 2, "no")
        bench.submit(make_work(generation=2))
        assert bench.everything_told() == [], "it was told moments ago"
        again = restarted(bench)
        again.submit(make_work(generation=2))
        assert again.conductor.next_finished() == (job_uuid(1), 2, "no")
        assert len(bench.driver.calls) == 1
        assert again.driver.calls == []

    def test_failed_newer_generation(self, bench: Bench) -> None:
        bench.driver.errors["handle-1"] = DriverError("no")
        bench.submit(make_work(generation=2))
        assert bench.conductor.next_finished() == (job_uuid(1), 2, "no")
        bench.submit(make_work(generation=3))
        assert bench.conductor.next_finished() == (job_uuid(1), 3, None)
        assert len(bench.driver.calls) == 2

    def test_answered_at_once_while_the_card_is_busy(self, bench: Bench) -> None:
        bench.submit(make_work(1))
        bench.conductor.next_finished()
        bench.await_begun(1)
        bench.gate(2)
        bench.submit(make_work(2))
        bench.await_begun(2)
        bench.submit(make_work(1, generation=2))
        assert bench.conductor.next_finished() == (job_uuid(1), 2, None)

    @pytest.mark.parametrize("kind", [PREPARE, RELEASE])
    def test_older_than_what_is_known(self, bench: Bench, kind: JobKind) -> None:
        bench.submit(make_work(generation=5, kind=RELEASE))
        bench.conductor.next_finished()
        again = restarted(bench)
        again.submit(make_work(generation=4, kind=kind))
        assert again.everything_told() == []
        assert again.driver.calls == []

    def test_interrupted_by_a_restart(self, bench: Bench) -> None:
        bench.journal.start(make_work(generation=1))
        again = restarted(bench)
        assert again.driver.calls == []
        again.submit(make_work(generation=2))
        assert again.conductor.next_finished() == (job_uuid(1), 2, None)
        assert len(again.driver.calls) == 1

    def test_finished_before_a_reboot(self, bench: Bench) -> None:
        bench.submit(make_work())
        bench.conductor.next_finished()
        again = restarted(bench, boot_id="boot-2")
        again.submit(make_work(generation=2))
        assert again.conductor.next_finished() == (job_uuid(1), 2, None)
        assert len(again.driver.calls) == 1

    def test_corrupt_journal(self, bench: Bench, directory: Path) -> None:
        bench.submit(make_work())
        bench.conductor.next_finished()
        (directory / f"{job_uuid(1)}.json").write_text("{")
        bench.submit(make_work(generation=2))
        assert bench.conductor.next_finished() == (job_uuid(1), 2, None)
        assert len(bench.driver.calls) == 2


class TestPrepareTurnsIntoRelease:
    def test_waiting(self, bench: Bench) -> None:
        gate = bench.gate(1)
        bench.submit(make_work(1))
        bench.await_begun(1)
        bench.submit(make_work(2, generation=1, kind=PREPARE))
        bench.submit(make_work(2, generation=2, kind=RELEASE))
        gate.set()
        told = {bench.conductor.next_finished() for _ in range(2)}
        assert told == {(job_uuid(1), 1, None), (job_uuid(2), 2, None)}
        assert bench.everything_told() == []
        assert bench.driver.calls == [("prepare", "handle-1"), ("release", "handle-2")]

    def test_running(self, bench: Bench) -> None:
        bench.gate(1)
        bench.submit(make_work(generation=1, kind=PREPARE))
        bench.await_begun(1)
        bench.submit(make_work(generation=2, kind=RELEASE))
        bench.gate(1).set()
        bench.await_begun(1)
        assert bench.conductor.next_finished() == (job_uuid(1), 2, None)
        assert bench.everything_told() == []  # the prepare's end is nobody's concern
        assert bench.driver.calls == [("prepare", "handle-1"), ("release", "handle-1")]

    def test_finished(self, bench: Bench) -> None:
        bench.submit(make_work(generation=1, kind=PREPARE))
        bench.conductor.next_finished()
        bench.submit(make_work(generation=2, kind=RELEASE))
        assert bench.conductor.next_finished() == (job_uuid(1), 2, None)
        assert bench.driver.calls == [("prepare", "handle-1"), ("release", "handle-1")]

    @pytest.mark.parametrize("generation", [1, 2])
    def test_a_late_prepare_is_dropped(self, bench: Bench, generation: int) -> None:
        """The messages changed places: the handle is clean and must stay so."""
        bench.submit(make_work(generation=2, kind=RELEASE))
        bench.conductor.next_finished()
        bench.submit(make_work(generation=generation, kind=PREPARE))
        assert bench.everything_told() == []
        assert bench.driver.calls == [("release", "handle-1")]

    def test_a_late_prepare_is_dropped_while_the_release_runs(self, bench: Bench) -> None:
        bench.gate(1)
        bench.submit(make_work(generation=2, kind=RELEASE))
        bench.await_begun(1)
        bench.submit(make_work(generation=1, kind=PREPARE))
        assert bench.everything_told() == [(job_uuid(1), 2, None)]
        assert bench.driver.calls == [("release", "handle-1")]


class TestJournalTrouble:
    def test_nothing_is_touched_when_it_cannot_be_written(
        self, bench: Bench, directory: Path
    ) -> None:
        directory.write_text("a file where the directory should be")
        bench.submit(make_work())
        _, generation, error = bench.conductor.next_finished()
        assert generation == 1
        assert error is not None
        assert error.startswith("The agent's journal cannot be written: ")
        assert bench.driver.calls == []
        assert bench.conductor.not_begun == [job_uuid(1)]

    def test_disk_full(self, bench: Bench, directory: Path) -> None:
        directory.mkdir()
        (directory / f"{job_uuid(1)}.new").symlink_to("/dev/full")
        bench.submit(make_work())
        _, _, error = bench.conductor.next_finished()
        assert error is not None
        assert "No space left on device" in error
        assert bench.driver.calls == []
        assert list(directory.iterdir()) == []

    def test_the_end_is_told_even_if_it_is_not_recorded(
        self, bench: Bench, directory: Path
    ) -> None:
        gate = bench.gate(1)
        bench.submit(make_work())
        bench.await_begun(1)
        (directory / f"{job_uuid(1)}.new").symlink_to("/dev/full")
        gate.set()
        assert bench.conductor.next_finished() == (job_uuid(1), 1, None)
        bench.submit(make_work(generation=2))
        assert bench.conductor.next_finished() == (job_uuid(1), 2, None)
        assert len(bench.driver.calls) == 2

    def test_no_uuid(self, bench: Bench) -> None:
        with pytest.raises(ValueError, match="hexadecimal"):
            bench.submit(replace(make_work(), job_uuid="../x"))


class TestReports:
    def test_tried_again_while_the_conductor_is_away(self, bench: Bench) -> None:
        bench.conductor.errors = [ServiceUnavailable("down")] * 3
        bench.submit(make_work())
        assert bench.conductor.next_finished() == (job_uuid(1), 1, None)
        assert bench.slept == pytest.approx([1, 2, 4], abs=0.5)

    def test_given_up(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        bench.conductor.errors = [ServiceUnavailable("down")] * 100
        bench.submit(make_work())
        bench.driver.begun.get(timeout=PATIENCE)
        while len(bench.slept) < len(REPORT_DELAYS):
            threading.Event().wait(0.001)
        bench.close()
        assert bench.conductor.finished.empty()
        assert 45 <= sum(bench.slept) <= 75
        assert "end of job not told" in caplog.text
        bench.conductor.errors = []
        again = restarted(bench)
        again.submit(make_work(generation=2))
        assert again.conductor.next_finished() == (job_uuid(1), 2, None)
        assert again.driver.calls == []

    def test_refused(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        bench.conductor.errors = [RemoteError("no such job", "cyborg.x", 404)]
        bench.submit(make_work())
        bench.await_begun(1)
        bench.submit(make_work(2))
        assert bench.conductor.next_finished()[0] == job_uuid(2)
        assert bench.everything_told() == []
        assert bench.slept == []
        assert "end of job refused" in caplog.text

    def test_a_bug_there_harms_nobody(self, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
        bench.conductor.errors = [KeyError("bug")]
        bench.submit(make_work(1))
        bench.await_begun(1)
        bench.submit(make_work(2))
        assert bench.conductor.next_finished()[0] == job_uuid(2)
        assert bench.everything_told() == []
        assert "KeyError" in caplog.text

    def test_request_id_follows_the_work(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = []

        def note(*_arguments: object) -> None:
            current = context.get_current()
            assert current is not None
            seen.append(current.request_id)

        monkeypatch.setattr(bench.driver, "prepare", note)
        monkeypatch.setattr(bench.conductor, "_fail", note)
        origin = context.RequestContext(request_id="req-1", overwrite=True)
        bench.submit(make_work())
        bench.conductor.next_finished()
        bench.submit(make_work(generation=2))
        bench.conductor.next_finished()
        assert seen == [origin.request_id] * 4


class TestABugInTheAgent:
    def test_the_card_goes_on(
        self, bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start = bench.journal.start
        monkeypatch.setattr(bench.journal, "start", lambda *_arguments: 1 / 0)
        bench.gate(1)
        bench.submit(make_work(1))
        assert bench.conductor.next_finished() == (
            job_uuid(1),
            1,
            "The agent failed; its log says why.",
        )
        monkeypatch.setattr(bench.journal, "start", start)
        bench.submit(make_work(2))
        assert bench.conductor.next_finished() == (job_uuid(2), 1, None)
        assert "ZeroDivisionError" in caplog.text

    def test_no_thread_to_be_had(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError):
                bench.submit(make_work())
        bench.submit(make_work())
        assert bench.conductor.next_finished() == (job_uuid(1), 1, None)


class TestDrain:
    def test_running_work_ends_and_waiting_work_is_forgotten(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        gate = bench.gate(1)
        bench.submit(make_work(1))
        bench.submit(make_work(2))
        bench.await_begun(1)
        assert not bench.executor.drain(0)
        bench.submit(make_work(3))
        gate.set()
        bench.close()
        assert bench.conductor.next_finished() == (job_uuid(1), 1, None)
        assert bench.conductor.finished.empty()
        assert bench.driver.calls == [("prepare", "handle-1")]
        assert "work not taken" in caplog.text

    def test_idle(self, bench: Bench) -> None:
        assert bench.executor.drain(0)

    def test_a_report_is_not_tried_for_ever_after(self, bench: Bench) -> None:
        bench.conductor.errors = [ServiceUnavailable("down")] * 100
        asleep = threading.Event()
        wake = threading.Event()

        def sleep(_seconds: float) -> None:
            asleep.set()
            assert wake.wait(PATIENCE)

        executor = bench.make_executor(sleep=sleep)
        executor.submit(make_work())
        assert asleep.wait(PATIENCE)
        assert not executor.drain(0)
        wake.set()
        assert executor.drain(PATIENCE)
        assert len(bench.conductor.errors) == 98
