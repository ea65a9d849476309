"""One unit of work: a transaction, the time at which it happens, and what follows its commit.

What a caller has asked for who has left since must not be done: who asks again, elsewhere, would
find it done on top. So a transaction ends only in time, by the database's clock.

A use case calls :func:`run` with what it does inside. Everything that it does there may be
rolled back and done once more, so it changes nothing outside of the database: it notes with
:meth:`Unit.after` what is to follow, and that is done once, after the commit.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from typing import Protocol, TypeVar

from oslo_log import log

from cyborg.conductor.asking import Budget
from cyborg.conductor.environment import Environment
from cyborg.db import clock
from cyborg.db.database import Connection
from cyborg.domain.errors import ServiceUnavailable, TooLate
from cyborg.rpc.context import caller_has_left, deadline, untimed

LOG = log.getLogger(__name__)

T = TypeVar("T")


class Order(enum.IntEnum):
    """When a follow-up is done among others."""

    #: The caller must not be answered before: Nova frees its allocation right after.
    PLACEMENT = 1
    AGENT = 2
    NOVA = 3


class FollowUp(Protocol):
    """Something that follows a commit. It has a row too: what is lost is done later."""

    @property
    def order(self) -> Order:
        """When it is done among others."""

    def do(self, env: Environment, budget: Budget) -> None:
        """Do it. ``ServiceUnavailable`` is logged, and the row sees to it later.

        :param budget: what is left of the time that the caller waits for other services.
        """


class Unit:
    """What one try of a use case works with, inside its transaction."""

    def __init__(self, env: Environment, connection: Connection, now: datetime.datetime) -> None:
        self.env = env
        self.connection = connection
        #: The conductor's clock, read once: all that is written has one time.
        self.now = now
        self._follow_ups: list[FollowUp] = []
        #: A moment before the database's clock was read, and what it showed.
        self._began = env.monotonic()
        self._clock: datetime.datetime | None = None

    def require_in_time(self, now: datetime.datetime) -> None:
        """Refuse if the caller has left, and see to it that the end of the transaction does.

        Who has read the database's present anyway saves a statement by this.

        :param now: the database's present at the begin of a statement of this transaction. It
            may have waited for locks since.
        :raises TooLate: so it is.
        """
        self._clock = now
        limit = deadline()
        passed = datetime.timedelta(seconds=self.env.monotonic() - self._began)
        if limit is not None and (now + passed > limit or caller_has_left()):
            LOG.warning("too late, nothing is done: nobody waits for it any more")
            raise TooLate("The request came too late to a conductor, nothing was done; try again.")

    def end(self) -> None:
        """Refuse if the caller has left meanwhile. The last thing before the commit.

        :raises TooLate: so it is.
        """
        if deadline() is None:
            return
        if self._clock is None:
            self._began = self.env.monotonic()
            self._clock = clock.present(self.connection)
        self.require_in_time(self._clock)

    def after(self, follow_up: FollowUp) -> None:
        """Let something follow the commit; the same once more is done once."""
        if follow_up not in self._follow_ups:
            self._follow_ups.append(follow_up)

    def follow_up(self, budget: Budget) -> None:
        """Do what was noted. The change is made: nothing here makes it look as if it were not."""
        for follow_up in sorted(self._follow_ups, key=lambda each: each.order):
            try:
                follow_up.do(self.env, budget)
            except ServiceUnavailable as error:
                LOG.warning("left to be done later %s: %s", type(follow_up).__name__, error)


def run(env: Environment, work: Callable[[Unit], T], budget: Budget | None = None) -> T:
    """Run a use case in one transaction, and do what follows its commit.

    :param budget: what is left of the caller's, who has asked other services before.
    :param work: may run several times, after a deadlock or a lost race.
    :raises ServiceUnavailable: if the database cannot be reached, or stayed contended.
    :raises TooLate: if the caller has left.
    """
    units: list[Unit] = []
    # Before the transaction has its connection: the clock may need one, and where all had one
    # and wanted another, nobody would get any.
    now = env.clock()

    def attempt(connection: Connection) -> T:
        units.append(Unit(env, connection, now))
        made = work(units[-1])
        units[-1].end()
        return made

    result = env.database.run(attempt)
    with untimed():
        units[-1].follow_up(budget or Budget())
    return result
