"""One report of the host, of what each of its drivers found.

Drivers count in the order in which the operator names them. What two of them have is the
first one's, and nothing is wrong with the second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cyborg.agent.looks import Look, Trouble
from cyborg.domain.doubles import without_doubles
from cyborg.domain.hardware import canonical, same_identity
from cyborg.domain.inventory import DeviceReport, LeftOut, Snapshot, UnseenDevice
from cyborg.domain.model import DeviceCondition
from cyborg.domain.report_check import MAX_DEPLOYABLES, MAX_DEVICES, MAX_HANDLES
from cyborg.drivers.contract import NotOffered

#: Why a device, by its identity, is given to nobody whatever its driver says of it; or None.
Withheld = Callable[[str], str | None]

#: What one report may hold; a driver that would exceed it is refused as a whole.
_BOUNDS = {
    "devices": MAX_DEVICES,
    "deployables": MAX_DEPLOYABLES,
    "attach handles": MAX_HANDLES,
    "devices that cannot be seen": MAX_DEVICES,
}


@dataclass(frozen=True, slots=True)
class Merged:
    """A report, and by driver what is not in it and why."""

    snapshot: Snapshot
    troubles: Mapping[str, tuple[Trouble, ...]]
    not_offered: Mapping[str, tuple[NotOffered, ...]]


class Memory:
    """Remembers devices that a driver does not see now, though they may be there.

    They are not reported, and what they offer is still theirs: a driver that fails for a scan
    must not lose its functions to one that sees them too, and take them back at the next.
    """

    def __init__(self) -> None:
        self._last: dict[str, Sequence[DeviceReport]] = {}

    def hidden(self, looks: Mapping[str, Look]) -> dict[str, list[DeviceReport]]:
        """Remember what was seen, and return by driver what is hidden."""
        result = {}
        for name, look in looks.items():
            seen = {same_identity(device.identity) for device in look.devices}
            named = {same_identity(each.device) for each in look.troubles if each.device}
            result[name] = [
                device
                for device in self._last.get(name, ())
                if (same := same_identity(device.identity)) not in seen
                and (look.failed or same in named)
            ]
            self._last[name] = (*look.devices, *result[name])
        return result


def merged(
    looks: Mapping[str, Look],
    hidden: Mapping[str, Sequence[DeviceReport]],
    withheld: Withheld = lambda _device: None,
) -> Merged:
    """Return the report of what all drivers found.

    The same looks give the same report, in whatever order a driver lists its devices.

    :param looks: by driver, in the order of ``[agent] enabled_drivers``.
    :param hidden: see :class:`Memory`.
    :param withheld: says of a device, by its identity, why nobody may get it. It is reported
        as failed, also where it is hidden: what its driver said of it before would go on being
        offered.
    """
    found: list[DeviceReport] = []
    for name, look in looks.items():
        found += _in_order(look.devices)
        # After what it sees: a hidden device has nothing that is seen elsewhere by now.
        found += _in_order(hidden[name])
    ghosts = {
        (name, each.identity)
        for name, unseen in hidden.items()
        for each in unseen
        if withheld(each.identity) is None
    }
    kept, left_out = without_doubles(found)
    devices = [
        _as_it_may_be_used(each, withheld(each.identity))
        for each in kept
        if (each.driver, each.identity) not in ghosts
    ]
    lost = [each for each in left_out if (each.driver, each.identity) not in ghosts]
    troubles = {
        name: (*look.troubles, *_doubles_within(name, lost)) for name, look in looks.items()
    }
    not_offered = {
        name: (*look.not_offered, *_what_others_have(name, lost)) for name, look in looks.items()
    }
    devices, unseen = _within_bounds(devices, troubles)
    failed = [name for name, each in troubles.items() if any(t.device is None for t in each)]
    snapshot = Snapshot(tuple(devices), tuple(failed), tuple(unseen))
    return Merged(snapshot, troubles, not_offered)


def _as_it_may_be_used(device: DeviceReport, reason: str | None) -> DeviceReport:
    if reason is None:
        return device
    return replace(device, condition=DeviceCondition.FAILED, condition_reason=reason)


def _in_order(devices: Iterable[DeviceReport]) -> list[DeviceReport]:
    """Return devices so that the same one of two that collide is chosen at every scan."""
    # By identity first: all else of a device may change, and its condition does.
    return sorted(
        devices, key=lambda device: (device.identity, canonical(Snapshot((device,)).to_wire()))
    )


def _doubles_within(name: str, lost: Iterable[LeftOut]) -> list[Trouble]:
    return [
        Trouble(str(each), each.identity)
        for each in lost
        if each.driver == name and not each.is_of_others
    ]


def _what_others_have(name: str, lost: Iterable[LeftOut]) -> list[NotOffered]:
    return [
        NotOffered(what, f"already claimed by {each.holder}")
        for each in lost
        if each.driver == name and each.is_of_others
        for what in each.hardware or (each.identity or "(unknown)",)
    ]


def _within_bounds(
    devices: Sequence[DeviceReport], troubles: dict[str, tuple[Trouble, ...]]
) -> tuple[list[DeviceReport], list[UnseenDevice]]:
    """Return what fits into one report; the troubles of a driver that does not grow."""
    reported = {same_identity(device.identity) for device in devices}
    used: Counter[str] = Counter()
    fitting: list[DeviceReport] = []
    unseen: list[UnseenDevice] = []
    for name, found in troubles.items():
        own = [device for device in devices if device.driver == name]
        named = dict.fromkeys(trouble.device for trouble in found if trouble.device)
        own_unseen = [
            UnseenDevice(name, each) for each in named if same_identity(each) not in reported
        ]
        sizes = _sizes(own, own_unseen)
        beyond = [what for what, size in sizes.items() if used[what] + size > _BOUNDS[what]]
        if beyond:
            text = ", ".join(f"{sizes[what]} {what}" for what in beyond)
            troubles[name] = (*found, Trouble(f"{text} are too many for one host's report"))
            continue
        used.update(sizes)
        fitting += own
        unseen += own_unseen
    return fitting, unseen


def _sizes(devices: Sequence[DeviceReport], unseen: Sequence[UnseenDevice]) -> dict[str, int]:
    parts = [part for device in devices for part in device.deployables]
    counts = (len(devices), len(parts), sum(len(part.handles) for part in parts), len(unseen))
    return dict(zip(_BOUNDS, counts, strict=True))
