"""Conductors that die: before any statement, before or after a commit, before any message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from cyborg.domain.work import Work
from cyborg.tests.helpers import RecordingAgents

#: A use case seldom has more moments than this at which it could end.
MOMENTS = 14


class Died(BaseException):
    """The process is gone: nothing of it goes on, and what was not committed is not there."""


class Mortal:
    """Lets a conductor die at a moment."""

    def __init__(self) -> None:
        self._left: int | None = None

    @contextmanager
    def at(self, moment: int, engine: sa.Engine) -> Iterator[None]:
        """Die within, at the moment of this number, unless it ends before.

        :raises Died: so it has.
        """
        self._left = moment
        events = ("before_cursor_execute", "commit")
        for event in events:
            sa.event.listen(engine, event, self.moment)
        try:
            yield
        finally:
            self._left = None
            for event in events:
                sa.event.remove(engine, event, self.moment)

    def moment(self, *_arguments: object) -> None:
        """Be at a moment at which it may die."""
        if self._left is None:
            return
        self._left -= 1
        if self._left < 0:
            # Only once: what is rolled back is rolled back by the database alone.
            self._left = None
            raise Died


class MortalAgents(RecordingAgents):
    """Keeps what a conductor has sent that lived to send it."""

    def __init__(self, mortal: Mortal) -> None:
        super().__init__()
        self._mortal = mortal

    def start(self, host: str, work: Work) -> None:
        """Keep the work."""
        self._mortal.moment()
        super().start(host, work)
