"""Writes to files of the kernel, each by a process of its own, since one may never return."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

#: Exit status of a child that failed in a way that has no number.
_STRANGE = 255

#: After standard input, output and error.
_FIRST_OWN = 3

#: Seconds that a child is given to die.
_LAST_WAIT = 0.2


class Writer(Protocol):
    """Writes what the kernel acts upon."""

    def write(self, path: str, value: str, timeout: float) -> None:
        """Write a value; return when the kernel has acted.

        :raises TimeoutError: it has not within ``timeout`` seconds, or an earlier write to the
            file has not yet.
        :raises OSError: the kernel says no.
        """


class ChildWriter:
    """Writes below a root. Safe for several threads.

    A forked child keeps just the privileges of this process, which a program that is executed
    would not. It touches nothing but the file, and so needs no lock that a thread of its
    parent's may have had.
    """

    def __init__(self, root: Path = Path("/"), kill: Callable[[int], None] | None = None) -> None:
        """Write below a root.

        :param kill: ends a child; the kernel may not let it.
        """
        self._root = os.fspath(root).rstrip("/")
        self._kill = kill or _kill
        self._lock = threading.Lock()
        #: Children that have not ended, by file.
        self._stuck: dict[str, int] = {}

    def write(self, path: str, value: str, timeout: float) -> None:
        """See :class:`Writer`."""
        place = f"{self._root}{path}"
        self._refuse_stuck(path)
        child = os.fork()
        if child == 0:
            _write_and_exit(place, value.encode())
        number = _status(child, timeout)
        if number is None:
            self._kill(child)
            if _status(child, _LAST_WAIT) is None:
                with self._lock:
                    self._stuck[path] = child
            raise TimeoutError(errno.ETIMEDOUT, f"no answer within {timeout:g} s", path)
        if number:
            raise OSError(number, os.strerror(number), path)

    def _refuse_stuck(self, path: str) -> None:
        with self._lock:
            child = self._stuck.get(path)
            if child is None:
                return
            if _status(child, 0) is None:
                raise TimeoutError(errno.ETIMEDOUT, "an earlier write to it has not returned", path)
            del self._stuck[path]


def _kill(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def _write_and_exit(place: str, value: bytes) -> None:
    status = _STRANGE
    try:
        # It may never return, and would keep from being closed whatever its parent has open: the
        # socket by whose end the agent knows that this process is gone.
        os.closerange(_FIRST_OWN, os.sysconf("SC_OPEN_MAX"))
        descriptor = os.open(place, os.O_WRONLY | os.O_CLOEXEC)
        os.write(descriptor, value)
        status = 0
    except OSError as error:
        status = error.errno or _STRANGE
    finally:
        os._exit(status)


def _status(child: int, timeout: float) -> int | None:
    """Return the exit status of a child that has ended in time, and is gone then; else None."""
    descriptor = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(timeout * 1000):
            return None
    finally:
        os.close(descriptor)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) % 256
