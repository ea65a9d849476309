"""What else a function can be told: reset, removal, partitions, quotas."""

from __future__ import annotations

import errno

from cyborg.testing.hosts import events
from cyborg.testing.hosts.identifiers import is_address
from cyborg.testing.hosts.kernel import mdev
from cyborg.testing.hosts.kernel.kernel import Kernel
from cyborg.testing.hosts.kernel.sysfs import put, text_of
from cyborg.testing.hosts.kernel.writes import Write, answers


@answers("remove")
def remove(kernel: Kernel, write: Write) -> None:
    """Take away a function or a mediated device, once nobody uses it."""
    if write.value != "1":
        raise write.error(errno.EINVAL)
    name = write.directory.name
    if is_address(name):
        kernel.wait_until_free([name], write)
        events.remove_function(kernel.root, name)
    else:
        mdev.remove(kernel, write)


@answers("reset")
def reset(kernel: Kernel, write: Write) -> None:
    """Reset a function."""
    if write.value != "1":
        raise write.error(errno.EINVAL)
    if not text_of(write.directory / "reset_method"):
        raise write.error(errno.ENOTTY)
    kernel.resets[write.directory.name] += 1


@answers("reset_method")
def set_reset_methods(kernel: Kernel, write: Write) -> None:
    """Choose among the methods that a function has: none, or again those that it had."""
    present = text_of(write.directory / "reset_method")
    known = kernel.reset_methods.setdefault(write.directory.name, present)
    chosen = known if write.value == "default" else write.value
    if not set(chosen.split()) <= set(known.split()):
        raise write.error(errno.EINVAL)
    put(write.directory / "reset_method", chosen)


@answers("vram_quota")
def set_quota(kernel: Kernel, write: Write) -> None:
    """Say how much memory a virtual function of an Intel GPU has."""
    if not write.value.isdigit():
        raise write.error(errno.EINVAL)
    vf = (write.directory.parent / "device").resolve()
    if vf.name in kernel.busy:
        # The firmware refuses while it runs.
        raise write.error(errno.EIO)
    put(write.directory / "vram_quota", write.value)


@answers("current_compute_partition")
def set_partition(kernel: Kernel, write: Write) -> None:
    """Divide an AMD GPU."""
    modes = text_of(write.directory / "available_compute_partition").split(",")
    if write.value not in [mode.strip() for mode in modes]:
        raise write.error(errno.EINVAL)
    if write.directory.name in kernel.busy:
        raise write.error(errno.EBUSY)
    put(write.directory / "current_compute_partition", write.value)
