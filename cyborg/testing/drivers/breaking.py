"""A host's files, of which one is broken: what drivers have to live with."""

from __future__ import annotations

import enum
import errno
import os
import re
from pathlib import Path

from cyborg.drivers.host.files import ATTRIBUTE_SIZE, Files

_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")
_NUMBER = re.compile(r"[0-9]+")

#: What a broken attribute may hold: more than fits, no text, and no line's end.
GARBAGE = b"\xff\x00\x1b[31m;'\"\n" + 5000 * b"\xc3\x28 "


class State(enum.StrEnum):
    """How a file is broken."""

    MISSING = "missing"
    EMPTY = "empty"
    FORBIDDEN = "EACCES"
    FAILING = "EIO"
    GONE = "ENODEV"
    GARBAGE = "garbage"
    #: Of what should be a file, or a link; a file where a directory should be.
    ANOTHER_KIND = "a directory"
    #: It has not answered in time, as a host says it of what blocks.
    SLOW = "slow"


_ERRORS = {
    State.MISSING: errno.ENOENT,
    State.FORBIDDEN: errno.EACCES,
    State.FAILING: errno.EIO,
    State.GONE: errno.ENODEV,
    State.SLOW: errno.ETIMEDOUT,
}


def kind_of(path: str) -> str:
    """Return what a path has in common with those of the same name and place in other devices."""
    return _NUMBER.sub("N", _ADDRESS.sub("<address>", path))


class BreakableFiles(Files):
    """Files that can be broken one by one, and that remember which were looked at."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.broken: dict[str, State] = {}
        #: Paths that were read, listed, or followed, as often as that was done.
        self.opened: list[str] = []

    def read(self, path: str, most: int = ATTRIBUTE_SIZE) -> bytes:
        state = self._met(path, errno.EISDIR)
        if state is State.EMPTY:
            return b""
        return GARBAGE[:most] if state is State.GARBAGE else super().read(path, most)

    def link(self, path: str) -> str:
        state = self._met(path, errno.EINVAL)
        if state is State.EMPTY:
            # What no link can be: as good as none.
            raise _error(errno.ENOENT, path)
        return "garbage \x1b" if state is State.GARBAGE else super().link(path)

    def list(self, path: str) -> tuple[str, ...]:
        state = self._met(path, errno.ENOTDIR)
        if state is State.EMPTY:
            return ()
        return ("garbage \x1b",) if state is State.GARBAGE else super().list(path)

    def resolve(self, path: str) -> str:
        state = self._met(path, errno.ELOOP)
        if state is State.EMPTY:
            raise _error(errno.ENOENT, path)
        return "/garbage" if state is State.GARBAGE else super().resolve(path)

    def _met(self, path: str, another_kind: int) -> State | None:
        """Note that a path is looked at; do what its state does, or return the state."""
        self.opened.append(path)
        state = self.broken.get(path)
        if state is State.ANOTHER_KIND:
            raise _error(another_kind, path)
        elif state in _ERRORS:
            raise _error(_ERRORS[state], path)
        return state


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
