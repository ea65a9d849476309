"""The verbs themselves: each looks at everything again, then acts, then sees what came of it.

The kernel protects nothing that is in use: a mounted drive and a function that a guest runs on
are reset without a word. Whoever calls may be wrong, or may not be who we think. So nothing is
taken from him but an address and a name from a short list.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable

from oslo_log import log

from cyborg.drivers.errors import DriverError
from cyborg.drivers.host import Host, Possession
from cyborg.drivers.host.in_use import InUse
from cyborg.drivers.host.neighbours import read_neighbours
from cyborg.drivers.host.pci import (
    ADDRESS,
    DEVICES,
    Function,
    is_vfio,
    read_details,
    read_function,
    said,
)
from cyborg.privileged.holders import Holders
from cyborg.privileged.writer import Writer

LOG = log.getLogger(__name__)

#: The drivers that a function may be given to. The empty one is whichever the kernel chooses.
DRIVERS = frozenset(
    {
        "",
        "vfio-pci",
        "hisi-acc-vfio-pci",
        "mlx5_vfio_pci",
        "nvgrace_gpu_vfio_pci",
        "pds_vfio_pci",
        "qat_vfio_pci",
        "virtio_vfio_pci",
        "xe-vfio-pci",
    }
)

#: Seconds that a write may take which the kernel answers at once.
_SHORT = 5.0

#: Of a reset that a function promises and has not.
_NO_METHOD = (errno.ENOTTY, errno.EINVAL)


class LocalVerbs:
    """Does them in this process. Safe for several threads."""

    def __init__(
        self,
        host: Host,
        writer: Writer,
        holders: Holders,
        allows: Callable[[Function], bool],
        reset_timeout: Callable[[], float],
    ) -> None:
        """Make verbs about the functions of a host.

        :param allows: whether the operator allows a function, asked at each verb.
        :param reset_timeout: seconds that a reset may take.
        """
        self._host = host
        self._writer = writer
        self._holders = holders
        self._allows = allows
        self._reset_timeout = reset_timeout

    def holders(self, address: str) -> Possession:
        """See :class:`cyborg.drivers.host.Verbs`."""
        return self._holders.of(self._function(address))

    def reset(self, address: str) -> None:
        """See :class:`cyborg.drivers.host.Verbs`."""
        function = self._function(address)
        self._refuse_held(function)
        path = f"{DEVICES}/{address}/reset"
        try:
            try:
                self._writer.write(path, "1", self._reset_timeout())
            except OSError as error:
                if error.errno not in _NO_METHOD:
                    raise
                # What was computed before the siblings were there promises what cannot be.
                self._writer.write(f"{DEVICES}/{address}/reset_method", "default", _SHORT)
                self._writer.write(path, "1", self._reset_timeout())
        except OSError as error:
            raise DriverError(f"{address} cannot be reset: {said(error)}") from error
        LOG.info("reset address=%s driver=%s", address, function.driver)

    def bind_driver(self, address: str, driver: str) -> None:
        """See :class:`cyborg.drivers.host.Verbs`."""
        if driver not in DRIVERS:
            raise DriverError(f"{driver!r} is no driver that a function is given to")
        function = self._function(address)
        has_own = function.driver is not None and not is_vfio(function.driver)
        if function.driver == driver or (not driver and has_own):
            return
        self._refuse_held(function)
        try:
            self._rebind(function, driver)
        except OSError as error:
            self._undo(function)
            what = driver or "its own driver"
            raise DriverError(f"{address} cannot be given to {what}: {said(error)}") from error
        LOG.info("bound address=%s driver=%s before=%s", address, driver, function.driver)

    def _rebind(self, function: Function, driver: str) -> None:
        directory = f"{DEVICES}/{function.address}"
        # A line with nothing in it clears; nothing at all would be no write.
        self._writer.write(f"{directory}/driver_override", driver or "\n", _SHORT)
        if function.driver is not None:
            path = f"/sys/bus/pci/drivers/{function.driver}/unbind"
            self._writer.write(path, function.address, self._reset_timeout())
        # Its answer says nothing.
        self._writer.write("/sys/bus/pci/drivers_probe", function.address, self._reset_timeout())
        after = read_function(self._host, function.address)
        bound = None if after is None else after.driver
        if driver and bound != driver:
            raise OSError(errno.ENODEV, f"its driver is {bound or 'none'} afterwards", "driver")

    def _undo(self, function: Function) -> None:
        """Let a function be whoever's the kernel thinks, as far as that works."""
        directory = f"{DEVICES}/{function.address}"
        with contextlib.suppress(OSError):
            self._writer.write(f"{directory}/driver_override", "\n", _SHORT)
            self._writer.write("/sys/bus/pci/drivers_probe", function.address, _SHORT)

    def _function(self, address: str) -> Function:
        """Return a function that may be touched.

        :raises DriverError: it may not be.
        """
        if not isinstance(address, str) or not ADDRESS.match(address):
            raise DriverError(f"{str(address)[:40]!r} is no address")
        try:
            bus = read_neighbours(self._host, address)
            function = bus.functions.get(address)
            if function is None:
                raise DriverError(f"{address} is not in this host")
            place = self._host.resolve(f"{DEVICES}/{address}")
            reason = self._reason_against(function, place)
        except OSError as error:
            raise DriverError(f"{address} cannot be read: {said(error)}") from error
        if reason is not None:
            raise DriverError(f"{address} is not touched: {reason}")
        return function

    def _reason_against(self, function: Function, place: str) -> str | None:
        if not place.startswith("/sys/devices/"):
            return f"it is at {place[:200]}"
        if not self._allows(function):
            return "no entry of the operator's list allows it"
        if function.is_bridge:
            return "it is a bridge"
        if read_details(self._host, function).is_boot_display:
            return "it is the boot display"
        in_use = InUse(self._host)
        return in_use.disk(function.address) or in_use.port(function.address)

    def _refuse_held(self, function: Function) -> None:
        possession = self._holders.of(function)
        if not possession.is_free:
            raise DriverError(f"{function.address} is not touched: {possession}")
