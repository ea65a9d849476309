"""Which recorded device a reported one is.

A device is known by its identity. Not every identity is equally good: an address says only
where something is. A serial number may be unreadable at first, or while a guest has the card,
and then the driver reports the address instead. So where one of the two identities is an
address, what is in the same place is the same device. Where both are more than that and differ,
the card has been replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cyborg.domain.hardware import address_of, is_address, same_identity
from cyborg.domain.inventory import DeviceReport
from cyborg.domain.model import Presence
from cyborg.domain.recorded import RecordedDeployable, RecordedDevice


@dataclass(frozen=True, slots=True)
class Match:
    """A device that was reported, and what is recorded of it."""

    #: None if it is new.
    recorded: RecordedDevice | None
    #: With the identity by which it is known from now on.
    seen: DeviceReport
    #: It was reported under its address only.
    nameless: bool


@dataclass(frozen=True, slots=True)
class Matches:
    """Which reported device is which recorded one."""

    seen: list[Match]
    #: Recorded devices that another driver reports now, while somebody has a part of them: they
    #: stay with the driver that has reported them so far until they are free.
    held: list[RecordedDevice]
    #: Recorded devices that were not reported.
    unseen: list[RecordedDevice]


def match(recorded: Sequence[RecordedDevice], reported: Sequence[DeviceReport]) -> Matches:
    """Return what was reported with what is recorded of it, and what was not reported."""
    rows: dict[str, RecordedDevice] = {}
    for device in recorded:
        # An earlier release took two spellings of one identity for two devices.
        rows.setdefault(same_identity(device.report.identity), device)
    found: list[tuple[RecordedDevice | None, DeviceReport]] = []
    unknown = []
    for seen in reported:
        row = rows.pop(same_identity(seen.identity), None)
        if row is None:
            unknown.append(seen)
        else:
            found.append((row, seen))
    found += _by_place(rows, unknown)
    known = {row.id for row, _ in found if row is not None}
    matches = Matches([], [], [device for device in recorded if device.id not in known])
    for row, seen in found:
        if row is not None and row.report.driver != seen.driver and row.is_held:
            matches.held.append(row)
        else:
            matches.seen.append(_match(row, seen))
    return matches


def _match(row: RecordedDevice | None, seen: DeviceReport) -> Match:
    nameless = is_address(seen.identity)
    known = row.report.identity if row is not None else seen.identity
    if nameless or same_identity(known) == same_identity(seen.identity):
        # The better one of the two, or the spelling that it has had so far.
        return Match(row, replace(seen, identity=known), nameless)
    return Match(row, seen, nameless)


def _by_place(
    rows: dict[str, RecordedDevice], unknown: Iterable[DeviceReport]
) -> Iterator[tuple[RecordedDevice | None, DeviceReport]]:
    """Yield devices whose identities are not recorded, each with what was where it is.

    :param rows: by identity; those that are matched are taken out.
    """
    by_place: dict[str, list[tuple[bool, RecordedDevice]]] = {}
    for row in rows.values():
        for place in _places(row):
            by_place.setdefault(place, []).append((True, row))
        for place in where_it_must_be(row):
            by_place.setdefault(place, []).append((False, row))
    for seen in unknown:
        same = [
            (has_it, row)
            for place in (*_places(seen), *where_it_must_be(seen))
            for has_it, row in by_place.get(place, ())
            if same_identity(row.report.identity) in rows
            and not surely_differ(row.report.identity, seen.identity)
        ]
        # One that was there last time, and had what is seen, rather than another.
        _, best = min(same, key=_rank, default=(False, None))
        if best is not None:
            del rows[same_identity(best.report.identity)]
        yield best, seen


def _rank(found: tuple[bool, RecordedDevice]) -> tuple[bool, bool]:
    has_it, row = found
    return row.presence is not Presence.PRESENT, not has_it


def surely_differ(one: str, other: str) -> bool:
    """Return whether two identities are those of two devices."""
    if same_identity(one) == same_identity(other):
        return False
    return not is_address(one) and not is_address(other)


def addresses_of(device: RecordedDevice) -> frozenset[str]:
    """Return where a device is, as far as that is recorded: its own address, and those of what
    it has been given out as."""
    found = {
        name
        for part in device.deployables
        for handle in part.handles
        for name in (handle.key, *(share.counter for share in handle.shares))
        if is_address(name)
    }
    return frozenset((*found, *_own_address(device.report)))


def where_it_must_be(device: RecordedDevice | DeviceReport) -> tuple[str, ...]:
    """Return the address of a device that shows nothing of what it has, if it has one."""
    if any(part.handles for part in device.deployables):
        return ()
    return _own_address(device.report if isinstance(device, RecordedDevice) else device)


def _own_address(device: DeviceReport) -> tuple[str, ...]:
    """Return the address of the function through which a device is reached, if it is PCI."""
    try:
        return (address_of(device.control_path),)
    except ValueError:
        # Not every driver reaches its devices through PCI.
        return ()


def _places(device: RecordedDevice | DeviceReport) -> Iterator[str]:
    """Yield what says where a device is, the surest first: what its parts are, the functions that
    those are of, in whatever shape they are offered, and their names."""
    handles = [handle for part in device.deployables for handle in part.handles]
    yield from (handle.key for handle in handles)
    for handle in handles:
        yield from (share.counter for share in handle.shares if is_address(share.counter))
    for part in device.deployables:
        yield _name(part.report.name if isinstance(part, RecordedDeployable) else part.name)


def _name(deployable: str) -> str:
    # Not a key: no key begins so.
    return f"deployable {deployable.lower()}"
