"""A device that is not there: told as that, not as done and not as failed; and what is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyborg.agent.bitstreams import BitstreamError
from cyborg.agent.job_reports import reason
from cyborg.agent.journal import Phase
from cyborg.domain.model import JobKind
from cyborg.domain.text import is_plain
from cyborg.domain.work import Work
from cyborg.drivers.contract import DeviceAway, DriverError
from cyborg.tests.unit.agent.helpers import job_uuid, make_work, prepare, program, release, work_of
from cyborg.tests.unit.agent.test_executor import Bench

AWAY = DeviceAway("card-1 is not at 0000:0c:00.0")
TOLD = (job_uuid(1), 1, "card-1 is not at 0000:0c:00.0")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "journal")
    yield made
    made.close()


def make_release(generation: int = 1) -> Work:
    return make_work(generation=generation, kind=JobKind.RELEASE)


@pytest.mark.parametrize("kind", [JobKind.RELEASE, JobKind.PREPARE])
def test_it_is_told_and_journaled(bench: Bench, kind: JobKind) -> None:
    bench.driver.errors["handle-1"] = AWAY
    bench.submit(make_work(kind=kind))
    assert bench.conductor.next_finished() == TOLD
    assert bench.conductor.away == [job_uuid(1)]
    entry = bench.journal.get(job_uuid(1))
    assert entry is not None
    assert (entry.phase, entry.error, entry.away) == (Phase.FINISHED, TOLD[2], True)


def test_a_programming_of_what_is_away(bench: Bench) -> None:
    bench.driver.errors["host_card-1"] = AWAY
    bench.submit(work_of(program()))
    assert bench.conductor.next_finished() == TOLD
    assert bench.conductor.away == [job_uuid(1)]


def test_other_failures_are_not_away(bench: Bench) -> None:
    bench.driver.errors["handle-1"] = DriverError("the card is stuck")
    bench.submit(make_release())
    bench.conductor.next_finished()
    bench.images.errors = [BitstreamError("not there")]
    bench.submit(work_of(program(), job=2))
    bench.conductor.next_finished()
    assert bench.conductor.away == []
    entry = bench.journal.get(job_uuid(1))
    assert entry is not None
    assert not entry.away


def test_one_step_of_several(bench: Bench) -> None:
    bench.driver.errors["handle-1"] = AWAY
    bench.submit(work_of(prepare(2), release(1)))
    error = bench.conductor.next_finished()[2]
    assert error == "Step 2 of 2, release: card-1 is not at 0000:0c:00.0"
    assert bench.conductor.away == [job_uuid(1)]


def test_the_same_question_has_the_same_answer(bench: Bench) -> None:
    """Also of an agent that was restarted since; the driver is not called again."""
    bench.driver.errors["handle-1"] = AWAY
    bench.submit(make_release())
    bench.conductor.next_finished()
    again = Bench(bench.directory)
    again.submit(make_release())
    assert again.conductor.next_finished() == TOLD
    assert again.conductor.away == [job_uuid(1)]
    assert again.driver.calls == []


def test_the_next_attempt_finds_it_back(bench: Bench) -> None:
    bench.driver.errors["handle-1"] = AWAY
    bench.submit(make_release())
    bench.conductor.next_finished()
    bench.submit(make_release(generation=2))
    assert bench.conductor.next_finished() == (job_uuid(1), 2, None)
    assert bench.conductor.away == [job_uuid(1)]
    entry = bench.journal.get(job_uuid(1))
    assert entry is not None
    assert not entry.away


HOSTILE = "tool said:\n\x1b[31m\x00 half\udce9\u2028 ERROR forged"
PLAIN = "tool said: [31m half ERROR forged"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DriverError(HOSTILE), PLAIN),
        (DriverError("x" * 5000), "x" * 1999 + "…"),
        (DriverError(""), "The driver gave no reason."),
        (DriverError("\n\x00\udc80 "), "The driver gave no reason."),
        (OSError(HOSTILE), f"The driver test_driver failed: OSError: {PLAIN}"),
        (DeviceAway(HOSTILE), PLAIN),
    ],
)
def test_what_a_driver_says_is_one_plain_line(
    bench: Bench, error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Finding 13: no database, message or log can hold the rest."""
    bench.driver.errors["handle-1"] = error
    bench.submit(make_release())
    assert bench.conductor.next_finished()[2] == told
    entry = bench.journal.get(job_uuid(1))
    assert entry is not None
    assert entry.error == told
    if isinstance(error, DriverError):
        assert all(is_plain(record.message) for record in caplog.records)


def test_what_is_said_of_a_step_is_plain_and_names_the_step(bench: Bench) -> None:
    bench.driver.errors["handle-1"] = DriverError("\x00")
    bench.submit(work_of(prepare(1), prepare(2)))
    error = bench.conductor.next_finished()[2]
    assert error == "Step 1 of 2, prepare: The driver gave no reason."


def test_what_cannot_be_had_is_told_in_one_plain_line(bench: Bench) -> None:
    bench.images.errors = [BitstreamError(HOSTILE)]
    bench.submit(work_of(program()))
    assert bench.conductor.next_finished()[2] == PLAIN


def test_a_driver_that_is_not_there_has_any_name(bench: Bench) -> None:
    bench.submit(make_work(driver="gone\n\udc80driver"))
    error = bench.conductor.next_finished()[2]
    assert error == "The driver gone driver is not enabled on this host."


def test_what_an_earlier_release_has_journaled_is_told_as_one_plain_line(bench: Bench) -> None:
    bench.driver.errors["handle-1"] = DriverError("x")
    bench.submit(make_release())
    bench.conductor.next_finished()
    file = bench.directory / f"{job_uuid(1)}.json"
    written = json.loads(file.read_text())
    del written["away"]
    file.write_text(json.dumps({**written, "error": HOSTILE}))
    again = Bench(bench.directory)
    again.submit(make_release())
    assert again.conductor.next_finished() == (job_uuid(1), 1, PLAIN)
    assert again.conductor.away == []


@given(st.text(st.characters(categories=None)))
def test_a_reason_is_plain_bounded_and_says_something(text: str) -> None:
    told = reason(text)
    assert is_plain(told)
    assert 1 <= len(told) <= 2000
    told.encode()
    assert reason(told) == told
