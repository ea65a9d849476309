"""Who has a function open: the kernel is asked, and ``/proc`` only adds who that is."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

from cyborg.drivers.host import Host, Possession
from cyborg.drivers.host.files import Files
from cyborg.drivers.host.pci import ADDRESS, DEVICES, Function, is_vfio, read_function, said

#: Processes that are named.
_MOST_NAMED = 3


def open_device(place: str) -> None:
    """Open a device and close it again.

    :raises OSError: EBUSY if somebody has it.
    """
    os.close(os.open(place, os.O_RDWR | os.O_CLOEXEC))


class Holders:
    """Asks VFIO, whose group can be open once. Safe for several threads."""

    def __init__(
        self, host: Host, files: Files, opens: Callable[[str], None] = open_device
    ) -> None:
        """Ask about functions of a host.

        :param files: the host's, for the place of a device.
        :param opens: opens a device.
        """
        self._host = host
        self._files = files
        self._open = opens

    def of(self, function: Function) -> Possession:
        """Return whether somebody has a function open, or what would be reset with it.

        That is any of its IOMMU group, and any of its virtual functions.
        """
        found = self._of_group(function)
        if not found.is_free or function.physical_function is not None:
            return found
        try:
            virtual = list(self._virtual_functions(function))
        except OSError as error:
            return Possession(None, (said(error),))
        possessions = map(self._of_group, virtual)
        return next((each for each in possessions if not each.is_free), found)

    def _virtual_functions(self, function: Function) -> Iterator[Function]:
        directory = f"{DEVICES}/{function.address}"
        links = [name for name in self._host.list(directory) if name.startswith("virtfn")]
        looked = self._host.look(directory, links=links)
        for name in links:
            address = looked.text_or(name, "")
            virtual = read_function(self._host, address) if ADDRESS.match(address) else None
            if virtual is not None:
                yield virtual

    def _of_group(self, function: Function) -> Possession:
        group = function.iommu_group
        path = f"/dev/vfio/{group}"
        if group is not None:
            try:
                self._open(self._files.place(path))
            except FileNotFoundError:
                # Its node goes when the last one of the group leaves VFIO, after all users.
                pass
            except OSError as error:
                if error.errno == errno.EBUSY:
                    return Possession(True, self._who(path))
                return Possession(None, (said(error),))
            else:
                return Possession(False)
        if not is_vfio(function.driver):
            return Possession(False)
        return self._of_device(function)

    def _of_device(self, function: Function) -> Possession:
        """Ask where a kernel has devices of VFIO and no groups."""
        try:
            names = self._host.list(f"{DEVICES}/{function.address}/vfio-dev")
            paths = [f"/dev/vfio/devices/{name}" for name in names]
            for path in paths:
                self._open(self._files.place(path))
        except OSError as error:
            if error.errno == errno.EBUSY:
                return Possession(True)
            return Possession(None, (said(error),))
        if not paths:
            return Possession(None, ("it has no device of VFIO",))
        # Several can have it open, so that only a look at all of them is an answer.
        try:
            users = tuple(user for path in paths for user in self._users(path))
        except OSError as error:
            return Possession(None, (said(error),))
        return Possession(bool(users), users[:_MOST_NAMED])

    def _who(self, path: str) -> tuple[str, ...]:
        try:
            return tuple(self._users(path))[:_MOST_NAMED]
        except OSError:
            return ()

    def _users(self, path: str) -> Iterator[str]:
        """Yield the processes that have a device open, as far as they can be seen.

        :raises OSError: not all can be looked at.
        """
        for process in self._host.list("/proc"):
            if not process.isdigit():
                continue
            try:
                if self._has_open(process, path):
                    yield f"{self._name(process)} (process {process})"
            except (FileNotFoundError, ProcessLookupError):
                # It has ended.
                continue

    def _has_open(self, process: str, path: str) -> bool:
        directory = f"/proc/{process}/fd"
        for name in self._host.list(directory):
            if os.readlink(self._files.place(f"{directory}/{name}")) == path:
                return True
        return False

    def _name(self, process: str) -> str:
        # Not its arguments: to read those can block.
        found = self._host.look(f"/proc/{process}", {"comm": 64})
        return found.text_or("comm", "?")
