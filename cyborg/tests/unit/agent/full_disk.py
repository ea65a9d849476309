"""A disk that is full at one write, whichever: what a test asks for is counted and refused."""

from __future__ import annotations

import builtins
import errno
import os
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cyborg import files
from cyborg.agent import bitstream_cache


class FullDisk:
    """Counts all that may need room on the disk, and refuses one of it, or all from one on."""

    def __init__(self, patch: pytest.MonkeyPatch, refused: Callable[[int], bool]) -> None:
        """Begin to count.

        :param refused: says of an operation, by its number from 1, whether there is no room.
        """
        self.done: list[str] = []
        self._refused = refused
        for owner, name in (
            (os, "fsync"),
            (os, "replace"),
            (os, "mkdir"),
            (tempfile, "mkstemp"),
        ):
            patch.setattr(owner, name, self._counted(name, getattr(owner, name)))
        for module in (files, bitstream_cache):
            patch.setattr(module, "open", self._open, raising=False)

    def count(self, what: str) -> None:
        """Let something be written.

        :raises OSError: there is no room for it.
        """
        self.done.append(what)
        if self._refused(len(self.done)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            # What is there already is not made, and needs no room.
            if name != "mkdir" or not os.path.isdir(arguments[0]):
                self.count(name)
            return function(*arguments, **named)

        return counted

    def _open(self, *arguments: Any, **named: Any) -> _File:
        self.count("open")
        return _File(builtins.open(*arguments, **named), self.count)


class _File:
    """A file of which each write is counted, and written only half where there is no room."""

    def __init__(self, file: Any, count: Callable[[str], None]) -> None:
        self._file = file
        self._count = count

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, content: bytes) -> None:
        try:
            self._count("write")
        except OSError:
            self._file.write(content[: len(content) // 2])
            raise
        self._file.write(content)


def places(operation: Callable[[], object]) -> int:
    """Return at how many places an operation may find the disk full where it was done before."""
    operation()
    with pytest.MonkeyPatch.context() as patch:
        disk = FullDisk(patch, lambda _number: False)
        operation()
    return len(disk.done)


@contextmanager
def full_at(number: int) -> Any:
    """Let one write find the disk full, by its number."""
    with pytest.MonkeyPatch.context() as patch:
        yield FullDisk(patch, lambda each: each == number)


@contextmanager
def full_from(number: int = 1) -> Any:
    """Let the disk be full from one write on."""
    with pytest.MonkeyPatch.context() as patch:
        yield FullDisk(patch, lambda each: each >= number)


def whole_files(directory: Path) -> dict[str, bytes]:
    """Return what a directory holds, by name."""
    if not directory.exists():
        return {}
    return {path.name: path.read_bytes() for path in directory.iterdir()}
