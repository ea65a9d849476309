"""Threads that serve: one that ends by itself is lost, and said so once, with its reason."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from cyborg import threads

PATIENCE = 10.0


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect the names of lost threads."""
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    names: list[str] = []
    threads.when_lost(names.append)
    yield names
    threads._when_lost.clear()


def fail() -> None:
    raise RuntimeError("what nobody thought of")


def leave() -> None:
    raise SystemExit(0)


@pytest.mark.parametrize("target", [fail, leave, lambda: None], ids=["fails", "exits", "returns"])
def test_a_thread_that_ends_by_itself_is_lost(
    lost: list[str], caplog: pytest.LogCaptureFixture, target: Callable[[], None]
) -> None:
    threads.serve("looker", target, done=lambda: False).join(PATIENCE)
    assert lost == ["looker"]
    (record,) = caplog.records
    assert (record.levelno, "looker" in record.getMessage()) == (logging.CRITICAL, True)
    assert ("what nobody thought of" in caplog.text) == (target is fail)


def test_a_thread_that_fails_is_lost_although_it_might_have_ended(lost: list[str]) -> None:
    threads.serve("looker", fail, done=lambda: True).join(PATIENCE)
    assert lost == ["looker"]


def test_a_thread_that_may_end_does(lost: list[str], caplog: pytest.LogCaptureFixture) -> None:
    told = threading.Event()
    thread = threads.serve("looker", told.wait, PATIENCE, done=told.is_set)
    assert thread.daemon
    told.set()
    thread.join(PATIENCE)
    assert (lost, caplog.records) == ([], [])


def of_module(name: str) -> Callable[[], None]:
    """Return a function of a module of this name that fails."""
    module = ModuleType(name)
    exec("def fail(): raise RuntimeError('what nobody thought of')", module.__dict__)  # noqa: S102 -- ours
    found: Callable[[], None] = module.fail
    return found


@pytest.mark.parametrize(
    ("module", "is_lost"),
    [("oslo_messaging._drivers.amqpdriver", True), ("cheroot.workers", True), ("vendor", False)],
)
def test_threads_of_libraries_serve_and_those_of_drivers_do_not(
    lost: list[str], caplog: pytest.LogCaptureFixture, module: str, is_lost: bool
) -> None:
    thread = threading.Thread(target=of_module(module), name="theirs")
    thread.start()
    thread.join(PATIENCE)
    assert lost == (["theirs"] if is_lost else [])
    (record,) = caplog.records
    assert record.levelno == (logging.CRITICAL if is_lost else logging.ERROR)
    assert "what nobody thought of" in caplog.text
