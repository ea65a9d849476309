"""When an ARQ that holds a device is needed by nobody any more. Pure."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

from cyborg.domain.states import Suspicion


@dataclass(frozen=True, slots=True)
class HeldRequest:
    """An ARQ that holds a device."""

    uuid: str
    instance_uuid: str
    provider_uuid: str
    hostname: str
    bound_by_service: bool
    generation: int
    #: As of the look before; ``LEFT_OVER`` if its grace period is over now.
    suspicion: Suspicion


@dataclass(frozen=True, slots=True)
class KnownServer:
    """What Nova says of an instance that it knows."""

    busy: bool
    #: The compute node that it is on; None for one that is on none (yet, or any more).
    hostname: str | None


class Action(enum.Enum):
    """What a look at an ARQ leads to."""

    LEAVE = enum.auto()
    #: Record the suspicion of this look.
    RECORD = enum.auto()
    RELEASE = enum.auto()


def has_allocation(request: HeldRequest, consumers: Collection[str]) -> bool:
    """Return whether the ARQ's instance is among those that have allocations on its provider."""
    return request.instance_uuid in consumers


def suspicion_of(request: HeldRequest, server: KnownServer | None) -> Suspicion:
    """Return what an ARQ without allocation looks like now: needed, doubtful or left behind.

    :param server: None if Nova does not know the instance.
    """
    if server is None:
        return Suspicion.GRACE
    if server.busy:
        return Suspicion.NONE
    if server.hostname == request.hostname:
        # The allocation is lost, not the server: to release its device would be to take it
        # from a guest that may run, whatever state Nova gives it.
        return Suspicion.DOUBTFUL
    return Suspicion.GRACE


def action(request: HeldRequest, seen: Suspicion) -> Action:
    """Return what follows from what an ARQ looks like now, after what it looked like before."""
    if seen is not Suspicion.GRACE:
        return Action.LEAVE if seen is request.suspicion else Action.RECORD
    if request.suspicion is Suspicion.LEFT_OVER:
        return Action.RELEASE if request.bound_by_service else Action.LEAVE
    return Action.LEAVE if request.suspicion is Suspicion.GRACE else Action.RECORD
