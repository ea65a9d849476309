"""Threads that tell Nova, so that none that is slow with one keeps others from being told.

What is told for the first time has threads of its own, and so many that those which wait for a
cell that does not answer are not all of them. What has failed before has a few others.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures

from oslo_log import log

from cyborg.domain.errors import ServiceUnavailable

LOG = log.getLogger(__name__)

#: Threads for what is told for the first time, and for what is told again.
FIRST, AGAIN = 64, 8

#: What may wait for a thread. What finds no room is due again when its lease has run out.
WAITING = 10_000


class Senders:
    """What is to be told has a key: as long as it waits or is being told, it is not taken again.

    Every method may be called by any thread, and none waits.
    """

    def __init__(self) -> None:
        self._first = futures.ThreadPoolExecutor(FIRST, thread_name_prefix="conductor-first")
        self._again = futures.ThreadPoolExecutor(AGAIN, thread_name_prefix="conductor-again")
        self._lock = threading.Lock()
        #: Key to whether it is told again.
        self._taken: dict[str, bool] = {}
        self._stopped = False

    def first(self, key: str, work: Callable[[], None]) -> bool:
        """Let something be told for the first time; return False if it is not taken."""
        return self._submit(key, work, again=False)

    def again(self, key: str, work: Callable[[], None]) -> bool:
        """Let something be told again; return False if it is not taken."""
        return self._submit(key, work, again=True)

    def room(self) -> int:
        """Return how much could be told again now, each by a thread that is free."""
        with self._lock:
            return self._room()

    def stop(self) -> None:
        """Take nothing more, and forget what waits."""
        with self._lock:
            self._stopped = True
        for pool in (self._first, self._again):
            pool.shutdown(wait=False, cancel_futures=True)

    def _room(self) -> int:
        return AGAIN - sum(self._taken.values())

    def _submit(self, key: str, work: Callable[[], None], *, again: bool) -> bool:
        with self._lock:
            full = self._room() <= 0 if again else len(self._taken) >= WAITING
            if self._stopped or full or key in self._taken:
                return False
            pool = self._again if again else self._first
            pool.submit(self._do, key, work)
            self._taken[key] = again
            return True

    def _do(self, key: str, work: Callable[[], None]) -> None:
        try:
            work()
        except ServiceUnavailable as error:
            LOG.warning("event not looked after: %s", error)
        except Exception:
            # An outermost loop: nobody else would say it in the log.
            LOG.exception("sending an event failed")
        finally:
            with self._lock:
                del self._taken[key]
