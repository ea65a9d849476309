"""Which functions an operator allows, as whoever has privileges finds out by himself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cyborg.drivers.contract import ConfigurationError, DriverError
from cyborg.drivers.host import Host
from cyborg.drivers.host.neighbours import read_neighbours
from cyborg.drivers.host.pci import Function
from cyborg.drivers.pci.allowed import allowed_functions
from cyborg.drivers.pci.whitelist import Entry, parse


class OperatorsList:
    """The operator's list as it is in the configuration files now. Safe for several threads.

    A wrong one leaves the last one that was right, as it does in the agent.
    """

    def __init__(self, host: Host, read: Callable[[], Sequence[str]]) -> None:
        """Begin without a list.

        :param read: reads the option.
        """
        self._host = host
        self._read = read
        self._entries: tuple[Entry, ...] | None = None

    def allows(self, function: Function) -> bool:
        """Return whether an operator allows a function.

        :raises DriverError: there has been no right list yet.
        """
        try:
            self._entries = parse(self._read())
        except ConfigurationError as error:
            if self._entries is None:
                raise DriverError(str(error)) from error
        bus = read_neighbours(self._host, function.address)
        return function.address in allowed_functions(self._host, bus, self._entries)
