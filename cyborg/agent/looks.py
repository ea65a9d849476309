"""One driver's look at the host, checked, since a driver may return or raise anything."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cyborg.domain.inventory import DeviceReport, Snapshot
from cyborg.domain.report_check import sound_device
from cyborg.domain.text import is_plain, plain
from cyborg.drivers.contract import Discovery, Driver, DriverError, NotOffered, Problem

#: Characters of what the log says of one thing.
_TEXT_LENGTH = 1000

#: Characters of an identity that a report can hold.
_IDENTITY_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that could not be looked at, or cannot be taken as it was found."""

    #: One line.
    text: str
    #: Identity of the one device that it is about. None: devices may be there that are not in
    #: the report, and nobody knows which.
    device: str | None = None
    #: A path or an address, where there is one, and what is wrong there.
    where: str = ""
    what: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What one driver found, and why that may not be all."""

    devices: tuple[DeviceReport, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    #: What was found and is left out on purpose, in plain words.
    not_offered: tuple[NotOffered, ...] = ()
    #: What the driver raised and should not have.
    bug: BaseException | None = None

    @property
    def failed(self) -> bool:
        """Return whether this may hide any device of the driver."""
        return any(trouble.device is None for trouble in self.troubles)


def look_with(driver: Driver) -> Look:
    """Return what a driver finds now; raises nothing, whatever the driver does."""
    try:
        return _checked(driver.name, driver.discover())
    except DriverError as error:
        return Look(troubles=(_trouble(str(error)),))
    except (Exception, SystemExit) as error:  # a driver may raise anything
        return Look(troubles=(_trouble(f"{type(error).__name__}: {error}"),), bug=error)


def _checked(name: str, found: object) -> Look:
    """Return a driver's devices without those that the conductor would leave out."""
    if not isinstance(found, Discovery):
        return Look(troubles=(_trouble(f"discovery returned a {type(found).__name__}"),))
    devices = []
    troubles = [_trouble_of(problem) for problem in found.problems]
    for device in found.devices:
        try:
            devices.append(_sound(name, device))
        except (RecursionError, TypeError, ValueError) as error:
            identity = getattr(device, "identity", None)
            text = f"device {str(identity)[:100]} left out: {error}"
            troubles.append(_trouble(text, identity))
    return Look(
        tuple(devices),
        tuple(troubles),
        tuple(
            NotOffered(plain(each.where, _TEXT_LENGTH), plain(each.why, _TEXT_LENGTH))
            for each in found.not_offered
        ),
    )


def _sound(name: str, device: object) -> DeviceReport:
    if not isinstance(device, DeviceReport):
        raise TypeError(f"a {type(device).__name__} is not a DeviceReport")
    # There and back, so that nothing stays shared with the driver.
    (wire,) = Snapshot((device,)).to_wire()["devices"]
    sound = sound_device(wire)
    if sound.driver != name:
        raise ValueError(f"it says that driver {sound.driver} found it")
    return sound


def _trouble_of(problem: Problem) -> Trouble:
    text = f"{problem.where}: {problem.what}"
    if problem.device is not None:
        text = f"device {problem.device} is hidden: {text}"
    return replace(
        _trouble(text, problem.device),
        where=plain(problem.where, _TEXT_LENGTH),
        what=plain(problem.what, _TEXT_LENGTH),
    )


def _trouble(text: str, device: object = None) -> Trouble:
    """Return a trouble of a device; of all the driver's, where it has no usable name."""
    named = isinstance(device, str) and _can_be_named(device)
    return Trouble(plain(text, _TEXT_LENGTH), str(device) if named else None)


def _can_be_named(identity: str) -> bool:
    """Return whether a report can name a device so."""
    return (
        1 <= len(identity) <= _IDENTITY_LENGTH
        and is_plain(identity)
        and identity == identity.strip()
    )
