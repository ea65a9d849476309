"""The host that the lab emulates: what is in it, and what somebody else than we does to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

#: As lab.sh has put them.
BOOT_DISPLAY = "0000:00:03.0"
NO_RESET = "0000:00:05.0"
#: One group: the bridge has a driver of the host, which keeps others from having the other.
CHIPSET_BRIDGE = "0000:00:1f.0"
CHIPSET = "0000:00:1f.3"
SYSTEM_DRIVE = "0000:01:00.0"
FREE_DRIVE = "0000:02:00.0"
DRIVE_WITH_FUNCTIONS = "0000:03:00.0"
NETWORK_WITH_FUNCTIONS = "0000:04:00.0"
NETWORK = "0000:05:00.0"
TWO_FUNCTIONS = ("0000:06:00.0", "0000:06:00.1")
BEHIND_SWITCH = "0000:09:00.0"
BEHIND_BRIDGE = ("0000:0c:01.0", "0000:0c:02.0")
PLUGGED = "0000:0d:00.0"
SECOND_NODE_DRIVE = "0000:81:00.0"

#: Virtual functions that the tests make of each of the two.
VIRTUAL = 3

DEVICES = Path("/sys/bus/pci/devices")
DRIVERS = Path("/sys/bus/pci/drivers")

#: Opens a function as a hypervisor does, says so, and has it until its input ends.
_GUEST = """
import fcntl, os, struct, sys
group, address = sys.argv[1:]
container = os.open("/dev/vfio/vfio", os.O_RDWR)
opened = os.open(f"/dev/vfio/{group}", os.O_RDWR)
VFIO_GROUP_SET_CONTAINER, VFIO_SET_IOMMU, VFIO_GROUP_GET_DEVICE_FD = 0x3B68, 0x3B66, 0x3B6A
fcntl.ioctl(opened, VFIO_GROUP_SET_CONTAINER, struct.pack("i", container))
fcntl.ioctl(container, VFIO_SET_IOMMU, 1)
fcntl.ioctl(opened, VFIO_GROUP_GET_DEVICE_FD, address.encode() + b"\\0")
print("open", flush=True)
sys.stdin.read()
"""


def write(path: Path, value: str) -> None:
    """Write to a file of the kernel.

    :raises OSError: it says no.
    """
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def read(path: Path) -> str:
    """Return what a file of the kernel says."""
    return path.read_text().strip()


def driver_of(address: str) -> str:
    """Return the driver that a function is bound to; empty for none."""
    link = DEVICES / address / "driver"
    return link.resolve().name if link.exists() else ""


def group_of(address: str) -> str:
    """Return the number of a function's IOMMU group."""
    return (DEVICES / address / "iommu_group").resolve().name


def virtual_functions(address: str) -> list[str]:
    """Return the addresses of a function's virtual ones."""
    links = (DEVICES / address).glob("virtfn*")
    return sorted(link.resolve().name for link in links)


def make_virtual_functions(address: str, number: int) -> None:
    """Let a physical function have virtual ones, of which no driver is told yet."""
    directory = DEVICES / address
    write(directory / "sriov_drivers_autoprobe", "0")
    write(directory / "sriov_numvfs", str(number))
    wait_for(lambda: len(virtual_functions(address)) == number)
    write(directory / "sriov_drivers_autoprobe", "1")


def rebind(address: str, driver: str) -> None:
    """Give a function to another driver, as libvirt does for a guest and after it.

    :param driver: empty: whichever the kernel chooses.
    """
    unbind(address)
    write(DEVICES / address / "driver_override", driver or "\n")
    write(DRIVERS.parent / "drivers_probe", address)
    wait_for(lambda: driver_of(address) == driver if driver else bool(driver_of(address)))


def leave(address: str) -> None:
    """Let a function be nobody's, and whoever's the kernel chooses next."""
    unbind(address)
    write(DEVICES / address / "driver_override", "\n")


def unbind(address: str) -> None:
    """Take a function from its driver, if it has one."""
    before = driver_of(address)
    if before:
        write(DRIVERS / before / "unbind", address)


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so; fail if that takes longer."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it has not come in time"
        time.sleep(0.1)


def run(*argv: str) -> str:
    """Run a program that has to succeed; return what it says."""
    done = subprocess.run(  # noqa: S603 - of tests' own naming
        argv, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


class NotOpened(Exception):
    """The kernel does not let a guest have a function."""


class Guest:
    """A process that has a function open, as a hypervisor has it for its guest."""

    def __init__(self, address: str) -> None:
        """Open a function.

        :raises NotOpened: it cannot be opened.
        """
        self._process = subprocess.Popen(  # noqa: S603 - this very Python
            [sys.executable, "-S", "-c", _GUEST, group_of(address), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "open\n":
            self._process.communicate()
            raise NotOpened(address)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_error: object) -> None:
        # Whatever has failed: nothing can be taken from its driver as long as it is open.
        self.end()

    def end(self) -> None:
        """Let it close what it has open, and end; the same again has no effect."""
        if self._process.poll() is None:
            self._process.communicate(timeout=120)
