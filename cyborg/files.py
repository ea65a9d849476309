"""Files that are whole or not there, also after the host has lost its power; and whose they are."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


class InUse(Exception):
    """Another process holds a directory; the text is the one line to show."""


class Hold:
    """A directory that one process uses, until it ends or lets go.

    The kernel lets go for a process that has died: the file that stays behind holds nothing.
    """

    def __init__(self, directory: Path) -> None:
        """Take a directory, which is made, for nobody else to read, if it is not there.

        :raises InUse: another process has it.
        :raises OSError: nothing can be written there.
        """
        make_private(directory)
        self._descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._descriptor, 20).decode(errors="replace").strip()
            os.close(self._descriptor)
            by = f"process {holder}" if holder else "another process"
            raise InUse(f"{directory} is in use by {by}; each needs a directory of its own") from (
                error
            )
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())

    def let_go(self) -> None:
        """Let another process have it. Once."""
        os.close(self._descriptor)


def make_private(directory: Path) -> None:
    """Make a directory, and those above it that are missing, for nobody else to read.

    Whatever the umask is. Those that are there stay as they are.

    :raises OSError: it is not there, and cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        make_private(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file; when this returns its content is on the disk.

    :raises OSError: it is not, and the file is gone.
    """
    try:
        with open(path, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        _remove(path)
        raise


def replace_durably(path: Path, content: bytes) -> None:
    """Write a file, or write it anew, in a directory that is made if it is not there.

    When this returns the content is on the disk. Whoever reads meanwhile finds the old
    content or the new one.

    :raises OSError: it may be lost with the host's power. What is there is the old content or
        the new one, whole.
    """
    temporary = path.with_suffix(".new")
    make_private(path.parent)
    write_durably(temporary, content)
    try:
        os.replace(temporary, path)
    except OSError:
        _remove(temporary)
        raise
    sync_directory(path.parent)


def _remove(path: Path) -> None:
    """Delete a file if that is possible: what is wrong already is to be told, not this."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Make a rename durable: it is the directory's content, not the file's."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
