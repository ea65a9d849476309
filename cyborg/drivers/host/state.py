"""What a driver keeps on disk, where its hardware cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path

from cyborg.drivers.errors import DriverError
from cyborg.files import replace_durably


class StateFile:
    """One JSON value, which a restart and a loss of power leave whole.

    It has no lock: a driver guards what its threads share.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        """Take a file.

        :param writes: False: what is written is dropped, for a look that changes nothing.
        """
        self._path = path
        self._writes = writes

    def read(self) -> object:
        """Return what was written last; None if nothing was, or if it cannot be read."""
        try:
            value: object = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        return value

    def write(self, value: object) -> None:
        """Keep a value; when this returns it is on the disk.

        :raises DriverError: if it cannot be written. What was written before stays.
        """
        if not self._writes:
            return
        try:
            replace_durably(self._path, json.dumps(value).encode())
        except OSError as error:
            raise DriverError(f"cannot write {self._path}: {error.strerror}") from error
