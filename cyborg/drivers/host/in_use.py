"""Which PCI functions the host itself works with, as far as everybody can see.

A mounted drive, or the port with the route to the rest of the world: the kernel lets both be
taken away without a word. So whoever offers a function looks here first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from cyborg.drivers.host.host import Host
from cyborg.drivers.host.pci import ADDRESS, DEVICES

_BLOCK = "/sys/class/block"
_SUBSYSTEMS = "/sys/class/nvme-subsystem"
#: Bytes of a list of the kernel's that are read.
_MOST = 1024 * 1024
#: What udev has found on a disk that neither mounts nor holders tell of.
_MEMBER = re.compile(r"^E:ID_FS_TYPE=(zfs_member)$", re.MULTILINE)
#: A drive that may have several controllers, below which its disks are then; and each of those.
_SUBSYSTEM = re.compile(r"nvme-subsys[0-9]{1,9}\Z")
_CONTROLLER = re.compile(r"nvme[0-9]{1,9}\Z")
_DEVICE_NUMBER = re.compile(r"[0-9]{1,6}:[0-9]{1,9}\Z")


class InUse:
    """What the host works with at one time. Not to be used by several threads."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def disk(self, address: str) -> str | None:
        """Return what uses a disk of a function, or of one behind it; None if nothing does.

        :raises OSError: that cannot be told.
        """
        for why in self._disks.get(address, ()):
            if isinstance(why, OSError):
                raise why
            return why
        return None

    def port(self, address: str) -> str | None:
        """Return why a port of a function carries the host's traffic; None if none does.

        :raises OSError: that cannot be told.
        """
        directory = f"{DEVICES}/{address}/net"
        for name in _listed(self._host, directory):
            if name in self._routed:
                return f"the host has a route through its port {name}"
            names = self._host.list(f"{directory}/{name}")
            if "master" in names or any(each.startswith("upper_") for each in names):
                return f"its port {name} belongs to another interface of the host"
        return None

    @cached_property
    def _disks(self) -> Mapping[str, list[str | OSError]]:
        """By address, what uses a disk, or why that cannot be told."""
        users = {**_mounted(self._host), **_swapped(self._host)}
        found: dict[str, list[str | OSError]] = {}
        for name in _listed(self._host, _BLOCK):
            path = f"{_BLOCK}/{name}"
            addresses = _addresses(self._host, path)
            why: str | OSError | None
            try:
                why = users.get(name) or _held(self._host, path, name)
            except OSError as error:
                why = error
            if why is not None:
                for address in addresses:
                    found.setdefault(address, []).append(why)
        return found

    @cached_property
    def _routed(self) -> frozenset[str]:
        """Names of interfaces with routes beyond their own links."""
        routed = {line.split("\t")[0] for line in _lines(self._host, "/proc/net/route")[1:]}
        for line in _lines(self._host, "/proc/net/ipv6_route"):
            if line and not line.startswith(("fe80", "ff00")):
                routed.add(line.split()[-1])
        return frozenset(routed)


def _mounted(host: Host) -> dict[str, str]:
    """Return the names of mounted block devices."""
    found: dict[str, str] = {}
    for line in _lines(host, "/proc/mounts"):
        source = line.split(" ")[0]
        if source.startswith("/dev/"):
            name = source.rpartition("/")[2]
            found[name] = f"{name} is mounted"
    return found


def _swapped(host: Host) -> dict[str, str]:
    lines = _lines(host, "/proc/swaps")[1:]
    names = [line.split()[0].rpartition("/")[2] for line in lines if line.split()]
    return {name: f"the host swaps to {name}" for name in names}


def _held(host: Host, path: str, name: str) -> str | None:
    """Return what is built on a block device."""
    holders = _listed(host, f"{path}/holders")
    if holders:
        return f"{holders[0]} is built on {name}"
    number = host.look(path, {"dev": 64}).text_or("dev", "")
    if not _DEVICE_NUMBER.match(number):
        return None
    udev = host.look("/run/udev/data", {f"b{number}": 65536})
    member = _MEMBER.search(udev.text_or(f"b{number}", ""))
    return f"{name} is a {member[1]}" if member else None


def _addresses(host: Host, path: str) -> list[str]:
    """Return the addresses of the functions through which a device is reached."""
    try:
        parts = host.resolve(path).split("/")
    except FileNotFoundError:
        return []
    found = [part for part in parts if ADDRESS.match(part)]
    # The kernel takes every drive that says it could have several controllers out of the one that
    # it has, and the way to its disks no longer leads through a function.
    for subsystem in filter(_SUBSYSTEM.match, parts):
        names = _listed(host, f"{_SUBSYSTEMS}/{subsystem}")
        for controller in filter(_CONTROLLER.match, names):
            found += _addresses(host, f"{_SUBSYSTEMS}/{subsystem}/{controller}")
    return found


def _listed(host: Host, path: str) -> Sequence[str]:
    try:
        return host.list(path)
    except FileNotFoundError:
        return ()


def _lines(host: Host, path: str) -> list[str]:
    try:
        return host.read(path, _MOST).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
