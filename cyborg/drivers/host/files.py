"""The files of a host, below its root: plain calls, which fail or block as the kernel does."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

#: Bytes that are read of a file unless more is asked for: what an attribute of sysfs can have.
ATTRIBUTE_SIZE = 4096


class Files:
    """Reads what is below a root. A test gives one that fails; nobody else needs another.

    Paths are absolute as the host has them (``/sys/bus/pci/devices``), without ``..``. All
    methods raise an :class:`OSError` as the system call does, and may block as long as it does.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        """Take the host whose root directory this is."""
        self._root = os.fspath(root).rstrip("/")

    def read(self, path: str, most: int = ATTRIBUTE_SIZE) -> bytes:
        """Return the first bytes of a file, at most so many."""
        # Without waiting for somebody to write to what turns out to be a pipe.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        descriptor = os.open(self.place(path), flags)
        try:
            found = os.read(descriptor, most)
            while len(found) < most and (more := os.read(descriptor, most - len(found))):
                found += more
            return found
        finally:
            os.close(descriptor)

    def link(self, path: str) -> str:
        """Return the last name of where a link points, whether that is there or not."""
        return os.readlink(self.place(path)).rpartition("/")[2]

    def list(self, path: str) -> tuple[str, ...]:
        """Return the names in a directory, sorted."""
        return tuple(sorted(os.listdir(self.place(path))))

    def resolve(self, path: str) -> str:
        """Return where a path leads, after all links."""
        place = os.path.realpath(self.place(path), strict=True)
        root = os.path.realpath(self._root or "/").rstrip("/")
        if place != root and not place.startswith(f"{root}/"):
            raise FileNotFoundError(f"{path} leads out of the host")
        return place[len(root) :] or "/"

    def place(self, path: str) -> str:
        """Return where a path of the host is for this process.

        :raises ValueError: it is not absolute, or has ``..`` in it.
        """
        if not path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise ValueError(f"not a path of the host: {path}")
        return self._root + path
