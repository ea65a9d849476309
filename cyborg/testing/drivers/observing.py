"""What the agent would ask of a driver, and what can be seen of what it did."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cyborg.domain.inventory import DeviceReport, Snapshot
from cyborg.domain.report_check import sound_device
from cyborg.drivers.contract import DeployableReport, Driver, DriverError, Handle


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """A handle that is prepared, released, or both."""

    handle: Handle
    part: DeployableReport

    @property
    def group(self) -> Mapping[str, str]:
        """Return a device profile's group that asks for it."""
        return {f"resources:{self.part.resource_class}": "1"}

    def prepare(self, driver: Driver) -> None:
        """Prepare the handle, if the agent would."""
        if self.part.needs_prepare:
            driver.prepare(self.handle, self.group)

    def release(self, driver: Driver) -> None:
        """Release the handle, if the agent would."""
        if self.part.needs_release:
            driver.release(self.handle)

    def gone(self) -> Work:
        """Return the same work on a device that is no longer there: another is in its place."""
        handle = dataclasses.replace(
            self.handle, device=f"{self.handle.device}-gone", deployable=f"{self.part.name}-gone"
        )
        return Work(handle, self.part)


def digest_of(driver: Driver) -> str:
    """Return what the conductor would compare with the last report."""
    return Snapshot(driver.discover().devices).digest()


def as_recorded(device: DeviceReport) -> DeviceReport:
    """Return a device as it is recorded, and given to Nova.

    :raises ValueError: it cannot be; says what is wrong, in one line.
    """
    return sound_device(Snapshot((device,)).to_wire()["devices"][0])


def keys_of(driver: Driver) -> list[str]:
    """Return which hardware each handle is, of the devices that can be recorded."""
    keys = []
    for device in driver.discover().devices:
        with contextlib.suppress(ValueError):
            keys += [
                handle.key for part in as_recorded(device).deployables for handle in part.handles
            ]
    return keys


def files(directory: Path) -> dict[str, bytes]:
    """Return what lies in a directory: names, where links point, what files hold."""
    return dict(_files(directory))


def succeeds_or_says_why(call: Callable[[], object]) -> bool:
    """Return whether a call returns, or raises a DriverError with one line."""
    try:
        call()
    except DriverError as error:
        return one_line(error)
    return True


def one_line(error: DriverError) -> bool:
    """Return whether an error says why, in one line."""
    return len(str(error).splitlines()) == 1


def _files(directory: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if path.is_symlink():
            yield name, str(path.readlink()).encode()
        else:
            yield name, path.read_bytes() if path.is_file() else b""
