import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cyborg.agent.report import Reporter
from cyborg.domain.errors import HostTaken, RemoteError, ServiceUnavailable
from cyborg.domain.inventory import Snapshot, UnseenDevice
from cyborg.tests.unit.agent.helpers import PATIENCE, Conductor, make_device

FULL = Snapshot((make_device(),))


@pytest.fixture
def conductor() -> Conductor:
    return Conductor()


def make(
    conductor: Conductor,
    scan: Callable[[], Snapshot] = lambda: FULL,
    interval: float = 60.0,
    introduce: Callable[[], Mapping[str, Any] | None] = lambda: None,
) -> Reporter:
    return Reporter("host", scan, conductor, lambda: interval, introduce=introduce)


def test_whole_report_only_when_wanted(conductor: Conductor) -> None:
    reporter = make(conductor)
    assert reporter.tick()
    conductor.wants_report = False
    assert reporter.tick()
    assert conductor.digests == [FULL.digest()] * 2
    assert conductor.reports == [FULL]


def test_a_restart_without_change_reports_nothing(conductor: Conductor) -> None:
    conductor.wants_report = False
    assert make(conductor).tick()
    assert conductor.reports == []


@pytest.mark.parametrize(
    "error", [ServiceUnavailable("no queue"), RemoteError("absurd", "cyborg.x", 400)]
)
@pytest.mark.parametrize("calls_before", [0, 1])
def test_refusals_are_logged_and_tried_again(
    conductor: Conductor, caplog: pytest.LogCaptureFixture, error: Exception, calls_before: int
) -> None:
    caplog.set_level(logging.INFO, "cyborg.agent.report")
    reporter = make(conductor)
    if calls_before:
        conductor.report = lambda host, snapshot, **_who: raise_(error)  # type: ignore[method-assign]  # a stand-in
    else:
        conductor.errors = [error]
    assert not reporter.tick()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(error) in caplog.text
    if calls_before:
        del conductor.report
    assert reporter.tick()
    assert conductor.reports == [FULL]


def test_it_says_who_it_is_with_each_report_as_it_is_then(conductor: Conductor) -> None:
    ages = iter([1.0, 2.0])
    reporter = make(conductor, introduce=lambda: {"boot_id": "boot-1", "boot_age": next(ages)})
    reporter.tick()
    conductor.wants_report = False
    reporter.tick()
    assert [who and who["boot_age"] for who in conductor.agents] == [1, 1, 2]


@pytest.mark.parametrize("calls_before", [0, 1])
def test_another_machines_host_is_an_error_and_tried_again(
    conductor: Conductor, caplog: pytest.LogCaptureFixture, calls_before: int
) -> None:
    caplog.set_level(logging.INFO, "cyborg.agent.report")
    refusal = RemoteError("Another machine's agent reports.", HostTaken.code, 409)
    reporter = make(conductor)
    for number in range(2):
        if calls_before:
            conductor.report = lambda host, snapshot, **_who: raise_(refusal)  # type: ignore[method-assign]  # a stand-in
        else:
            conductor.errors = [refusal]
        assert not reporter.tick()
        assert reporter.delay(False) == 2**number
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 2
    for record in caplog.records:
        assert "host=host reason=Another machine's agent reports." in record.getMessage()
        assert "[agent] resource_provider_name" in record.getMessage()
    if calls_before:
        del conductor.report
    assert reporter.tick()


def raise_(error: Exception) -> None:
    raise error


def test_info_only_on_changes(conductor: Conductor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cyborg.agent.report")
    found = [FULL]
    reporter = make(conductor, lambda: found[-1])
    for _ in range(3):
        reporter.tick()
    assert len(caplog.records) == 1
    found.append(Snapshot((), ("test_driver",), (UnseenDevice("test_driver", "lost"),)))
    for _ in range(3):
        reporter.tick()
    assert len(caplog.records) == 2
    assert "host=host devices=0 failed_drivers=test_driver unseen=1" in caplog.text


def test_back_off(conductor: Conductor) -> None:
    reporter = make(conductor, interval=10.0)
    assert [reporter.delay(False) for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    assert reporter.delay(True) == 10
    assert reporter.delay(False) == 1
    for _ in range(5000):
        reporter.delay(False)
    assert reporter.delay(False) == 10


class Ticks:
    """A scan that says when it begins."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.error: Exception | None = None

    def __call__(self) -> Snapshot:
        self.begun.release()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return FULL

    def wait(self) -> None:
        assert self.begun.acquire(timeout=PATIENCE)


def test_run_until_stopped(conductor: Conductor) -> None:
    ticks = Ticks()
    reporter = make(conductor, ticks, interval=3600.0)
    thread = threading.Thread(target=reporter.run)
    thread.start()
    ticks.wait()
    reporter.wake()
    ticks.wait()
    assert not ticks.begun.acquire(timeout=0.05), "one wake is one scan"
    reporter.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_run_outlives_a_bug(conductor: Conductor, caplog: pytest.LogCaptureFixture) -> None:
    ticks = Ticks()
    ticks.error = KeyError("bug")
    reporter = make(conductor, ticks, interval=0.01)
    thread = threading.Thread(target=reporter.run)
    thread.start()
    ticks.wait()
    ticks.wait()
    reporter.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert "KeyError" in caplog.text
    assert conductor.reports


def test_stopped_before_it_began(conductor: Conductor) -> None:
    reporter = make(conductor)
    reporter.stop()
    reporter.run()
    assert conductor.digests == []
