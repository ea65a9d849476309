"""What waits for a card: one piece of work at a time on each, cards beside each other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from oslo_log import log

from cyborg.agent.threads import Threads

LOG = log.getLogger(__name__)

T = TypeVar("T")


class CardQueues(Generic[T]):
    """One queue a card, and one thread as long as something is in it.

    Every method may be called by any thread, and none waits for what runs.
    """

    def __init__(self, run: Callable[[T], None], threads: Threads) -> None:
        """Make queues that are empty.

        :param run: does what has come to its turn; what it raises is logged.
        :param threads: where the cards' threads are started.
        """
        self._run = run
        self._threads = threads
        self._lock = threading.Lock()
        #: Of cards that have a thread; what runs is in it no more.
        self._waiting: dict[str, deque[T]] = {}

    def add(self, card: str, item: T) -> None:
        """Let something wait for its turn.

        :raises RuntimeError: if there is no thread to be had; then it does not wait.
        """
        with self._lock:
            queue = self._waiting.get(card)
            if queue is None:
                queue = deque()
                self._threads.start(self._serve, card, queue)
                self._waiting[card] = queue
            queue.append(item)

    def remove(self, card: str, item: T) -> bool:
        """Take out what waits; return False if its turn has come or it never waited."""
        with self._lock:
            queue = self._waiting.get(card, deque())
            if item not in queue:
                return False
            queue.remove(item)
            return True

    def clear(self) -> list[T]:
        """Take out all that waits, and return it."""
        with self._lock:
            waiting = [item for queue in self._waiting.values() for item in queue]
            for queue in self._waiting.values():
                queue.clear()
            return waiting

    def _serve(self, card: str, queue: deque[T]) -> None:
        """Work on a card until nothing waits for it."""
        while True:
            with self._lock:
                if not queue:
                    # In one step with the look, so that nobody adds to a queue without thread.
                    del self._waiting[card]
                    return
                item = queue.popleft()
            try:
                self._run(item)
            except Exception:  # a thread's outermost loop: the card's other work goes on
                LOG.exception("agent has a bug device=%s", card)
