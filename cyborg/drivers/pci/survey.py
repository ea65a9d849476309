"""One look at the allowed functions of a host: what they are, and what each is decided to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cyborg.drivers.host import Host
from cyborg.drivers.host.in_use import InUse
from cyborg.drivers.host.pci import (
    Bus,
    Details,
    Function,
    group_members,
    read_bus,
    read_details_of,
    said,
)
from cyborg.drivers.pci.allowed import allowed_functions, may_be_allowed
from cyborg.drivers.pci.whitelist import Entry


@dataclass(frozen=True, slots=True)
class Candidate:
    """An allowed function."""

    function: Function
    details: Details
    #: Those that allow it, in their order.
    entries: tuple[Entry, ...]

    @property
    def address(self) -> str:
        return self.function.address

    @property
    def entry(self) -> Entry:
        """The entry that says what it is."""
        return self.entries[0]


class Survey:
    """What a host is like at one time. Reads a file once at most, and only what is asked for.

    Not to be used by several threads.
    """

    def __init__(
        self,
        host: Host,
        entries: Sequence[Entry],
        bus: Bus | None = None,
        pause: Callable[[], None] | None = None,
    ) -> None:
        """Look at the bus.

        :param bus: what of it was looked at, where that is not all.
        :param pause: called before a second look at what does not answer, which a function does
            not while it is reset.
        :raises DriverError: the host does not show its PCI devices at all.
        """
        self._host = host
        self._pause = pause
        self.bus = read_bus(host) if bus is None else bus
        #: Allowed functions, to the entries that allow them.
        self.allowed = allowed_functions(host, self.bus, entries)
        self.in_use = InUse(host)
        self._details: dict[str, Details | OSError] = {}
        #: Of IOMMU groups.
        self._members: dict[str, Sequence[str] | OSError] = {}
        #: Functions that are, or may be, allowed and cannot be read: what cannot be.
        self.unreadable = {
            address: what
            for address, what in self.bus.unreadable.items()
            if may_be_allowed(address, entries)
        }

    def candidates(self) -> list[Candidate]:
        """Return the allowed functions that can be read, in the order of their addresses."""
        found = []
        for address, entries in self.allowed.items():
            try:
                details = self.details(address)
            except OSError as error:
                self.unreadable[address] = said(error)
            else:
                found.append(Candidate(self.bus.functions[address], details, entries))
        return found

    def details(self, address: str) -> Details:
        """Return what can be seen of a function of the bus.

        :raises OSError: what decides about it cannot be read.
        """
        if not self._details:
            # All at once, which costs less.
            allowed = [self.bus.functions[each] for each in self.allowed]
            self._details = read_details_of(self._host, allowed)
        found = self._details.get(address)
        if found is None:
            # The physical function of allowed ones.
            found = read_details_of(self._host, [self.bus.functions[address]])[address]
        if isinstance(found, Details) and found.silence is not None and self._pause is not None:
            self._pause()
            found = read_details_of(self._host, [self.bus.functions[address]])[address]
        self._details[address] = found
        if isinstance(found, OSError):
            raise found
        return found

    def mates(self, function: Function) -> Sequence[str]:
        """Return the addresses of the other functions of its IOMMU group.

        :raises OSError: they cannot be listed.
        """
        group = function.iommu_group
        if group is None:
            return ()
        if not self._members:
            self._members = group_members(self._host, self._groups())
        members = self._members[group]
        if isinstance(members, OSError):
            raise members
        return [address for address in members if address != function.address]

    def _groups(self) -> Iterable[str]:
        groups = (self.bus.functions[address].iommu_group for address in self.allowed)
        return dict.fromkeys(group for group in groups if group is not None)

    def cards_beside(self, function: Function) -> list[Function]:
        """Return what else is in its IOMMU group and could be given to somebody.

        :raises OSError: that cannot be told.
        """
        others = (self.bus.functions.get(address) for address in self.mates(function))
        return [other for other in others if other is not None and not other.is_bridge]

    @property
    def used_entries(self) -> frozenset[int]:
        """The numbers of the entries that allow something."""
        return frozenset(entry.number for each in self.allowed.values() for entry in each)

    @cached_property
    def virtual_functions(self) -> Mapping[str, int]:
        """How many virtual functions there are of each physical one that has some."""
        owners = (each.physical_function for each in self.bus.functions.values())
        return Counter(owner for owner in owners if owner is not None)
