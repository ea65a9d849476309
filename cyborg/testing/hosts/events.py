"""What happens to hardware by itself."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from cyborg.testing.hosts.identifiers import PciAddress
from cyborg.testing.hosts.tree import FUNCTIONS

#: What is counted of an error of a link: its kind, and all kinds together.
_FATAL_ERRORS = re.compile(r"^(DLP |TOTAL_ERR_FATAL )([0-9]+)$", re.MULTILINE)

_LINKS = ("sys/bus", "sys/block", "sys/class", "sys/kernel/iommu_groups")


def happen(root: Path, event: str, address: str) -> None:
    """Let something happen to a function of a host that has been built.

    * ``remove``: it is gone, and its virtual functions with it;
    * ``aer-fatal``: an uncorrectable error of its link has been counted;
    * ``link-degraded``: its link has been trained to a fraction of its speed.

    :raises ValueError: there is no such event, or this is no address.
    :raises FileNotFoundError: there is no such function, or it counts no errors.
    """
    if event not in EVENTS:
        raise ValueError(f"no event {event!r}; there are {', '.join(EVENTS)}")
    EVENTS[event](root, str(PciAddress.parse(address)))


def remove_function(root: Path, address: str) -> None:
    """Take away a function and its virtual functions, and every link to them."""
    link = root / FUNCTIONS / address
    directory = link.resolve(strict=True)
    virtual = [path.resolve() for path in directory.glob("virtfn*")]
    for each in (*virtual, directory):
        _remove_directory(root, each)
    _remove_dangling(root)


def remove_vfs(root: Path, directory: Path) -> None:
    """Take away the virtual functions of a physical one."""
    for link in list(directory.glob("virtfn*")):
        _remove_directory(root, link.resolve())
        link.unlink()
    _remove_dangling(root)


def _remove_directory(root: Path, directory: Path) -> None:
    """Remove a function in the kernel's order: first nobody finds it any more."""
    for known_as in ("driver", "iommu_group/devices"):
        (directory / known_as / directory.name).unlink(missing_ok=True)
    (root / FUNCTIONS / directory.name).unlink(missing_ok=True)
    shutil.rmtree(directory)


def _remove_dangling(root: Path) -> None:
    for top in _LINKS:
        for base, directories, files in os.walk(root / top):
            for name in (*directories, *files):
                path = os.path.join(base, name)
                if os.path.islink(path) and not os.path.exists(path):
                    os.remove(path)


def _count_fatal_error(root: Path, address: str) -> None:
    path = root / FUNCTIONS / address / "aer_dev_fatal"
    _rewrite(
        path, _FATAL_ERRORS.sub(lambda found: f"{found[1]}{int(found[2]) + 1}", path.read_text())
    )


def _degrade_link(root: Path, address: str) -> None:
    directory = root / FUNCTIONS / address
    _rewrite(directory / "current_link_width", "4\n")
    _rewrite(directory / "current_link_speed", "2.5 GT/s PCIe\n")


def _rewrite(path: Path, text: str) -> None:
    path.chmod(0o644)
    path.write_text(text)


EVENTS = {
    "remove": remove_function,
    "aer-fatal": _count_fatal_error,
    "link-degraded": _degrade_link,
}
