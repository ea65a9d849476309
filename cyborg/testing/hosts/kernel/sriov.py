"""Virtual functions: ``sriov_numvfs``, ``sriov_vf_msix_count``."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from cyborg.testing.hosts import events
from cyborg.testing.hosts.functions import PciFunction
from cyborg.testing.hosts.kernel.kernel import Kernel
from cyborg.testing.hosts.kernel.sysfs import driver_of, is_there, put, text_of, vfs_of
from cyborg.testing.hosts.kernel.writes import Write, answers

_LARGEST = 0xFFFF

#: Drivers that cannot be asked for virtual functions here. Of nvidia it was seen, of the others
#: there is no sriov_configure in their source.
_WITHOUT_SRIOV = (None, "xclmgmt", "nvidia", "habanalabs", "gim", "vfio-pci")

#: The drivers of virtual functions, which the kernel finds by their products.
VF_DRIVERS = {"1889": "iavf", "154c": "iavf", "101e": "mlx5_core"}


@answers("sriov_numvfs")
def set_count(kernel: Kernel, write: Write) -> None:
    """Make virtual functions, or take them all away."""
    function = write.directory
    count = _number(write)
    present = int(text_of(function / "sriov_numvfs", "0"))
    if count > int(text_of(function / "sriov_totalvfs", "0")):
        raise write.error(errno.ERANGE)
    if count == present:
        return
    driver = driver_of(function)
    if driver in _WITHOUT_SRIOV:
        raise write.error(errno.ENOENT)
    if count and present:
        raise write.error(errno.EBUSY)
    if not count:
        kernel.wait_until_free([vf.name for vf in vfs_of(function)], write)
        remove_vfs(kernel, function)
    elif _is_not_ready(function, driver):
        raise write.error(errno.EINVAL)
    else:
        _add(kernel, function, count)


def _number(write: Write) -> int:
    """Return the number that is written, in a notation of C's."""
    base = 8 if re.fullmatch("0[0-7]+", write.value) else 0
    try:
        number = int(write.value, base)
    except ValueError:
        raise write.error(errno.EINVAL) from None
    if not 0 <= number <= _LARGEST:
        raise write.error(errno.EINVAL)
    return number


def _is_not_ready(function: Path, driver: str | None) -> bool:
    """Return whether the driver refuses; that these two do so in this way is a guess."""
    if driver == "dfl-pci":
        return any(function.glob("fpga_region/*/dfl-port*"))
    return driver == "4xxx" and text_of(function / "qat/state") == "down"


def _add(kernel: Kernel, function: Path, count: int) -> None:
    def hexadecimal(name: str) -> str:
        return text_of(function / name)[2:]

    product = text_of(function / "sriov_vf_device").zfill(4)
    finds_drivers = text_of(function / "sriov_drivers_autoprobe", "1") == "1"
    virtual = PciFunction(
        f"{hexadecimal('vendor')}:{product}",
        hexadecimal("class"),
        subsystem=f"{hexadecimal('subsystem_vendor')}:{hexadecimal('subsystem_device')}",
        driver=VF_DRIVERS.get(product) if finds_drivers else None,
        numa=int(text_of(function / "numa_node", "-1")),
    )
    kernel.tree().add_vfs(kernel.relative(function), count, virtual)


def remove_vfs(kernel: Kernel, function: Path) -> None:
    """Take away the virtual functions of a physical one."""
    events.remove_vfs(kernel.root, function)
    put(function / "sriov_numvfs", "0")


@answers("sriov_vf_msix_count")
def set_interrupts(_kernel: Kernel, write: Write) -> None:
    """Say how many interrupts a virtual function has."""
    if driver_of((write.directory / "physfn").resolve()) not in ("mlx5_core", "ice"):
        raise write.error(errno.EOPNOTSUPP)
    if is_there(write.directory / "driver"):
        raise write.error(errno.EBUSY)
    if not write.value.isdigit():
        raise write.error(errno.EINVAL)
