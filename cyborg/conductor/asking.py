"""Asking other services while somebody waits for the answer to a request.

A service may take a connection and say nothing, and so may the Keystone that it needs a token of;
one thread after the other would wait for its whole timeout. So threads of their own ask, few of
them, and one budget limits what a request waits for all that it asks. Whoever did not answer is
left alone for a while, and then asked by one request first.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

from oslo_context import context as oslo_context

from cyborg.clients.http import NoAnswer
from cyborg.domain.errors import ServiceUnavailable
from cyborg.rpc.context import forget

#: Seconds that a request waits for other services, all of them together.
BUDGET = 5.0

#: Seconds for which a service is left alone that has not answered in time.
PAUSE = 15.0

#: Threads that ask one service.
THREADS = 8

T = TypeVar("T")


class Budget:
    """What is left of the time that one request may wait for other services."""

    def __init__(self, seconds: float | None = None) -> None:
        """Begin with so many seconds, by default :data:`BUDGET`."""
        self.left = BUDGET if seconds is None else seconds

    def spend(self, seconds: float) -> None:
        """Take away what was waited."""
        self.left = max(0.0, self.left - seconds)


class Asking:
    """Asks services, by their names. Every method may be called by any thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Make what has asked nobody yet, and has no thread."""
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._pools: dict[str, futures.ThreadPoolExecutor] = defaultdict(
            lambda: futures.ThreadPoolExecutor(THREADS, thread_name_prefix="conductor-asking")
        )
        self._stopped = False
        #: Until when services are left alone.
        self._alone_until: dict[str, float] = {}

    def ask(self, service: str, work: Callable[[], T], budget: Budget) -> T:
        """Return what ``work`` returns, which goes on in its thread if it takes too long.

        :raises ServiceUnavailable: so it does, or the service has not answered a moment ago; or
            ``work`` raises it.
        """
        self._require_answering(service, budget)
        started = self._monotonic()
        future = self._begin(service, _as_now(work))
        try:
            result = future.result(budget.left)
        except futures.TimeoutError as error:
            future.cancel()
            self._leave_alone(service)
            raise ServiceUnavailable(f"{service} has not answered in time.") from error
        except NoAnswer:
            self._leave_alone(service)
            raise
        finally:
            budget.spend(self._monotonic() - started)
        with self._lock:
            self._alone_until.pop(service, None)
        return result

    def stop(self) -> None:
        """Ask nobody any more."""
        with self._lock:
            self._stopped = True
            for pool in self._pools.values():
                pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, service: str, work: Callable[[], T]) -> futures.Future[T]:
        with self._lock:
            if self._stopped:
                raise ServiceUnavailable(f"{service} is not asked any more: this process stops.")
            return self._pools[service].submit(work)

    def _require_answering(self, service: str, budget: Budget) -> None:
        with self._lock:
            until = self._alone_until.get(service)
            now = self._monotonic()
            if budget.left <= 0 or (until is not None and now < until):
                raise ServiceUnavailable(f"{service} has not answered a moment ago.")
            if until is not None:
                # This request finds out; the others do not wait for that.
                self._alone_until[service] = now + budget.left

    def _leave_alone(self, service: str) -> None:
        with self._lock:
            self._alone_until[service] = self._monotonic() + PAUSE


def _as_now(work: Callable[[], T]) -> Callable[[], T]:
    """Let another thread work for the request that this one works for."""
    current = oslo_context.get_current()

    def do() -> T:
        if current is not None:
            current.update_store()
        try:
            return work()
        finally:
            forget()

    return do
