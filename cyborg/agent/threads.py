"""Threads that somebody waits for before the process ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

from oslo_log import log

LOG = log.getLogger(__name__)


class Threads:
    """Starts threads and counts those that have not ended. Safe for several threads."""

    def __init__(self, name: str) -> None:
        """Begin with no thread.

        :param name: what all of them are called.
        """
        self._name = name
        self._ended = threading.Condition()
        self._running = 0

    def start(self, target: Callable[..., None], *arguments: object) -> None:
        """Run a function in a thread of its own; what it raises is logged.

        :raises RuntimeError: if the system has no more threads.
        """
        thread = threading.Thread(
            target=self._run, args=(target, *arguments), name=self._name, daemon=True
        )
        with self._ended:
            thread.start()
            self._running += 1

    def wait_until_ended(self, timeout: float) -> bool:
        """Wait until no thread is left; return False if that did not come in time."""
        with self._ended:
            return self._ended.wait_for(lambda: not self._running, timeout)

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        try:
            target(*arguments)
        except Exception:  # a thread's outermost frame: nobody above would say it in the log
            LOG.exception("thread failed name=%s", self._name)
        finally:
            with self._ended:
                self._running -= 1
                self._ended.notify_all()
