"""What fake devices hold: a file, where a real driver would ask the hardware."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass

from cyborg.drivers.host import StateFile


@dataclass(frozen=True, slots=True)
class FakeContent:
    """What a device was programmed with."""

    image_uuid: str
    sha256: str


class FakeContents:
    """By the deployable's name; a restart finds them again. Safe for several threads."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._lock = threading.Lock()

    def get(self, deployable: str) -> FakeContent | None:
        """Return what a device holds; None if it holds nothing, or nobody can tell."""
        with self._lock:
            return self._read().get(deployable)

    def set(self, deployable: str, content: FakeContent | None) -> None:
        """Let a device hold something, or nothing.

        :raises DriverError: if that cannot be written.
        """
        with self._lock:
            contents = self._read()
            contents.pop(deployable, None)
            if content is not None:
                contents[deployable] = content
            self._file.write({name: asdict(each) for name, each in contents.items()})

    def _read(self) -> dict[str, FakeContent]:
        data = self._file.read()
        if not isinstance(data, dict):
            return {}
        try:
            return {name: FakeContent(**content) for name, content in data.items()}
        except TypeError:
            # Not ours: devices that hold nothing.
            return {}
