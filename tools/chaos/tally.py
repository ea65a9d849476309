"""What was answered, and which events have come."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection

from cyborg.tests.servers import NovaStandIn

#: No answer at all: nobody listened, or the connection ended.
NONE = 0
UNAVAILABLE = 503
#: Nothing else is ever answered to Nova, whatever is going on.
ALLOWED = frozenset({200, 201, 202, 204, 404, 409, 503})

_LOOK_SECONDS = 0.02


class Tally:
    """Counts answers by method and status. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[tuple[str, int]] = Counter()
        self._texts: list[str] = []

    def note(self, method: str, status: int, text: str = "") -> None:
        """Count an answer."""
        with self._lock:
            self._answers[method, status] += 1
            if status not in ALLOWED or status == UNAVAILABLE:
                self._texts.append(f"{method} {status} {text[:300]}")

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._answers.clear()
            self._texts.clear()

    def count(self, *statuses: int) -> int:
        """Return how often there were such statuses; without any, how many answers."""
        with self._lock:
            return sum(n for (_, s), n in self._answers.items() if not statuses or s in statuses)

    def check(self, *, may_be_silent: bool = False) -> None:
        """Raise if there was an answer that must never be.

        :param may_be_silent: there may be none, since nobody listened for a while.
        """
        with self._lock:
            silent = {NONE} if may_be_silent else set()
            wrong = {key: n for key, n in self._answers.items() if key[1] not in ALLOWED | silent}
            assert not wrong, f"answered {wrong}, as in {self._texts[:3]}"

    def unanswered(self, method: str) -> int:
        """Return of how many requests nobody knows what has become."""
        with self._lock:
            return self._answers[method, NONE] + self._answers[method, UNAVAILABLE]

    def refuse(self, what: str) -> None:
        """Raise if a request was answered that nobody could serve it."""
        with self._lock:
            number = sum(n for (_, s), n in self._answers.items() if s == UNAVAILABLE)
            assert not number, f"{what}: {number} times 503, as in {self._texts[:2]}"

    def __str__(self) -> str:
        with self._lock:
            by_status: Counter[int] = Counter()
            for (_, status), number in self._answers.items():
                by_status[status] += number
        return " ".join(f"{status or 'none'}:{by_status[status]}" for status in sorted(by_status))


class Events:
    """When Nova was first told of each ARQ. Safe for several threads."""

    def __init__(self, nova: NovaStandIn) -> None:
        self._nova = nova
        self._changed = threading.Condition()
        self._told: dict[str, float] = {}
        self._seen = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="events", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no longer."""
        self._over.set()
        self._thread.join()

    def told(self, uuids: Collection[str]) -> float | None:
        """Return when the last of these was told (monotonic); None if some were not yet."""
        with self._changed:
            times = [self._told.get(uuid) for uuid in uuids]
        known = [each for each in times if each is not None]
        return max(known) if len(known) == len(times) else None

    def wait(self, uuids: Collection[str], deadline: float) -> float | None:
        """Return when the last of these was told, as soon as it is; None after the deadline."""
        while (told := self.told(uuids)) is None:
            with self._changed:
                if time.monotonic() > deadline:
                    return None
                self._changed.wait(0.5)
        return told

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            received = self._nova.received
            new, self._seen = received[self._seen :], len(received)
            if not new:
                continue
            with self._changed:
                for request in new:
                    for event, _code in zip(request.events, request.codes, strict=False):
                        self._told.setdefault(event["tag"], request.time)
                self._changed.notify_all()
