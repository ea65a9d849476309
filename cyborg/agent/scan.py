"""One look at the host by all drivers, none of which can stop or spoil the others'."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent import futures

from oslo_log import log

from cyborg.agent.looks import Look, Trouble, look_with
from cyborg.agent.merging import Memory, Merged, Withheld, merged
from cyborg.domain.handle_types import HANDLE_TYPES
from cyborg.domain.inventory import DeviceReport, Snapshot
from cyborg.drivers.contract import Driver, NotOffered

LOG = log.getLogger(__name__)


class Scanner:
    """Calls ``discover`` of every driver, each in a thread of its own.

    Not to be used by several threads at once.
    """

    def __init__(
        self, drivers: Sequence[Driver], withheld: Withheld = lambda _device: None
    ) -> None:
        """Make a scanner.

        :param drivers: what two of them find is the first one's.
        :param withheld: says of a device, by its identity, why nobody may get it; it is
            reported as failed. None: it is as its driver says.
        """
        self._withheld = withheld
        self._drivers = tuple(drivers)
        self._hanging: dict[str, futures.Future[Look]] = {}
        self._memory = Memory()
        self._known_troubles: dict[str, tuple[Trouble, ...]] = {}
        self._known_not_offered: dict[str, tuple[NotOffered, ...]] = {}
        #: Drivers, and types of handles of theirs of which nobody need be warned again.
        self._known_types = {(driver.name, type_) for driver in drivers for type_ in HANDLE_TYPES}

    def scan(self, timeout: float) -> Snapshot:
        """Return the report of what all drivers found; see :meth:`look`.

        What is new of what is not in it is in the log.
        """
        looks, result = self._look(timeout)
        for name, look in looks.items():
            self._note_troubles(name, result.troubles[name], look.bug)
            self._note_not_offered(name, look, result.not_offered[name])
        self._note_types(result.snapshot.devices)
        return result.snapshot

    def look(self, timeout: float) -> Merged:
        """Return what all drivers found, after at most ``timeout`` seconds.

        A driver that raises, returns nonsense or is not ready in time is in
        ``failed_drivers``, and so is one that could not look at something and does not say
        which device that is. A device that it names, or that cannot be reported as it is, is
        in ``unseen``. What else was found is reported. A driver whose last call has not
        returned is not called again.
        """
        _, result = self._look(timeout)
        return result

    def _look(self, timeout: float) -> tuple[Mapping[str, Look], Merged]:
        late = {name for name, look in self._hanging.items() if not look.done()}
        started = {
            driver.name: _start(driver) for driver in self._drivers if driver.name not in late
        }
        futures.wait(started.values(), timeout)
        self._hanging = {
            name: look for name, look in {**self._hanging, **started}.items() if not look.done()
        }
        in_time = {name: look.result() for name, look in started.items() if look.done()}
        hanging = Look(troubles=(Trouble(f"discovery has not returned in {timeout:g} s"),))
        looks = {driver.name: in_time.get(driver.name, hanging) for driver in self._drivers}
        return looks, merged(looks, self._memory.hidden(looks), self._withheld)

    def _note_troubles(
        self, name: str, troubles: tuple[Trouble, ...], bug: BaseException | None
    ) -> None:
        """Log what is wrong with a driver's scan once, not at every scan."""
        known = self._known_troubles.get(name, ())
        self._known_troubles[name] = troubles
        if known and not troubles:
            LOG.info("discovery works again driver=%s", name)
        for trouble in troubles:
            if trouble not in known:
                LOG.warning(
                    "discovery problem driver=%s reason=%s", name, trouble.text, exc_info=bug
                )

    def _note_not_offered(self, name: str, look: Look, found: tuple[NotOffered, ...]) -> None:
        """Log what is left out on purpose once, and again when that changes."""
        known = self._known_not_offered.get(name, ())
        for each in found:
            if each not in known:
                LOG.info("found and not offered driver=%s %s: %s", name, each.where, each.why)
        # One that could not look has not said that anything is different now.
        self._known_not_offered[name] = (
            tuple(dict.fromkeys((*known, *found))) if look.failed else found
        )

    def _note_types(self, devices: Iterable[DeviceReport]) -> None:
        """Warn of handles that a server gets nothing of, once for each driver and type."""
        used = {
            (device.driver, handle.type)
            for device in devices
            for part in device.deployables
            for handle in part.handles
        }
        for name, type_ in sorted(used - self._known_types):
            LOG.warning("handles of a type that Nova does not know driver=%s type=%s", name, type_)
        self._known_types |= used


def _start(driver: Driver) -> futures.Future[Look]:
    future: futures.Future[Look] = futures.Future()
    # Not an executor's thread: those are waited for at exit, and this one may hang for ever.
    threading.Thread(
        target=lambda: future.set_result(look_with(driver)),
        name=f"discover-{driver.name}",
        daemon=True,
    ).start()
    return future
