"""When an ARQ that holds a device is needed by nobody any more. Pure."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

#: States of a server that has a guest, or will start the one that it had.
_LIVING = frozenset(
    {
        "active",
        "paused",
        "suspended",
        "stopped",
        "rescued",
        "resized",
        # Neither has left its host yet: it may be unshelved, or restored, there.
        "shelved",
        "soft-delete",
    }
)


class Need(enum.Enum):
    """What is known of the need for an ARQ."""

    NEEDED = enum.auto()
    #: Nobody has it allocated, and nothing goes on with its instance.
    LEFT_OVER = enum.auto()
    #: The same, but its instance lives on that very host, and may have the device.
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
    #: It seemed left over at the last look.
    suspected: bool
    #: And a grace period has passed since it first did.
    ripe: bool


@dataclass(frozen=True, slots=True)
class KnownServer:
    """What Nova says of an instance that it knows."""

    busy: bool
    vm_state: str
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
    if server.vm_state in _LIVING and server.hostname == request.hostname:
        # The allocation is lost, not the server: to release its device would be to take it
        # from a running guest.
        return Need.DOUBTFUL
    return Need.LEFT_OVER
