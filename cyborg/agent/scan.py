"""One look at the host by all drivers, none of which can stop or spoil the others'."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent import futures
from dataclasses import dataclass

from oslo_log import log

from cyborg.domain.errors import ReportRefused
from cyborg.domain.handle_types import HANDLE_TYPES
from cyborg.domain.inventory import DeviceReport, Snapshot, canonical, snapshot_from_wire
from cyborg.drivers.contract import Discovery, Driver, DriverError

LOG = log.getLogger(__name__)

#: What a report may hold. A driver that would exceed it is refused as a whole.
MOST_DEVICES = 1024


@dataclass(frozen=True, slots=True)
class Look:
    """What one driver found, checked, and why that may not be all."""

    devices: tuple[DeviceReport, ...] = ()
    problems: tuple[str, ...] = ()
    #: What the driver raised and should not have.
    bug: BaseException | None = None


class Scanner:
    """Calls ``discover`` of every driver, each in a thread of its own.

    Not to be used by several threads at once.
    """

    def __init__(self, drivers: Sequence[Driver]) -> None:
        self._drivers = tuple(drivers)
        self._hanging: dict[str, futures.Future[Look]] = {}
        self._known_problems: dict[str, tuple[str, ...]] = {}
        #: Drivers, and types of handles of theirs of which nobody need be warned again.
        self._known_types = {(driver.name, type_) for driver in drivers for type_ in HANDLE_TYPES}

    def scan(self, timeout: float) -> Snapshot:
        """Return what all drivers found, after at most ``timeout`` seconds.

        A driver that raises, returns nonsense or is not ready in time is in
        ``failed_drivers``, and so is one that could look at some devices only: those are
        reported. One whose last call has not returned is not called again.
        """
        late = {name for name, look in self._hanging.items() if not look.done()}
        started = {
            driver.name: _start(driver) for driver in self._drivers if driver.name not in late
        }
        futures.wait(started.values(), timeout)
        self._hanging = {
            name: look for name, look in {**self._hanging, **started}.items() if not look.done()
        }
        looks = {name: look.result() for name, look in started.items() if look.done()}
        return self._merged(looks, timeout)

    def _merged(self, looks: dict[str, Look], timeout: float) -> Snapshot:
        devices: list[DeviceReport] = []
        failed = []
        for driver in self._drivers:
            late = Look(problems=(f"discovery has not returned in {timeout:g} s",))
            look = looks.get(driver.name, late)
            found, collisions = _without_collisions(devices, look.devices)
            devices.extend(found)
            problems = (*look.problems, *collisions)
            self._note(driver.name, problems, look.bug)
            self._note_types(driver.name, found)
            if problems:
                failed.append(driver.name)
        return Snapshot(tuple(devices), tuple(failed))

    def _note(self, name: str, problems: tuple[str, ...], bug: BaseException | None) -> None:
        """Log what is wrong with a driver's scan once, not at every scan."""
        known = self._known_problems.get(name, ())
        self._known_problems[name] = problems
        if known and not problems:
            LOG.info("discovery works again driver=%s", name)
        for problem in problems:
            if problem not in known:
                LOG.warning("discovery problem driver=%s reason=%s", name, problem, exc_info=bug)

    def _note_types(self, name: str, devices: Iterable[DeviceReport]) -> None:
        """Warn of handles that a server gets nothing of, once for each type."""
        used = {
            (name, handle.type)
            for device in devices
            for part in device.deployables
            for handle in part.handles
        }
        for _, type_ in sorted(used - self._known_types):
            LOG.warning("handles of a type that Nova does not know driver=%s type=%s", name, type_)
        self._known_types |= used


def _start(driver: Driver) -> futures.Future[Look]:
    future: futures.Future[Look] = futures.Future()
    # Not an executor's thread: those are waited for at exit, and this one may hang for ever.
    threading.Thread(
        target=_look, args=(driver, future), name=f"discover-{driver.name}", daemon=True
    ).start()
    return future


def _look(driver: Driver, future: futures.Future[Look]) -> None:
    try:
        look = _checked(driver.name, driver.discover())
    except DriverError as error:
        look = Look(problems=(str(error),))
    except (Exception, SystemExit) as error:  # a driver may raise anything
        look = Look(problems=(f"{type(error).__name__}: {error}"[:1000],), bug=error)
    future.set_result(look)


def _checked(name: str, found: object) -> Look:
    """Return a driver's devices without those that the conductor would refuse."""
    if not isinstance(found, Discovery):
        return Look(problems=(f"discovery returned a {type(found).__name__}",))
    devices = []
    problems = [f"{problem.where}: {problem.what}" for problem in found.problems]
    for device in found.devices:
        try:
            devices.append(_sound(name, device))
        except (ReportRefused, TypeError, ValueError) as error:
            identity = getattr(device, "identity", device)
            problems.append(f"device {str(identity)[:100]} left out: {error}")
    return Look(tuple(devices), tuple(problems))


def _sound(name: str, device: object) -> DeviceReport:
    if not isinstance(device, DeviceReport):
        raise TypeError(f"a {type(device).__name__} is not a DeviceReport")
    # There and back, so that nothing stays shared with the driver.
    (sound,) = snapshot_from_wire(Snapshot((device,)).to_wire()).devices
    if sound.driver != name:
        raise ValueError(f"it says that driver {sound.driver} found it")
    return sound


def _without_collisions(
    before: Sequence[DeviceReport], found: Iterable[DeviceReport]
) -> tuple[list[DeviceReport], list[str]]:
    """Return the devices that name nothing that is named already, and why not the others.

    Sorted first, so that the same one of two that collide is chosen at every scan.
    """
    taken = {name for device in before for name in _names(device)}
    accepted: list[DeviceReport] = []
    problems = []
    for device in sorted(found, key=lambda device: canonical(Snapshot((device,)).to_wire())):
        twice = taken & _names(device)
        if twice:
            named = ", ".join(sorted(" ".join(name) for name in twice))
            problems.append(f"device {device.identity} left out: {named} is there twice")
            continue
        taken |= _names(device)
        accepted.append(device)
    if len(before) + len(accepted) > MOST_DEVICES:
        return [], [f"{len(accepted)} devices are too many"]
    return accepted, problems


def _names(device: DeviceReport) -> set[tuple[str, str]]:
    deployables = {("deployable", part.name) for part in device.deployables}
    return {("device", device.identity)} | deployables
