"""What of a host needs privileges: few verbs about one function each, and nothing else.

The agent gives them to its drivers. Whoever does them looks at everything again: that the
function is there and in the operator's list, that it is no boot display and nothing that the
host works with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cyborg.drivers.errors import DriverError


@dataclass(frozen=True, slots=True)
class Possession:
    """Whether somebody has a function open. Unknown is not free."""

    #: None: it cannot be told.
    held: bool | None
    #: Who has it, or why that cannot be told; may be empty.
    by: tuple[str, ...] = ()

    @property
    def is_free(self) -> bool:
        return self.held is False

    def __str__(self) -> str:
        what = {False: "nobody has it", None: "nobody can tell who has it"}.get(
            self.held, "somebody has it"
        )
        return f"{what}: {', '.join(self.by)}" if self.by else what


class Verbs(Protocol):
    """Done with privileges. Addresses are as the kernel has them: ``0000:42:00.0``.

    Each raises a :class:`~cyborg.drivers.errors.DriverError` with the reason where it is refused
    or does not work, and ends in time whatever the hardware does. What has not ended by then
    hangs; nothing else is begun on that function until it has.
    """

    def holders(self, address: str) -> Possession:
        """Return whether a guest, or anybody else by VFIO, has a function open."""

    def reset(self, address: str) -> None:
        """Reset a function that nobody has open; return when the kernel has done it."""

    def bind_driver(self, address: str, driver: str) -> None:
        """Give a function that nobody has open to one of the host's drivers, and see that it
        has it. The same again has no effect."""


class NoVerbs:
    """Refuses everything: for whoever only looks."""

    def holders(self, address: str) -> Possession:
        """Refuse."""
        raise self._refused(address)

    def reset(self, address: str) -> None:
        """Refuse."""
        raise self._refused(address)

    def bind_driver(self, address: str, driver: str) -> None:
        """Refuse."""
        raise self._refused(address)

    def _refused(self, address: str) -> DriverError:
        return DriverError(f"{address} is not touched: there are no privileges here")
