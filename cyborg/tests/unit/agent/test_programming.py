"""Programming on the agent: fetch, ask, touch, tell; and what goes wrong in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyborg.agent.bitstreams import BitstreamError
from cyborg.agent.journal import Phase
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.work import Program
from cyborg.drivers.contract import DriverError
from cyborg.tests.unit.agent.helpers import (
    IMAGE,
    PATIENCE,
    PROJECT,
    ScriptedDriver,
    job_uuid,
    make_programming,
    make_work,
)
from cyborg.tests.unit.agent.test_executor import Bench

DONE = [("check", "host_card-1"), ("program", IMAGE)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "journal")
    yield made
    made.close()
    assert made.images.out == []


def error_of(bench: Bench) -> str:
    uuid, _, error = bench.conductor.next_finished()
    assert uuid == job_uuid(1)
    assert error is not None
    return error


def test_it_is_fetched_asked_for_done_and_told(bench: Bench) -> None:
    bench.submit(make_programming(generation=3))
    assert bench.conductor.next_finished() == (job_uuid(1), 3, None)
    assert bench.images.asked == [(IMAGE, PROJECT)]
    assert bench.conductor.asked == [(job_uuid(1), 3, 0)]
    assert bench.driver.calls == DONE
    assert bench.programmed == ["once"]


def test_the_same_again_is_answered_and_not_done(bench: Bench) -> None:
    bench.submit(make_programming())
    bench.conductor.next_finished()
    bench.submit(make_programming(generation=2))
    assert bench.conductor.next_finished() == (job_uuid(1), 2, None)
    assert bench.driver.calls == DONE
    assert len(bench.images.asked) == 1


@pytest.mark.parametrize(
    "error", [BitstreamError("Image x could not be found."), ServiceUnavailable("Glance: down")]
)
def test_without_its_bitstream_nothing_is_touched(bench: Bench, error: Exception) -> None:
    bench.images.errors = [error]
    bench.submit(make_programming())
    assert error_of(bench) == str(error)
    assert bench.driver.calls == []
    assert bench.conductor.asked == []
    assert bench.journal.get(job_uuid(1)) is None


def test_what_the_driver_does_not_take_touches_nothing(bench: Bench) -> None:
    bench.driver.refusal = "not for this card"
    bench.submit(make_programming())
    assert error_of(bench) == "not for this card"
    assert bench.driver.calls == [("check", "host_card-1")]
    assert bench.conductor.asked == []


def test_too_late_touches_nothing(bench: Bench) -> None:
    bench.conductor.answer = lambda *_question: False
    bench.submit(make_programming())
    assert bench.everything_told() == []
    assert bench.driver.calls == [("check", "host_card-1")]
    assert bench.programmed == []


def test_a_conductor_that_cannot_be_asked_touches_nothing(bench: Bench) -> None:
    bench.conductor.begin_errors = [ServiceUnavailable("no queue")] * 3
    bench.submit(make_programming())
    assert bench.everything_told() == []
    assert bench.driver.calls == [("check", "host_card-1")]


def test_a_failure_is_told_and_the_next_attempt_is_made(bench: Bench) -> None:
    bench.driver.errors["host_card-1"] = DriverError("half way")
    bench.submit(make_programming())
    assert error_of(bench) == "half way"
    assert bench.programmed == []
    bench.submit(make_programming(generation=2))
    assert bench.conductor.next_finished() == (job_uuid(1), 2, None)
    assert bench.driver.calls == DONE * 2


def test_a_driver_that_cannot_program(bench: Bench) -> None:
    bench.executor = bench.make_executor(drivers={"test_driver": ScriptedDriver()})
    bench.executor.submit(make_programming())
    assert error_of(bench) == "The driver test_driver cannot program."
    assert bench.executor.drain(PATIENCE)


def test_an_unknown_driver_is_not_worth_a_download(bench: Bench) -> None:
    bench.executor = bench.make_executor(drivers={})
    bench.executor.submit(make_programming())
    assert error_of(bench) == "The driver test_driver is not enabled on this host."
    assert bench.images.asked == []
    assert bench.executor.drain(PATIENCE)


def test_the_card_is_free_while_it_is_fetched_and_busy_while_it_is_programmed(
    bench: Bench,
) -> None:
    bench.images.gate = threading.Event()
    bench.driver.gates["host_card-1"] = threading.Event()
    bench.submit(make_programming(1))
    bench.submit(make_work(2))
    assert bench.conductor.next_finished()[0] == job_uuid(2)
    bench.images.gate.set()
    bench.await_begun(2)
    assert bench.driver.begun.get(timeout=PATIENCE) == "host_card-1"
    bench.submit(make_work(3))
    assert bench.driver.begun.empty()
    bench.driver.gates["host_card-1"].set()
    assert {bench.conductor.next_finished()[0] for _ in range(2)} == {job_uuid(1), job_uuid(3)}
    assert bench.driver.calls[-2:] == [("program", IMAGE), ("prepare", "handle-3")]


def test_asked_again_while_it_is_fetched_it_is_fetched_once(bench: Bench) -> None:
    bench.images.gate = threading.Event()
    for generation in (1, 2, 3):
        bench.submit(make_programming(generation=generation))
    bench.images.gate.set()
    assert bench.conductor.next_finished() == (job_uuid(1), 3, None)
    assert len(bench.images.asked) == 1


def test_begun_before_a_restart_it_is_done_again(bench: Bench) -> None:
    bench.journal.start(make_programming())
    bench.submit(make_programming(generation=2))
    assert bench.conductor.next_finished() == (job_uuid(1), 2, None)
    assert bench.driver.calls == DONE
    entry = bench.journal.get(job_uuid(1))
    assert entry is not None
    (step,) = entry.work.steps
    assert isinstance(step, Program)
    assert (entry.phase, step.image_uuid) == (Phase.FINISHED, IMAGE)


def test_what_is_fetched_when_the_agent_stops_is_let_go(bench: Bench) -> None:
    bench.images.gate = threading.Event()
    bench.submit(make_programming())
    assert not bench.executor.drain(0)
    bench.images.gate.set()
    assert bench.executor.drain(PATIENCE)
    assert bench.driver.calls == []
    assert bench.conductor.finished.empty()
