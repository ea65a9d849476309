"""Files that are whole or not there, also after the host has lost its power."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


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
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
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
