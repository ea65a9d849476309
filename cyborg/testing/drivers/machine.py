"""A host that a test has built, with a kernel that answers and privileges to ask it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

from oslo_config import cfg

from cyborg.drivers.contract import DriverEnvironment
from cyborg.drivers.host import Files, Host, Verbs
from cyborg.drivers.host.patience import Patience
from cyborg.drivers.host.pci import DEVICES, GROUPS
from cyborg.privileged.holders import Holders
from cyborg.privileged.operators_list import OperatorsList
from cyborg.privileged.verbs import LocalVerbs
from cyborg.testing.drivers.environment import HOST_NAME
from cyborg.testing.hosts import Kernel, StillBlocked
from cyborg.testing.hosts.kernel.sysfs import driver_of

_READ_TIMEOUT = 60.0


class KernelWriter:
    """Writes as a privileged process does, to the kernel of a host that was built."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def write(self, path: str, value: str, timeout: float) -> None:
        """See :class:`cyborg.privileged.writer.Writer`."""
        try:
            Patience(timeout).call(lambda: self._kernel.write(path, value), lambda: path)
        except StillBlocked as error:
            raise TimeoutError(errno.ETIMEDOUT, str(error), path) from error


class Clock:
    """Seconds that go on only while somebody sleeps. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0.0
        #: Called after each sleep with the seconds that were slept by then.
        self.slept: Callable[[float], None] = lambda now: None

    def __call__(self) -> float:
        """Return the seconds that were slept."""
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        """Let time go on, and return at once."""
        with self._lock:
            self._now += seconds
            now = self._now
        self.slept(now)


class Machine:
    """A host below a directory, its kernel, and what an agent there would give to drivers."""

    def __init__(
        self,
        root: Path,
        state: Path,
        conf: cfg.ConfigOpts,
        files: Files | None = None,
        kernel: Kernel | None = None,
    ) -> None:
        """Take a host that was built.

        :param root: its root directory.
        :param state: where drivers keep what they know.
        :param conf: options, those of the driver included.
        :param files: its files, where not all of them are as they are.
        :param kernel: its kernel, where that does more than answer.
        """
        self.root = root
        self.conf = conf
        self.files = files or Files(root)
        # A test's machine may stand still for longer than a card may.
        self.host = Host(state, self.files, read_timeout=_READ_TIMEOUT)
        self.kernel = kernel or Kernel(root)
        self.clock = Clock()
        #: Asks VFIO, which a test may let fail.
        self.holders = Holders(self.host, self.files, self._open)
        self.verbs: Verbs = LocalVerbs(
            self.host,
            KernelWriter(self.kernel),
            self.holders,
            OperatorsList(self.host, lambda: conf.pci.passthrough_whitelist).allows,
            lambda: float(conf.pci.reset_timeout),
        )

    def environment(self, host_name: str = HOST_NAME) -> DriverEnvironment:
        """Return what a driver is made with."""
        return DriverEnvironment(
            self.conf, host_name, self.host, self.clock.sleep, self.verbs, self.clock
        )

    def rebind(self, address: str, driver: str | None) -> str | None:
        """Give a function to a driver of the kernel's, or to none, as libvirt does.

        :returns: the one that it had.
        """
        before = driver_of(self.kernel.path(f"{DEVICES}/{address}"))
        if driver != before:
            override = f"{DEVICES}/{address}/driver_override"
            self.kernel.write(override, driver or "\n")
            if before is not None:
                self.kernel.write(f"/sys/bus/pci/drivers/{before}/unbind", address)
            self.kernel.write("/sys/bus/pci/drivers_probe", address)
            self.kernel.write(override, "\n")
        return before

    def _open(self, place: str) -> None:
        """Open a device of VFIO: a group can be open once, others more often."""
        if not os.path.lexists(place):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), place)
        if not Path(place).name.isdigit():
            return
        members = self.host.list(f"{GROUPS}/{Path(place).name}/devices")
        if self.kernel.busy & set(members):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), place)
