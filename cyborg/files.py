"""Files that are whole or not there, also after the host has lost its power."""

from __future__ import annotations

import os
from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """Write a file; when this returns its content is on the disk.

    :raises OSError: it is not, and the file is gone.
    """
    try:
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def replace_durably(path: Path, content: bytes) -> None:
    """Write a file, or write it anew, in a directory that is made if it is not there.

    When this returns the content is on the disk. Whoever reads meanwhile finds the old
    content or the new one.

    :raises OSError: it is not written, and the old content stays.
    """
    temporary = path.with_suffix(".new")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(temporary, content)
    os.replace(temporary, path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make a rename durable: it is the directory's content, not the file's."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
