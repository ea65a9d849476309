"""vGPUs by a VFIO of NVIDIA's own: ``current_vgpu_type``."""

from __future__ import annotations

import errno
from pathlib import Path

from cyborg.testing.hosts import vgpu
from cyborg.testing.hosts.kernel.kernel import Kernel
from cyborg.testing.hosts.kernel.sysfs import put, text_of, vfs_of
from cyborg.testing.hosts.kernel.writes import Write, answers


@answers("current_vgpu_type")
def set_type(kernel: Kernel, write: Write) -> None:
    """Make the vGPU of a virtual function, or take it away: 0."""
    try:
        wanted = int(write.value)
    except ValueError:
        raise write.error(errno.EINVAL) from None
    vf = write.directory.parent
    current = _type_of(vf)
    if vf.name in kernel.busy:
        raise write.error(errno.EBUSY)
    if wanted == current:
        return
    if wanted and current:
        # A guess: it must be 0 first.
        raise write.error(errno.EBUSY)
    if wanted and wanted not in _creatable(vf):
        # Seen on hardware, with a line in the kernel's log.
        raise write.error(errno.EIO)
    put(write.directory / "current_vgpu_type", str(wanted))
    _offer(kernel, vfs_of((vf / "physfn").resolve()))


def _type_of(vf: Path) -> int:
    return int(text_of(vf / "nvidia/current_vgpu_type", "0"))


def _creatable(vf: Path) -> set[int]:
    lines = text_of(vf / "nvidia/creatable_vgpu_types").splitlines()
    numbers = (line.partition(":")[0].strip() for line in lines)
    return {int(number) for number in numbers if number.isdigit()}


def _offer(kernel: Kernel, vfs: list[Path]) -> None:
    """Write anew what a card has room for: all of its vGPUs are of one size."""
    current = {vf: _type_of(vf) for vf in vfs}
    sizes = {number: each.framebuffer_mib for number, each in kernel.vgpu_types.items()}
    used = [sizes.get(number, 0) for number in current.values() if number]
    free = kernel.card_mib - sum(used)
    names = {
        number: kernel.vgpu_types[number].name
        for number, size in sorted(sizes.items())
        if size <= free and (not used or size == used[0])
    }
    for vf in vfs:
        offered = vgpu.creatable({} if current[vf] else names)
        put(vf / "nvidia/creatable_vgpu_types", offered.rstrip("\n"))
