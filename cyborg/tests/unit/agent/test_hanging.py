"""A driver's call that does not return: its card is out of service, and the others go on.

Calls may take no time at all here while a card is to hang, and all the time afterwards.
"""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cyborg.agent.calls import Calls, CardHangs, call_limit
from cyborg.agent.scan import Scanner
from cyborg.domain.inventory import DeviceReport, UnseenDevice
from cyborg.domain.model import DeviceCondition, JobKind
from cyborg.domain.work import Step, Work
from cyborg.drivers.contract import Discovery, DriverError, Problem
from cyborg.tests.unit.agent.helpers import (
    PATIENCE,
    OtherDriver,
    ScriptedDriver,
    job_uuid,
    make_device,
    make_work,
    prepare,
    program,
    release,
    work_of,
)
from cyborg.tests.unit.agent.test_executor import Bench
from cyborg.tests.unit.drivers.helpers import make_conf

PREPARE, RELEASE = JobKind.PREPARE, JobKind.RELEASE


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "journal")
    yield made
    made.limit = PATIENCE
    made.close()


def hang(bench: Bench, *steps: Step) -> str | None:
    """Let the first job's call hang; return what is told of it."""
    gate = threading.Event()
    bench.driver.gates = {"handle-1": gate, "host_card-1": gate}
    bench.limit = 0.0
    bench.submit(work_of(*steps))
    job, _, error = bench.conductor.next_finished()
    assert job == job_uuid(1)
    bench.limit = PATIENCE
    assert bench.noticed.acquire(timeout=PATIENCE), "nobody was told that a card hangs"
    return error


def let_return(bench: Bench) -> None:
    for gate in bench.driver.gates.values():
        gate.set()
    assert bench.noticed.acquire(timeout=PATIENCE), "nobody was told that it hangs no more"
    bench.driver.gates = {}


@pytest.mark.parametrize("step", [prepare(), release(), program()])
def test_the_attempt_ends_with_the_call_as_its_reason(bench: Bench, step: Step) -> None:
    error = hang(bench, step)
    assert error is not None
    assert error.startswith(f"The driver's {step.name} (")
    assert error.endswith("UTC, has not returned.")
    assert bench.calls.hanging("card-1") == error
    # What was to be released is unclean until the card works; anything else has failed.
    assert bench.conductor.away == ([job_uuid(1)] if step.name == "release" else [])
    let_return(bench)
    assert bench.calls.hanging("card-1") is None


def test_a_check_that_hangs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(bench.driver, "check", lambda *_arguments: gate.wait(PATIENCE))
    bench.limit = 0.0
    bench.submit(work_of(program()))
    error = bench.conductor.next_finished()[2]
    assert error is not None
    assert error.startswith("The driver's check (")
    assert bench.conductor.asked == []
    assert bench.noticed.acquire(timeout=PATIENCE)
    gate.set()
    assert bench.noticed.acquire(timeout=PATIENCE)


def later_work(kind: JobKind, device: str = "card-1") -> Work:
    return make_work(2, kind=kind, device=device)


@pytest.mark.parametrize("kind", [PREPARE, RELEASE])
def test_what_comes_for_the_card_meanwhile_is_not_begun(bench: Bench, kind: JobKind) -> None:
    error = hang(bench, prepare())
    asked, called = list(bench.conductor.asked), list(bench.driver.calls)
    bench.submit(later_work(kind))
    assert bench.conductor.next_finished() == (job_uuid(2), 1, error)
    assert bench.conductor.away == ([job_uuid(2)] if kind is RELEASE else [])
    assert bench.driver.calls == called
    assert bench.conductor.asked == asked
    assert bench.journal.get(job_uuid(2)) is None
    let_return(bench)


def test_what_waited_behind_it_ends_too(bench: Bench) -> None:
    """Two calls for one card are never under way at once, also where one has no end."""
    gate = bench.gate(1)
    limits = iter([0.0])
    bench.calls = Calls(lambda _name: next(limits), bench.noticed.release)
    executor = bench.make_executor(calls=bench.calls)
    begun = threading.Event()
    bench.conductor.answer = lambda *_question: begun.wait(PATIENCE)
    executor.submit(make_work(1))
    executor.submit(later_work(RELEASE))
    begun.set()
    told = [bench.conductor.next_finished()[0] for _ in range(2)]
    assert sorted(told) == [job_uuid(1), job_uuid(2)]
    assert bench.driver.calls == [("prepare", "handle-1")]
    assert bench.noticed.acquire(timeout=PATIENCE)
    gate.set()
    assert bench.noticed.acquire(timeout=PATIENCE)
    assert executor.drain(PATIENCE)


def test_other_cards_go_on(bench: Bench) -> None:
    hang(bench, prepare())
    bench.submit(later_work(RELEASE, device="card-2"))
    assert bench.conductor.next_finished() == (job_uuid(2), 1, None)
    assert bench.calls.hanging("card-2") is None
    let_return(bench)


@pytest.mark.parametrize("error", [None, DriverError("after all"), ZeroDivisionError("x")])
def test_however_the_call_ends_the_card_works_again(
    bench: Bench, error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    hang(bench, release())
    if error is not None:
        bench.driver.errors["handle-1"] = error
    let_return(bench)
    assert f"driver hangs no more device=card-1 call=release error={error}" in caplog.text
    bench.submit(later_work(PREPARE))
    assert bench.conductor.next_finished() == (job_uuid(2), 1, None)
    assert bench.everything_told() == [], "the late end was told"


def test_one_line_says_that_a_card_hangs(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    error = hang(bench, prepare())
    [said] = [each.message for each in caplog.records if each.levelno == logging.ERROR]
    assert said.startswith("driver hangs device=card-1 after 0 s: ")
    assert said.endswith(str(error))
    let_return(bench)


def test_the_agents_end_does_not_wait_for_it(bench: Bench) -> None:
    hang(bench, prepare())
    assert bench.executor.drain(PATIENCE)
    let_return(bench)


def test_a_call_may_take_what_its_name_may_take(bench: Bench) -> None:
    names = []

    def limit(name: str) -> float:
        names.append(name)
        return PATIENCE

    executor = bench.make_executor(calls=Calls(limit, bench.noticed.release))
    executor.submit(work_of(program(), release()))
    assert bench.conductor.next_finished()[2] is None
    assert names == ["check", "program", "release"]


@pytest.mark.parametrize("name", ["prepare", "release", "check", "program"])
def test_limits_are_options_that_can_change(name: str) -> None:
    conf = make_conf()
    option, default = ("program_timeout", 600) if name == "program" else ("call_timeout", 50)
    assert call_limit(conf, name) == default
    conf.set_override(option, 5, "agent")
    assert call_limit(conf, name) == 5


def _wait_for(gate: threading.Event) -> None:
    assert gate.wait(PATIENCE)


@pytest.mark.parametrize("step", [release(), program()])
def test_without_a_thread_for_it_nothing_is_begun(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step: Step
) -> None:
    """That is no failure of the hardware's, and must not cost a handle."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("driver-"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    bench.submit(work_of(step))
    error = bench.conductor.next_finished()[2]
    assert error == "The agent cannot call the driver: can't start new thread."
    assert bench.conductor.not_begun == [job_uuid(1)]
    assert bench.driver.calls == []
    assert bench.journal.get(job_uuid(1)) is None


def test_a_slow_driver_has_more_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs each time that it is released is never clean."""
    monkeypatch.setattr(bench.driver, "longest_call", PATIENCE)
    bench.limit = 0.0
    gate = bench.gate(1)
    bench.submit(make_work(kind=RELEASE))
    bench.await_begun(1)
    assert bench.calls.hanging("card-1") is None
    gate.set()
    assert bench.conductor.next_finished() == (job_uuid(1), 1, None)


def test_spellings_of_one_card_are_one_card() -> None:
    gate = threading.Event()
    changed = threading.Semaphore(0)
    when = datetime.datetime(2026, 11, 29, 12, 30, 59, tzinfo=datetime.UTC)
    calls = Calls(lambda _name: 0.0, changed.release, lambda: when)
    why = r"^The driver's release \(handle=1\), called at 2026-11-29 12:30:59 UTC, has not returned"
    with pytest.raises(CardHangs, match=why):
        calls.make(["0000:0C:00.0"], "release", "handle=1", lambda: _wait_for(gate), queue="slot")
    with pytest.raises(CardHangs, match=why):
        calls.make(
            ["0000:0c:00.0"], "prepare", "handle=1", lambda: pytest.fail("called"), queue="slot"
        )
    gate.set()
    for _ in range(2):
        assert changed.acquire(timeout=PATIENCE)


def withholding(devices: list[str]) -> Callable[[str], str | None]:
    return lambda device: "the call hangs" if device in devices else None


def shown(devices: tuple[DeviceReport, ...]) -> list[tuple[str, str, str | None]]:
    return [(each.identity, str(each.condition), each.condition_reason) for each in devices]


def test_it_is_reported_as_failed() -> None:
    found = Discovery((make_device("card-1"), make_device("card-2")))
    withheld: list[str] = []
    scanner = Scanner([ScriptedDriver(lambda: found)], withholding(withheld))
    before = scanner.scan(PATIENCE)
    withheld.append("card-2")
    snapshot = scanner.scan(PATIENCE)
    assert shown(snapshot.devices) == [
        ("card-1", str(before.devices[0].condition), None),
        ("card-2", "failed", "the call hangs"),
    ]
    assert scanner.scan(PATIENCE).digest() == snapshot.digest()
    withheld.clear()
    assert scanner.scan(PATIENCE).digest() == before.digest()


def fail() -> Discovery:
    raise DriverError("a scan that hangs with it")


@pytest.mark.parametrize(
    "look",
    [fail, lambda: Discovery(problems=(Problem("0000:0c", "cannot be read", "card-1"),))],
)
def test_it_is_reported_though_its_driver_does_not_see_it(look: Callable[[], Discovery]) -> None:
    """The record of what is not seen stays as it was: it would be offered for ever."""
    driver = ScriptedDriver(lambda: Discovery((make_device("card-1"),)))
    beside = OtherDriver(lambda: Discovery((make_device("card-2", "other_driver"),)))
    withheld: list[str] = []
    scanner = Scanner([driver, beside], withholding(withheld))
    scanner.scan(PATIENCE)
    driver.find = look
    unseen = scanner.scan(PATIENCE)
    assert [each.identity for each in unseen.devices] == ["card-2"]
    withheld.append("card-1")
    hung = scanner.scan(PATIENCE)
    conditions = {each.identity: each.condition for each in hung.devices}
    assert conditions["card-1"] is DeviceCondition.FAILED
    assert conditions["card-2"] is not DeviceCondition.FAILED
    assert hung.unseen == ()
    withheld.clear()
    after = scanner.scan(PATIENCE)
    assert [each.identity for each in after.devices] == ["card-2"]
    assert after.unseen == (() if look is fail else (UnseenDevice("test_driver", "card-1"),))
