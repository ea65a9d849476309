"""Tells the conductor what the agent is at, where that takes long enough for somebody to ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from oslo_log import log

from cyborg.domain.errors import RemoteError, ServiceUnavailable
from cyborg.domain.plain import to_plain
from cyborg.domain.work import WorkProgress

LOG = log.getLogger(__name__)

#: Seconds between two looks.
INTERVAL = 1.0

#: Seconds after which work is worth a message.
SHORTEST = 0.5


class ProgressReports(Protocol):
    """The part of :class:`cyborg.rpc.agents_door.AgentsDoorClient` that this needs."""

    def tell_progress(self, host: str, works: Sequence[Mapping[str, Any]]) -> None:
        """Take what a host's agent is at."""


class ProgressTeller:
    """Tells what is new. What is told twice, or not at all, does no harm."""

    def __init__(
        self,
        host: str,
        conductor: ProgressReports,
        under_way: Callable[[], Sequence[WorkProgress]],
        wait: Callable[[float], object],
    ) -> None:
        """Make one that has told nothing.

        :param under_way: returns what the agent is at now.
        :param wait: waits so many seconds; returns something true when the agent stops.
        """
        self._host = host
        self._conductor = conductor
        self._under_way = under_way
        self._wait = wait
        self._told: frozenset[WorkProgress] = frozenset()

    def run(self) -> None:
        """Tell, until the agent stops."""
        while not self._wait(INTERVAL):
            self.tell()

    def tell(self) -> None:
        """Tell what has changed since it was told last; where that fails, again next time."""
        found = [each for each in self._under_way() if each.seconds >= SHORTEST]
        new = [each for each in found if _said(each) not in self._told]
        if new:
            try:
                self._conductor.tell_progress(self._host, to_plain(new))
            except (ServiceUnavailable, RemoteError) as error:
                # A conductor of the release before does not know it, and no work needs it.
                LOG.debug("progress not told: %s", error)
                return
        self._told = frozenset(map(_said, found))


def _said(progress: WorkProgress) -> WorkProgress:
    """Return what is told of it, whenever that is."""
    return replace(progress, seconds=0)
