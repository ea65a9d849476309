"""Which driver a function has: ``driver_override``, ``bind``, ``unbind``, ``drivers_probe``."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

from cyborg.testing.hosts.kernel.kernel import Kernel
from cyborg.testing.hosts.kernel.sriov import VF_DRIVERS, remove_vfs
from cyborg.testing.hosts.kernel.sysfs import is_there, put, text_of, vfs_of
from cyborg.testing.hosts.kernel.writes import Write, answers
from cyborg.testing.hosts.tree import FUNCTIONS

_NONE = "(null)"
_LONGEST_OVERRIDE = 4094


@answers("driver_override")
def override(_kernel: Kernel, write: Write) -> None:
    """Say which driver alone may have a function."""
    if len(write.value) > _LONGEST_OVERRIDE:
        raise write.error(errno.EINVAL)
    first_line = write.value.split("\n")[0]
    put(write.directory / "driver_override", first_line or _NONE)


@answers("bind")
def bind(kernel: Kernel, write: Write) -> None:
    """Give a function to the driver in whose directory this is."""
    function = _function(kernel, write)
    driver = write.directory.name
    if is_there(function / "driver"):
        raise write.error(errno.EBUSY)
    wanted = _override_of(function)
    if wanted not in (None, driver):
        raise write.error(errno.ENODEV)
    if driver == "vfio-pci" and wanted is None and _ids_of(function) not in kernel.vfio_ids:
        raise write.error(errno.ENODEV)
    _bind(kernel, function, driver, write)


@answers("unbind")
def unbind(kernel: Kernel, write: Write) -> None:
    """Take a function away from the driver in whose directory this is."""
    if not is_there(write.directory / write.value):
        raise write.error(errno.ENODEV)
    function = _function(kernel, write)
    driver = write.directory.name
    if driver.endswith("vfio-pci"):
        # The link goes at once; the write returns when the user has closed it.
        _unbind(function)
        kernel.wait_until_free([write.value], write)
        return
    vfs = vfs_of(function)
    if vfs and driver != "nvme":
        # nvme leaves its virtual functions, igb takes them down.
        kernel.wait_until_free([vf.name for vf in vfs], write)
        remove_vfs(kernel, function)
    _unbind(function)


@answers("drivers_probe")
def probe(kernel: Kernel, write: Write) -> None:
    """Look for a driver for a function.

    That it has one, that nothing matches and that the probe fails is success each time.
    """
    function = _function(kernel, write)
    if is_there(function / "driver"):
        return
    driver = _override_of(function) or _driver_by_product(function)
    if driver:
        with contextlib.suppress(OSError):
            _bind(kernel, function, driver, write)


def _function(kernel: Kernel, write: Write) -> Path:
    """Return the directory of the function whose address is written."""
    link = kernel.root / FUNCTIONS / write.value
    if not link.is_dir():
        raise write.error(errno.ENODEV)
    return link.resolve()


def _override_of(function: Path) -> str | None:
    wanted = text_of(function / "driver_override")
    return None if wanted in ("", _NONE) else wanted


def _ids_of(function: Path) -> str:
    vendor, product = (text_of(function / name)[2:] for name in ("vendor", "device"))
    return f"{vendor}:{product}"


def _driver_by_product(function: Path) -> str | None:
    physical = function / "physfn"
    if physical.exists() and text_of(physical / "sriov_drivers_autoprobe", "1") == "0":
        return None
    return VF_DRIVERS.get(text_of(function / "device")[2:])


def _bind(kernel: Kernel, function: Path, driver: str, write: Write) -> None:
    group = function / "iommu_group"
    on_vfio = driver.endswith("vfio-pci")
    if on_vfio and not group.exists():
        raise write.error(errno.EINVAL)
    tree = kernel.tree()
    tree.bind(kernel.relative(function), driver)
    if on_vfio:
        tree.add_vfio_node(int(group.resolve().name))


def _unbind(function: Path) -> None:
    link = function / "driver"
    if link.is_symlink():
        (link.resolve() / function.name).unlink(missing_ok=True)
        link.unlink()
