"""What every use case works with, injected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from oslo_config import cfg

from cyborg.db.database import Database
from cyborg.domain.clock import Clock, NewUuid
from cyborg.rpc.agent import Work


class Agents(Protocol):
    """The agents, as far as the conductor speaks to them."""

    def start(self, host: str, work: Work) -> None:
        """Send work to a host; may be lost, may raise ``ServiceUnavailable``."""


@dataclass(frozen=True, slots=True)
class Environment:
    conf: cfg.ConfigOpts
    database: Database
    agents: Agents
    clock: Clock
    new_uuid: NewUuid
