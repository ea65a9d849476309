"""What a host offers to drivers."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from cyborg.drivers.host import commands
from cyborg.drivers.host.commands import Output
from cyborg.drivers.host.contents import Contents
from cyborg.drivers.host.files import ATTRIBUTE_SIZE, Files
from cyborg.drivers.host.patience import Patience
from cyborg.drivers.host.state import StateFile

T = TypeVar("T")

#: Seconds that reading a file may take.
READ_TIMEOUT = 2.0

_NOTHING: Mapping[str, int] = {}


class Host:
    """One host. Safe for several threads.

    Paths are absolute as the host has them: ``/sys/bus/pci/devices``. What cannot be read
    raises an :class:`OSError`, a :class:`TimeoutError` if it has not answered in time; it is not
    tried again until it has.
    """

    def __init__(
        self,
        state_directory: Path,
        files: Files | None = None,
        *,
        remembers: bool = True,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        """Take a host.

        :param state_directory: where what drivers keep lies; made when the first of them writes.
        :param files: its files; by default those of this process.
        :param remembers: False: what drivers keep is read, and what they write is dropped.
        :param read_timeout: seconds that one file may take.
        """
        #: Where what drivers keep lies.
        self.state_directory = state_directory
        self._files = files or Files()
        self._remembers = remembers
        self._patience = Patience(read_timeout)

    def read(self, path: str, most: int = ATTRIBUTE_SIZE) -> bytes:
        """Return the first bytes of a file, at most so many.

        :raises OSError: it is not there, or cannot be read.
        """
        directory, _, name = path.rpartition("/")
        return self.look(directory, {name: most}).data(name)

    def list(self, path: str) -> tuple[str, ...]:
        """Return the names in a directory, sorted.

        :raises OSError: it is not there, or cannot be read.
        """
        found = self.list_each([path])[path]
        if isinstance(found, OSError):
            raise found
        return found

    def list_each(self, paths: Iterable[str]) -> dict[str, tuple[str, ...] | OSError]:
        """Return the names in each of several directories, or why it cannot be read."""
        return self._each([(path, self._files.list) for path in paths])

    def resolve(self, path: str) -> str:
        """Return where a path leads, after all links.

        :raises OSError: nothing is there, or it cannot be reached.
        """
        found = self._each([(path, self._files.resolve)])[path]
        if isinstance(found, OSError):
            raise found
        return found

    def look(
        self, path: str, files: Mapping[str, int] = _NOTHING, links: Sequence[str] = ()
    ) -> Contents:
        """Return what is in a directory now, of what is named; raises nothing.

        See :meth:`look_at_each`.
        """
        return self.look_at_each([path], files, links)[0]

    def look_at_each(
        self,
        paths: Sequence[str],
        files: Mapping[str, int] = _NOTHING,
        links: Sequence[str] = (),
    ) -> tuple[Contents, ...]:
        """Return what is in each of several directories, of what is named; raises nothing.

        This costs less than a call for each file. One that is stuck does not hide the others.

        :param files: names of files, which may be in directories below, and how many bytes of
            each are read at most.
        :param links: names of links, of which the last name of their target is found.
        """
        read, link = self._files.read, self._files.link
        wanted: list[tuple[str, Callable[[str], bytes]]] = []
        for path in paths:
            wanted += [(f"{path}/{name}", partial(read, most=most)) for name, most in files.items()]
            wanted += [(f"{path}/{name}", lambda at: link(at).encode()) for name in links]
        found = self._each(wanted)
        names = (*files, *links)
        return tuple(
            Contents(path, {name: found[f"{path}/{name}"] for name in names}) for path in paths
        )

    def run(self, argv: Sequence[str], timeout: float) -> Output:
        """Run a program of the host, in the C locale and without input.

        :param argv: its name, without a directory, and its arguments.
        :raises FileNotFoundError: it is not installed.
        :raises TimeoutError: it has not ended in time, and was killed.
        :raises OSError: it cannot be started, or says more than anybody would read.
        """
        return commands.run(self._files, argv, timeout)

    def connect(self, path: str, timeout: float) -> socket.socket:
        """Return a connection to a Unix socket, whose calls take at most so many seconds.

        :raises OSError: nobody listens.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            connection.connect(self._files.place(path))
        except BaseException:
            connection.close()
            raise
        return connection

    def state_file(self, driver: str) -> StateFile:
        """Return the file where a driver keeps what its hardware cannot.

        :param driver: the driver's name, so that each has a file of its own.
        """
        return StateFile(self.state_directory / f"{driver}.json", writes=self._remembers)

    def _each(self, wanted: Sequence[tuple[str, Callable[[str], T]]]) -> dict[str, T | OSError]:
        """Return what calls for paths return, or raise, in an order of theirs."""
        found: dict[str, T | OSError] = {}
        while wanted:
            reading = _Reading(self._patience, wanted, found)
            try:
                self._patience.call(reading.go_on, reading.where)
            except TimeoutError as error:
                wanted = reading.leave(error)
            else:
                break
        return found


class _Reading(Generic[T]):
    """Makes calls for one path after the other, and can be left where it is stuck."""

    def __init__(
        self,
        patience: Patience,
        wanted: Sequence[tuple[str, Callable[[str], T]]],
        found: dict[str, T | OSError],
    ) -> None:
        self._patience = patience
        self._wanted = wanted
        self._found = found
        self._position = 0
        self._is_left = False

    def where(self) -> str:
        """Return the path that is being read."""
        return self._wanted[self._position][0]

    def go_on(self) -> None:
        """Read one after the other, and note what cannot be read."""
        for position, (path, call) in enumerate(self._wanted):
            self._position = position
            value = self._value(path, call)
            if self._is_left:
                return
            self._found[path] = value

    def leave(self, error: OSError) -> Sequence[tuple[str, Callable[[str], T]]]:
        """Note that it is stuck; return what is not read yet."""
        self._is_left = True
        self._found[self.where()] = error
        return self._wanted[self._position + 1 :]

    def _value(self, path: str, call: Callable[[str], T]) -> T | OSError:
        if self._patience.is_stuck(path):
            return self._patience.too_slow(path)
        try:
            return call(path)
        except OSError as error:
            return error
        except ValueError as error:  # a path that no file has, such as one with a NUL
            return OSError(errno.EINVAL, str(error), path)
