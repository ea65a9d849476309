"""What the agent asks and tells the conductor about jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from oslo_log import log

from cyborg.domain.text import plain
from cyborg.domain.work import OwnedHandle

LOG = log.getLogger(__name__)

#: Characters of what is told of a failure.
_REASON_LENGTH = 2000


class JobReports(Protocol):
    """The part of :class:`cyborg.rpc.conductor.ConductorClient` that work needs."""

    def begin_work(
        self,
        host: str,
        uuid: str,
        generation: int,
        step: int,
        *,
        agent: Mapping[str, Any] | None = None,
    ) -> bool:
        """Return whether an attempt at a job may still act on the hardware with a step."""

    def finish_job(
        self,
        host: str,
        uuid: str,
        generation: int,
        error: str | None,
        *,
        away: bool = False,
        not_begun: bool = False,
    ) -> None:
        """Report how a job ended."""


class OwnerReports(Protocol):
    """The part of :class:`cyborg.rpc.agents_door.AgentsDoorClient` that joint work needs."""

    def company(self, host: str, uuid: str, generation: int) -> list[OwnedHandle]:
        """Return all handles that somebody has of the driver that a job is for."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended: None, or why it failed."""

    error: str | None
    #: It failed because the device is not there.
    away: bool = False
    #: It was refused before the hardware was touched.
    not_begun: bool = False


def reason(text: str) -> str:
    """Return why something failed, as it may be journaled and told: one plain line.

    What drivers and tools say holds whatever they have read, also what no database, message
    or log can hold.
    """
    return plain(text, _REASON_LENGTH) or "The driver gave no reason."
