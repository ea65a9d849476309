"""What fake devices hold: a file, where a real driver would ask the hardware."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from cyborg.drivers.contract import DriverError


@dataclass(frozen=True, slots=True)
class FakeContent:
    """What a device was programmed with."""

    image_uuid: str
    sha256: str


class FakeContents:
    """By the deployable's name; a restart finds them again. Safe for several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def get(self, deployable: str) -> FakeContent | None:
        """Return what a device holds; None if it holds nothing, or nobody can tell."""
        with self._lock:
            return self._read().get(deployable)

    def set(self, deployable: str, content: FakeContent | None) -> None:
        """Let a device hold something, or nothing.

        :raises DriverError: that cannot be written.
        """
        with self._lock:
            contents = self._read()
            contents.pop(deployable, None)
            if content is not None:
                contents[deployable] = content
            self._write({name: asdict(each) for name, each in contents.items()})

    def _read(self) -> dict[str, FakeContent]:
        try:
            data = json.loads(self._path.read_bytes())
            return {name: FakeContent(**content) for name, content in data.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            # No file, or not ours: devices that hold nothing.
            return {}

    def _write(self, data: object) -> None:
        temporary = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_text(json.dumps(data), encoding="utf-8")
            os.replace(temporary, self._path)
        except OSError as error:
            raise DriverError(f"the fake driver cannot write {self._path}: {error}") from error
