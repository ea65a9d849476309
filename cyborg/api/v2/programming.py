"""Waiting, within a request, for the end of a programming that a conductor has begun.

The database is asked now and then; no conductor waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from cyborg.db.database import ReadDatabase
from cyborg.db.programming import Progress, progress
from cyborg.domain.errors import NotProgrammed, ProgrammingFailed, ServiceUnavailable
from cyborg.domain.model import ProgrammingState

#: Seconds between two looks: short at first, since many programmings are.
SHORTEST, LONGEST = 0.1, 1.0

#: Requests that wait at the same time in one process. More are answered at once: they must
#: not take all threads from everybody else.
MOST_WAITING = 4


class Waiter:
    """Waits for programmings. Safe for several threads."""

    def __init__(
        self,
        database: ReadDatabase,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database = database
        self._clock = clock
        self._sleep = sleep
        self._room = threading.BoundedSemaphore(MOST_WAITING)

    def wait(self, deployable: str, job_uuid: str, patience: float) -> None:
        """Return when a programming has succeeded, or after ``patience`` seconds.

        Returns too where its end cannot be told any more: another one has begun since.

        :raises NotProgrammed: it failed, and the deployable is as it was.
        :raises ProgrammingFailed: it failed half way.
        """
        if not self._room.acquire(blocking=False):
            return
        try:
            self._wait(deployable, job_uuid, self._clock() + patience)
        finally:
            self._room.release()

    def _wait(self, deployable: str, job_uuid: str, until: float) -> None:
        pause = SHORTEST
        while (left := until - self._clock()) > 0:
            self._sleep(min(pause, left))
            pause = min(2 * pause, LONGEST)
            # What is begun goes on: a database that is away for a while changes nothing.
            with suppress(ServiceUnavailable):
                if self._has_ended(deployable, job_uuid):
                    return

    def _has_ended(self, deployable: str, job_uuid: str) -> bool:
        with self._database.reader() as connection:
            found = progress(connection, deployable)
        if found is None or found.job_uuid != job_uuid:
            return True
        if found.state is ProgrammingState.FAILED:
            raise _failure(found)
        return found.state is not ProgrammingState.PROGRAMMING


def _failure(found: Progress) -> NotProgrammed | ProgrammingFailed:
    if found.content_unknown:
        return ProgrammingFailed(
            "Programming failed half way; nobody gets the deployable before it has been "
            f"programmed. {found.reason}"
        )
    return NotProgrammed(f"Nothing was programmed; the deployable is as it was. {found.reason}")
