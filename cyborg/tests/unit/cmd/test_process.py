"""A process of services: what makes it end, and with what status."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from cyborg import threads
from cyborg.cmd import process
from cyborg.conf import opts
from cyborg.domain.errors import ConfigurationError


@pytest.fixture
def conf(monkeypatch: pytest.MonkeyPatch) -> Iterator[cfg.ConfigOpts]:
    """A configuration, in a process whose signals and hooks are as before afterwards."""
    conf = cfg.ConfigOpts()
    opts.register(conf)
    conf([])
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield conf
    for number, handler in before.items():
        signal.signal(number, handler)
    threads._when_lost.clear()


class Service:
    """Notes what it is told."""

    def __init__(self, name: str, steps: list[str]) -> None:
        self._name = name
        self._steps = steps

    def start(self) -> None:
        self._steps.append(f"start {self._name}")

    def stop(self, timeout: float) -> None:
        self._steps.append(f"stop {self._name} {timeout}")

    def reload(self) -> None:
        """Nothing to do."""


class Broken(Service):
    """Cannot start."""

    def start(self) -> None:
        raise ConfigurationError("no such driver")


class Losing(Service):
    """Has a thread that ends at once."""

    def start(self) -> None:
        super().start()
        threads.serve("looker", lambda: None, done=lambda: False)


def test_a_service_that_cannot_start_ends_all(conf: cfg.ConfigOpts) -> None:
    steps: list[str] = []
    services = [Service("a", steps), Broken("b", steps), Service("c", steps)]
    with pytest.raises(ConfigurationError, match="no such driver"):
        process.run(conf, services)
    assert steps == ["start a", "stop c 0", "stop b 0", "stop a 0"]


def test_a_lost_thread_ends_the_process_which_drains(conf: cfg.ConfigOpts) -> None:
    steps: list[str] = []
    assert process.run(conf, [Service("a", steps), Losing("b", steps)]) == 1
    assert steps == ["start a", "start b", "stop b 30", "stop a 30"]


def test_a_signal_ends_it_well(conf: cfg.ConfigOpts) -> None:
    class Told(Service):
        def start(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    assert process.run(conf, [Told("a", [])]) == 0


class Interrupted(Service):
    """Has a thread which the kernel chooses for signals."""

    def __init__(self, name: str, steps: list[str]) -> None:
        super().__init__(name, steps)
        self._again = threading.Event()

    def start(self) -> None:
        super().start()
        threading.Thread(target=self._take).start()

    def reload(self) -> None:
        self._steps.append("reload")
        self._again.set()

    def _take(self) -> None:
        time.sleep(0.3)  # the main thread waits by now
        signal.pthread_kill(threading.get_ident(), signal.SIGHUP)
        if self._again.wait(5):
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        else:
            self._steps.append("heard nothing")
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def test_a_signal_that_interrupts_another_thread_is_heard(conf: cfg.ConfigOpts) -> None:
    steps: list[str] = []
    assert process.run(conf, [Interrupted("a", steps)]) == 0
    assert steps == ["start a", "reload", "stop a 30"]


def test_a_changed_option_is_changed_for_who_reads_it_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "cyborg.conf"
    file.write_text("")
    conf = cfg.ConfigOpts()
    opts.register(conf)
    conf([], default_config_files=[str(file)], default_config_dirs=[])
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            _ = conf.agent.call_timeout

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for seconds in range(10, 30):
            file.write_text(f"[agent]\ncall_timeout = {seconds}\n")
            process._reload(conf, [])
            assert conf.agent.call_timeout == seconds
    finally:
        over.set()
        reader.join()
