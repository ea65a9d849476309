"""One function and what decides about it, without a look at the whole bus."""

from __future__ import annotations

from cyborg.drivers.host.host import Host
from cyborg.drivers.host.pci import (
    ADDRESS,
    DEVICES,
    Bus,
    Function,
    group_members,
    read_function,
    said,
)


def read_neighbours(host: Host, address: str) -> Bus:
    """Return a function, its physical one, one of its virtual ones, and its IOMMU group's.

    :raises OSError: the function itself cannot be read.
    """
    functions: dict[str, Function] = {}
    unreadable: dict[str, str] = {}
    function = read_function(host, address)
    if function is None:
        return Bus({}, {})
    functions[address] = function
    for name in _around(host, function):
        try:
            other = read_function(host, name)
        except OSError as error:
            unreadable[name] = said(error)
        else:
            if other is not None:
                functions[name] = other
    return Bus(functions, unreadable)


def _around(host: Host, function: Function) -> set[str]:
    names: set[str] = set()
    if function.iommu_group is not None:
        members = group_members(host, [function.iommu_group])[function.iommu_group]
        if isinstance(members, OSError):
            raise members
        names.update(members)
    if function.physical_function is not None:
        names.add(function.physical_function)
    else:
        first = host.look(f"{DEVICES}/{function.address}", links=("virtfn0",)).found["virtfn0"]
        if isinstance(first, bytes) and ADDRESS.match(first.decode(errors="replace")):
            names.add(first.decode())
    return names - {function.address}
