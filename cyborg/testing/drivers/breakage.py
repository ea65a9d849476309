"""A driver on a whole host of which one file after the other is broken.

Files are told apart by *kind*: the same name at the same place in the tree. Of functions that
look alike the first and the last are broken, in each of the states of
:class:`~cyborg.testing.drivers.breaking.State`. A kind that a scan opens and that was never broken
fails the test, by name.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cyborg.domain.hardware import address_of
from cyborg.domain.inventory import DeviceReport, Snapshot
from cyborg.drivers.contract import Discovery, Driver, DriverError
from cyborg.testing.drivers.breaking import BreakableFiles, State, kind_of
from cyborg.testing.drivers.observing import one_line

_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")

#: Makes a driver on the host, with its files broken as these are.
Maker = Callable[[BreakableFiles], Driver]


@dataclass(frozen=True, slots=True)
class Case:
    """One file that is broken."""

    path: str
    state: State

    def __str__(self) -> str:
        return f"{self.path} is {self.state}"


class Breakage:
    """Breaks the files of one host that one driver looks at."""

    def __init__(
        self,
        make: Maker,
        files: Callable[[], BreakableFiles],
        related: Callable[[str, str], bool],
        draw: random.Random | None,
    ) -> None:
        """Take a host.

        :param files: makes files of the host, none of which is broken.
        :param related: whether what is wrong at one address may change what is said of the device
            at another.
        :param draw: chooses one state of each file; None: all of them.
        """
        self._make = make
        self._files = files
        self._related = related
        self._draw = draw
        self._broken: set[str] = set()
        whole = files()
        driver = make(whole)
        whole.opened.clear()
        self._healthy = {each.identity: each for each in driver.discover().devices}
        self._waiting = _by_kind(whole.opened)

    def faults(self) -> list[str]:
        """Break one file after the other, and return what a driver should not have done."""
        found: list[str] = []
        while self._waiting:
            kind, paths = self._waiting.popitem()
            self._broken.add(kind)
            for case in self._cases(paths):
                found += self._try(case)
        return found

    def _cases(self, paths: Sequence[str]) -> Iterator[Case]:
        for path in dict.fromkeys((paths[0], paths[-1])):
            states = list(State) if self._draw is None else [self._draw.choice(list(State))]
            for state in states:
                yield Case(path, state)

    def _try(self, case: Case) -> list[str]:
        files = self._files()
        files.broken[case.path] = case.state
        try:
            looks = [self._look(driver) for driver in (self._make(files), self._make(files))]
            looks.append(self._look(self._make(files), again=True))
        except Exception as error:  # whatever a driver raises is what is tested here
            return [f"{case}: raises {type(error).__name__}: {error}"]
        for kind, paths in _by_kind(files.opened).items():
            # Some files are opened only since another one is broken.
            if kind not in self._broken:
                self._waiting.setdefault(kind, paths)
        digests = {_digest(look) for look in looks}
        if len(digests) > 1:
            return [f"{case}: scans and objects report differently"]
        return [f"{case}: {fault}" for fault in self._lost(case, looks[0])]

    def _look(self, driver: Driver, again: bool = False) -> Discovery | DriverError:
        try:
            if again:
                driver.discover()
            return driver.discover()
        except DriverError as error:
            return error

    def _lost(self, case: Case, look: Discovery | DriverError) -> Iterator[str]:
        """Yield what of the rest of the host is not as it was."""
        at = _ADDRESS.findall(case.path)
        if isinstance(look, DriverError):
            if at:
                yield f"the whole driver fails: {look}"
            if not one_line(look):
                yield "what it says is no line"
            return
        found: Mapping[str, DeviceReport] = {each.identity: each for each in look.devices}
        hidden = {problem.device for problem in look.problems}
        told = {each.where for each in look.not_offered}
        for identity, healthy in self._healthy.items():
            function = _address(healthy)
            is_told = not {identity, None}.isdisjoint(hidden) or function in told
            concerned = not at or any(self._related(place, function) for place in at)
            if identity not in found and not is_told:
                yield f"{identity} is lost without a word"
            elif not concerned and found.get(identity) != healthy:
                yield f"{identity} is not reported as it was"


def _address(device: DeviceReport) -> str:
    """Return where a device is: its identity may be a serial number, which says it not."""
    try:
        return address_of(device.control_path)
    except ValueError:
        return device.identity


def _by_kind(paths: Sequence[str]) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for path in dict.fromkeys(paths):
        kinds.setdefault(kind_of(path), []).append(path)
    return kinds


def _digest(look: Discovery | DriverError) -> str:
    return str(look) if isinstance(look, DriverError) else Snapshot(look.devices).digest()
