"""What every use case works with, injected."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from oslo_config import cfg

from cyborg.clients.nova import Nova
from cyborg.clients.placement import Placement
from cyborg.conductor.asking import Asking
from cyborg.db.database import Database
from cyborg.domain.clock import Clock, NewUuid
from cyborg.domain.work import Work


class Agents(Protocol):
    """The agents, as far as the conductor speaks to them."""

    def start(self, host: str, work: Work) -> None:
        """Send work to a host; may be lost, may raise ``ServiceUnavailable``."""


class Telling(Protocol):
    """Does something after the caller has been answered; see :mod:`cyborg.conductor.senders`.

    What it does may be lost with the process: a row must see to it that it is done again.
    """

    def first(self, key: str, work: Callable[[], None]) -> bool:
        """Do it for the first time; return False if it is not taken now."""

    def again(self, key: str, work: Callable[[], None]) -> bool:
        """Do it again; return False if it is not taken now."""

    def room(self) -> int:
        """Return how much could be done again now."""


class AtOnce:
    """Does it before the caller is answered, where there is nobody to do it later."""

    def first(self, key: str, work: Callable[[], None]) -> bool:
        """Do it now."""
        work()
        return True

    again = first

    def room(self) -> int:
        """There is always room."""
        return 1_000


class LeftToOthers:
    """Takes it, and leaves it to whoever looks after the row."""

    def first(self, key: str, work: Callable[[], None]) -> bool:
        """Do nothing."""
        return True

    again = first

    def room(self) -> int:
        """There is no room."""
        return 0


@dataclass(frozen=True, slots=True)
class Environment:
    conf: cfg.ConfigOpts
    database: Database
    agents: Agents
    clock: Clock
    new_uuid: NewUuid
    #: None where there is no such service: standalone.
    placement: Placement | None = None
    nova: Nova | None = None
    senders: Telling = field(default_factory=AtOnce)
    asking: Asking = field(default_factory=Asking)
    #: Seconds, of which only differences count.
    monotonic: Callable[[], float] = time.monotonic
