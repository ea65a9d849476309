"""What every use case works with, injected."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from oslo_config import cfg

from cyborg.clients.nova import Nova
from cyborg.clients.placement import Placement
from cyborg.db.database import Database
from cyborg.domain.clock import Clock, NewUuid
from cyborg.domain.work import Work


class Agents(Protocol):
    """The agents, as far as the conductor speaks to them."""

    def start(self, host: str, work: Work) -> None:
        """Send work to a host; may be lost, may raise ``ServiceUnavailable``."""


def at_once(work: Callable[[], None]) -> None:
    """Do it now, where there is nothing to do it in the background."""
    work()


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
    #: Does something after the caller has been answered. What it does may be lost with the
    #: process: a row must see to it that it is done again.
    in_background: Callable[[Callable[[], None]], None] = at_once
    #: Seconds, of which only differences count.
    monotonic: Callable[[], float] = time.monotonic
