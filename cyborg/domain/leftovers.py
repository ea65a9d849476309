"""When an ARQ that holds a device is needed by nobody any more. Pure."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass


class Need(enum.Enum):
    """What is known of the need for an ARQ."""

    NEEDED = enum.auto()
    #: Nobody has it allocated, and nothing goes on with its instance.
    LEFT_OVER = enum.auto()
    #: The same, but its instance is on that very host, and may have the device.
    DOUBTFUL = enum.auto()


@dataclass(frozen=True, slots=True)
class HeldRequest:
    """An ARQ that holds a device."""

    uuid: str
    instance_uuid: str
    provider_uuid: str
    hostname: str
    bound_by_service: bool
    generation: int
    #: It was without allocation at the last look.
    suspected: bool
    #: And left over, not only doubtful.
    counting: bool
    #: And a grace period has passed since it first was.
    ripe: bool


@dataclass(frozen=True, slots=True)
class KnownServer:
    """What Nova says of an instance that it knows."""

    busy: bool
    #: The compute node that it is on; None for one that is on none (yet, or any more).
    hostname: str | None


def has_allocation(request: HeldRequest, consumers: Collection[str]) -> bool:
    """Return whether the ARQ's instance is among those that have allocations on its provider."""
    return request.instance_uuid in consumers


def need(request: HeldRequest, server: KnownServer | None) -> Need:
    """Return whether an ARQ without allocation is needed.

    :param server: None if Nova does not know the instance.
    """
    if server is None:
        return Need.LEFT_OVER
    if server.busy:
        return Need.NEEDED
    if server.hostname == request.hostname:
        # The allocation is lost, not the server: to release its device would be to take it
        # from a guest that may run, whatever state Nova gives it.
        return Need.DOUBTFUL
    return Need.LEFT_OVER
