"""Calls that may never return, each waited for only so long.

The kernel may leave a thread that reads an attribute of a broken card in a state that nothing
ends. So the call is made by another thread, which is left behind where that happens, and what
it was about is not touched again until it has returned.
"""

from __future__ import annotations

import errno
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds for which a thread that has nothing to do waits for more.
_IDLE = 5.0


class _Call:
    """One call, and how it has ended."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.ended = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None
        #: Where it is stuck, once nobody waits for it any more.
        self.stuck_at: str | None = None

    def make(self) -> None:
        try:
            self.result = self.function()
        except BaseException as error:  # whoever waits for it raises it again
            self.error = error


class Patience:
    """Makes calls in threads of its own. Safe for several threads."""

    def __init__(self, seconds: float) -> None:
        """Begin without a thread.

        :param seconds: how long a call is waited for that does not go on.
        """
        self.seconds = seconds
        self._lock = threading.Lock()
        #: Threads that wait for a call.
        self._idle: list[queue.SimpleQueue[_Call]] = []
        #: Where calls are that have not returned in time.
        self._stuck: set[str] = set()

    def is_stuck(self, where: str) -> bool:
        """Return whether a call that was here has not returned."""
        # Without the lock, since this is asked for every file of a host.
        return where in self._stuck

    def call(self, function: Callable[[], T], where: Callable[[], str]) -> T:
        """Return what a function returns, or raise what it raises.

        :param where: says where the function is; as long as that changes, it is waited for.
        :raises TimeoutError: it has not gone on in time; it does when it can.
        """
        call = _Call(function)
        before = where()
        self._hand_over(call)
        while not call.ended.wait(self.seconds):
            now = where()
            if now != before:
                before = now
                continue
            with self._lock:
                if not call.ended.is_set():
                    call.stuck_at = now
                    self._stuck.add(now)
            if call.stuck_at is not None:
                raise self.too_slow(call.stuck_at)
        if call.error is not None:
            raise call.error
        result: T = call.result
        return result

    def too_slow(self, where: str) -> TimeoutError:
        """Return the error of a call that has not returned in time."""
        return TimeoutError(errno.ETIMEDOUT, f"no answer within {self.seconds:g} s", where)

    def _hand_over(self, call: _Call) -> None:
        with self._lock:
            if self._idle:
                self._idle.pop().put(call)
                return
        calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        calls.put(call)
        threading.Thread(target=self._serve, args=(calls,), name="host", daemon=True).start()

    def _serve(self, calls: queue.SimpleQueue[_Call]) -> None:
        while (call := self._next(calls)) is not None:
            call.make()
            with self._lock:
                # First idle, then heard of: or the next call would start another thread.
                self._idle.append(calls)
                call.ended.set()
                if call.stuck_at is not None:
                    self._stuck.discard(call.stuck_at)
            # Or all that was read would be kept until the next call.
            del call

    def _next(self, calls: queue.SimpleQueue[_Call]) -> _Call | None:
        """Return the next call; None if none came for a while."""
        while True:
            try:
                return calls.get(timeout=_IDLE)
            except queue.Empty:
                with self._lock:
                    if calls in self._idle:
                        self._idle.remove(calls)
                        return None
