"""Which functions of a host the whitelist allows, and by which entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cyborg.drivers.host import Host
from cyborg.drivers.host.pci import ADDRESS, Bus, Function
from cyborg.drivers.pci.whitelist import Entry


def allowed_functions(
    host: Host, bus: Bus, entries: Sequence[Entry]
) -> dict[str, tuple[Entry, ...]]:
    """Return by address, in the order of the bus, the entries that allow a function."""
    ports = _ports(host, entries)
    found = {}
    for address, function in bus.functions.items():
        matching = tuple(entry for entry in entries if _allows(entry, function, ports))
        if matching:
            found[address] = matching
    return found


def may_be_allowed(address: str, entries: Iterable[Entry]) -> bool:
    """Return whether a function of which only the address is known may be an allowed one."""
    return any(entry.address is None or entry.address.matches(address) for entry in entries)


def _allows(entry: Entry, function: Function, ports: Mapping[str, str]) -> bool:
    if entry.vendor_id not in (None, function.vendor_id):
        return False
    if entry.product_id not in (None, function.product_id):
        return False
    # As Nova has it: whoever names a physical function means its virtual ones, too.
    own = (function.address, function.physical_function)
    if entry.devname is not None:
        return entry.devname in ports and ports[entry.devname] in own
    if entry.address is None or entry.address.matches(function.address):
        return True
    return entry.address.exact is not None and entry.address.exact in own


def _ports(host: Host, entries: Iterable[Entry]) -> dict[str, str]:
    """Return the addresses of the functions of ports that are named."""
    found = {}
    for name in {entry.devname for entry in entries if entry.devname is not None}:
        place = host.look(f"/sys/class/net/{name}", links=("device",)).found["device"]
        if isinstance(place, bytes) and ADDRESS.match(place.decode(errors="replace")):
            found[name] = place.decode()
    return found
