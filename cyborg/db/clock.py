"""The database's clock, which all processes have in common. Those of their hosts may be wrong."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable

import sqlalchemy as sa

from cyborg.db.database import ReadDatabase
from cyborg.db.types import database_now

#: Seconds for which a look at the clock is good: how long a clock that was put back goes unseen.
GOOD_FOR = 60.0


def present(connection: sa.Connection) -> datetime.datetime:
    """Return the database's present. One statement."""
    found: datetime.datetime = connection.execute(sa.select(database_now())).scalar_one()
    return found


class DatabaseClock:
    """Tells the database's time between looks at it. Safe for several threads."""

    def __init__(
        self, database: ReadDatabase, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Make a clock that has not been looked at."""
        self._database = database
        self._monotonic = monotonic
        self._lock = threading.Lock()
        #: The database's time at a moment of ours, and that moment.
        self._seen: tuple[datetime.datetime, float] | None = None

    def expires_at(self, seconds: float) -> str:
        """Return the time in so many seconds, or a moment sooner, in ISO format.

        At most one statement in a minute.

        :raises ServiceUnavailable: the database cannot be asked.
        """
        return (self.now() + datetime.timedelta(seconds=seconds)).isoformat()

    def now(self) -> datetime.datetime:
        """Return the database's present, or a moment before it. At most one statement in a minute.

        :raises ServiceUnavailable: the database cannot be asked.
        """
        time, moment = self._last_seen()
        return time + datetime.timedelta(seconds=self._monotonic() - moment)

    def forget(self) -> None:
        """Look once more before the next answer."""
        self._seen = None

    def _last_seen(self) -> tuple[datetime.datetime, float]:
        seen = self._seen
        if seen is not None and self._monotonic() - seen[1] < GOOD_FOR:
            return seen
        with self._lock:
            # Another thread may have looked meanwhile.
            if self._seen is not None and self._seen is not seen:
                return self._seen
            with self._database.reader() as connection:
                now = present(connection)
            # The moment after it: what is told is never later than what is.
            self._seen = (now, self._monotonic())
            return self._seen
