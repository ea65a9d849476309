"""Mediated devices: ``create``, and what each costs the others."""

from __future__ import annotations

import errno
import re
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from cyborg.testing.hosts.kernel.kernel import Kernel
from cyborg.testing.hosts.kernel.sysfs import is_there, put, text_of, vfs_of
from cyborg.testing.hosts.kernel.writes import Write, answers
from cyborg.testing.hosts.mdev import DEVICES, TYPES, add_mdev

_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@answers("create")
def create(kernel: Kernel, write: Write) -> None:
    """Make a mediated device of the type in whose directory this is."""
    if not _UUID.fullmatch(write.value):
        raise write.error(errno.EINVAL)
    uuid = write.value.lower()
    if is_there(kernel.root / DEVICES / uuid):
        raise write.error(errno.EEXIST)
    mdev_type = write.directory
    if int(text_of(mdev_type / "available_instances", "0")) < 1:
        raise write.error(kernel.mdev_full)
    parent = mdev_type.parents[1]
    number = int(mdev_type.name.rpartition("-")[2])
    add_mdev(kernel.tree(), kernel.relative(parent), number, uuid)
    _count(parent)


def remove(kernel: Kernel, write: Write) -> None:
    """Take away the mediated device in whose directory this is, once nobody uses it."""
    device = write.directory
    # With mtty the directory goes at once, and the write returns when the user has closed it.
    kernel.wait_until_free([device.name], write)
    mdev_type, group = ((device / name).resolve() for name in ("mdev_type", "iommu_group"))
    (mdev_type / "devices" / device.name).unlink()
    (kernel.root / DEVICES / device.name).unlink()
    shutil.rmtree(device)
    shutil.rmtree(group)
    (kernel.root / "dev/vfio" / group.name).unlink(missing_ok=True)
    _count(device.parent)


def _count(parent: Path) -> None:
    """Write anew what a card has room for: NVIDIA's have one type at a time."""
    physical = parent / "physfn"
    places = vfs_of(physical.resolve()) if physical.exists() else [parent]
    made = _made(places)
    taken = {place for of_type in made.values() for place in of_type}
    for place in places:
        for mdev_type in (place / TYPES).iterdir():
            used = len(made.get(mdev_type.name, ()))
            free = _most(mdev_type) - used
            if made and not used:
                free = 0
            elif len(places) > 1:
                free = int(place not in taken and free > 0)
            put(mdev_type / "available_instances", str(free))


def _made(places: list[Path]) -> Mapping[str, list[Path]]:
    """Return on which functions there is a mediated device, by type."""
    made = defaultdict(list)
    for place in places:
        for device in place.glob(f"{TYPES}/*/devices/*"):
            made[device.parents[1].name].append(place)
    return made


def _most(mdev_type: Path) -> int:
    match = re.search(r"max_instance=(\d+)", text_of(mdev_type / "description"))
    return int(match[1]) if match else 1
