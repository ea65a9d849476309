"""What a report has twice: each piece of hardware is of one deployable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cyborg.domain.hardware import same_identity
from cyborg.domain.inventory import DeviceReport, HandleReport, LeftOut


def without_doubles(
    devices: Sequence[DeviceReport], held: Mapping[str, str] | None = None
) -> tuple[list[DeviceReport], list[LeftOut]]:
    """Return devices of which no two are, or have, the same thing, and what that left out.

    The first of two has it. A part that loses all its handles goes, and a device all its parts.

    :param held: hardware that somebody has, by key, to the name of the deployable that keeps it.
    """
    identities: dict[str, str] = {}
    names: dict[str, str] = {}
    left_out: list[LeftOut] = []
    claims: list[tuple[DeviceReport, list[_Loss]]] = []
    for device in devices:
        same = same_identity(device.identity)
        if same in identities:
            why = "another device has its identity"
            left_out.append(LeftOut(device.driver, device.identity, why, holder=identities[same]))
        else:
            identities[same] = device.driver
            claims.append(_without_names_of_others(device, names))
    winners = _winners([device for device, _ in claims], held or {})
    drivers = {part.name: device.driver for device, _ in claims for part in device.deployables}
    kept = []
    for device, losses in claims:
        rest, more = _without_handles_of_others(device, winners, drivers)
        losses.extend(more)
        if rest.deployables or not losses:
            kept.append(rest)
            left_out += [
                LeftOut(
                    device.driver,
                    device.identity,
                    loss.why,
                    partly=True,
                    holder=loss.holder,
                    hardware=loss.hardware,
                )
                for loss in losses
            ]
        else:
            left_out.append(_lost(device, losses))
    return kept, left_out


@dataclass(frozen=True, slots=True)
class _Loss:
    """What a device does not keep."""

    why: str
    #: Whose driver has it.
    holder: str
    #: Keys of handles.
    hardware: tuple[str, ...] = ()


def _lost(device: DeviceReport, losses: Sequence[_Loss]) -> LeftOut:
    """Return what is said of a device that has lost everything."""
    whys = [loss.why for loss in losses]
    if len(whys) > 3:
        whys[3:] = [f"and so on, {len(whys)} in all"]
    others = [loss.holder for loss in losses if loss.holder != device.driver]
    holder = others[0] if others else device.driver
    hardware = tuple(key for loss in losses if loss.holder == holder for key in loss.hardware)
    return LeftOut(
        device.driver, device.identity, "; ".join(whys), holder=holder, hardware=hardware
    )


def _without_names_of_others(
    device: DeviceReport, names: dict[str, str]
) -> tuple[DeviceReport, list[_Loss]]:
    """Take the names of a device's parts, and leave out parts whose names are taken.

    :param names: in lower case, to the driver that has them.
    """
    parts = []
    losses = []
    for part in device.deployables:
        name = part.name.lower()
        if name in names:
            losses.append(_Loss(f"deployable {part.name} is there twice", names[name]))
        else:
            names[name] = device.driver
            parts.append(part)
    return replace(device, deployables=tuple(parts)), losses


def _winners(devices: Iterable[DeviceReport], held: Mapping[str, str]) -> dict[str, str]:
    """Return, by the hardware's key, the deployable that has it."""
    claims: dict[str, list[str]] = {}
    for device in devices:
        for part in device.deployables:
            for handle in part.handles:
                claims.setdefault(handle.key, []).append(part.name)
    return {key: held[key] if held.get(key) in names else names[0] for key, names in claims.items()}


def _without_handles_of_others(
    device: DeviceReport, winners: Mapping[str, str], drivers: Mapping[str, str]
) -> tuple[DeviceReport, list[_Loss]]:
    """Leave out handles that other deployables have.

    :param winners: hardware to the deployable that has it.
    :param drivers: deployables to their drivers.
    """
    parts = []
    losses = []
    for part in device.deployables:
        own: dict[str, HandleReport] = {}
        lost: dict[str, list[str]] = {}
        for handle in part.handles:
            winner = winners[handle.key]
            if winner == part.name and handle.key not in own:
                own[handle.key] = handle
            else:
                lost.setdefault(winner, []).append(handle.key)
        for winner, keys in lost.items():
            what = ", ".join([*dict.fromkeys(keys)][:5])
            by = "there twice" if winner == part.name else f"offered as {winner}"
            why = f"{what} of {part.name} is {by}"
            losses.append(_Loss(why, drivers[winner], tuple(dict.fromkeys(keys))))
        if own or not part.handles:
            handles = tuple(own.values())
            parts.append(replace(part, handles=handles, num_accelerators=len(handles)))
    return replace(device, deployables=tuple(parts)), losses
