"""QuickAssist: ``state``, ``cfg_services``."""

from __future__ import annotations

import dataclasses
import errno

from cyborg.testing.hosts.kernel import sriov
from cyborg.testing.hosts.kernel.kernel import Kernel
from cyborg.testing.hosts.kernel.sysfs import put, text_of, vfs_of
from cyborg.testing.hosts.kernel.writes import Write, answers

_SERVICES = {"sym", "asym", "dc", "dcc"}


@answers("state")
def set_state(kernel: Kernel, write: Write) -> None:
    """Start a device, or stop it with its virtual functions."""
    if write.directory.name != "qat":
        raise write.error(errno.EACCES)
    if write.value not in ("up", "down"):
        raise write.error(errno.EINVAL)
    function = write.directory.parent
    if write.value == "down" and kernel.busy & {vf.name for vf in vfs_of(function)}:
        raise write.error(errno.EBUSY)
    if write.value == text_of(write.directory / "state"):
        raise write.error(errno.EINVAL)
    if write.value == "down" and text_of(function / "sriov_numvfs", "0") != "0":
        sriov.set_count(kernel, dataclasses.replace(write, directory=function, value="0"))
    put(write.directory / "state", write.value)


@answers("cfg_services")
def set_services(_kernel: Kernel, write: Write) -> None:
    """Say what a device that is down will offer: one service, or two of those that go together."""
    services = write.value.split(";")
    is_sound = (
        text_of(write.directory / "state") == "down"
        and set(services) <= _SERVICES
        and len(set(services)) == len(services)
        and len(services) <= (1 if "dcc" in services else 2)
    )
    if not is_sound:
        raise write.error(errno.EINVAL)
    put(write.directory / "cfg_services", write.value)
