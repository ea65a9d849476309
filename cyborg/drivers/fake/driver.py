"""Devices that do not exist: for a first look, for tests, and as an example of a driver.

Everything it does is set in ``[fake_driver]``, and can be changed while the agent runs:
how many devices and handles there are, how long work takes, and how often it fails.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Mapping
from typing import ClassVar

from oslo_config import cfg

from cyborg.drivers.contract import (
    Bitstream,
    DeployableReport,
    DeviceReport,
    Discovery,
    Driver,
    DriverEnvironment,
    DriverError,
    Handle,
    HandleReport,
    OptionGroup,
    Region,
)
from cyborg.drivers.fake.contents import FakeContent, FakeContents
from cyborg.drivers.fake.options import GROUP, OPTS

_FIRST_BUS = 0x0C
_BUSES = 256
_FUNCTIONS = 8
_FUNCTIONS_ON_A_BUS = 32 * _FUNCTIONS
_VENDOR = "0xABCD"


class FakeDriver(Driver):
    """FPGAs whose handles are of type ``TEST_PCI``, which a hypervisor ignores."""

    name: ClassVar[str] = "fake_driver"
    simulated: ClassVar[bool] = True
    OPTIONS: ClassVar[tuple[OptionGroup, ...]] = ((GROUP, OPTS),)

    def __init__(self, environment: DriverEnvironment) -> None:
        super().__init__(environment)
        self._lock = threading.Lock()
        # What the hardware would keep.
        self._contents = FakeContents(environment.host.state_file(self.name))
        # A real driver would ask the hardware: a restart forgets both.
        self._prepared: set[str] = set()
        self._calls: Counter[tuple[str, str]] = Counter()

    @property
    def _options(self) -> cfg.ConfigOpts.GroupAttr:
        # Looked up each time, since SIGHUP changes what it holds.
        group: cfg.ConfigOpts.GroupAttr = self.environment.conf.fake_driver
        return group

    def discover(self) -> Discovery:
        """Return as many devices as are configured; none of them can have a problem.

        :raises DriverError: ``[fake_driver] discovery_fails`` is set.
        """
        if self._options.discovery_fails:
            raise DriverError("[fake_driver] discovery_fails is set")
        return Discovery(tuple(self._device(number) for number in range(self._options.devices)))

    def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
        """Take ``prepare_delay`` seconds, then fail as often as ``prepare_failures`` says.

        A handle that is ready stays so, at once.
        """
        with self._lock:
            if handle.uuid in self._prepared:
                return
        options = self._options
        self._work("prepare", handle.uuid, options.prepare_delay, options.prepare_failures)
        with self._lock:
            self._prepared.add(handle.uuid)

    def release(self, handle: Handle) -> None:
        """Take ``release_delay`` seconds, then fail as often as ``release_failures`` says.

        What was never prepared is cleaned as well, since an instance may have had it.
        """
        options = self._options
        self._work("release", handle.uuid, options.release_delay, options.release_failures)
        with self._lock:
            self._prepared.discard(handle.uuid)

    def check(self, region: Region, bitstream: Bitstream) -> None:
        """Refuse what its owner says is for another vendor's devices.

        :raises DriverError: so it is, or it cannot be read.
        """
        vendor = bitstream.properties.get("vendor", _VENDOR)
        if vendor != _VENDOR:
            raise DriverError(f"the image is for devices of vendor {vendor}, not of {_VENDOR}")
        _digest_of(bitstream)

    def program(self, region: Region, bitstream: Bitstream) -> None:
        """Take ``program_delay`` seconds, then fail as often as ``program_failures`` says.

        From the beginning the device holds nothing, and at the end the image: as real ones do.
        """
        digest = _digest_of(bitstream)
        content = FakeContent(bitstream.image_uuid, digest)
        if self._contents.get(region.deployable) == content:
            return
        options = self._options
        self._contents.set(region.deployable, None)
        self._work("program", region.deployable, options.program_delay, options.program_failures)
        self._contents.set(region.deployable, content)

    def _work(self, action: str, what: str, delay: float, failures: int) -> None:
        if delay > 0:
            self.environment.sleep(delay)
        with self._lock:
            self._calls[action, what] += 1
            call = self._calls[action, what]
        if failures < 0 or call <= failures:
            raise DriverError(f"[fake_driver] {action}_failures is set: failure {call}")

    def _device(self, number: int) -> DeviceReport:
        return DeviceReport(
            driver=self.name,
            identity=f"fake-{number}",
            type="FPGA",
            vendor=_VENDOR,
            model="Fake FPGA",
            std_board_info={"product_id": "0x0001", "controller": "Fake controller"},
            vendor_board_info={"serial": f"fake-{number}"},
            # Function 0, which is never handed out.
            control_path=self._address(number, 0),
            deployables=(self._deployable(number),),
        )

    def _deployable(self, number: int) -> DeployableReport:
        options = self._options
        name = self._name(number)
        content = self._contents.get(name)
        needs_prepare = options.prepare_delay > 0 or options.prepare_failures != 0
        slow_release = options.release_delay > 0 or options.release_failures != 0
        return DeployableReport(
            name=name,
            resource_class="FPGA",
            num_accelerators=options.handles,
            driver_name="fake",
            traits=("CUSTOM_FAKE_DEVICE",),
            handles=tuple(
                HandleReport("TEST_PCI", self._address(number, function))
                for function in range(1, options.handles + 1)
            ),
            needs_prepare=needs_prepare,
            needs_release=needs_prepare or slow_release,
            programmable=options.programmable,
            bitstream_id=None if content is None else content.image_uuid,
        )

    def _name(self, number: int) -> str:
        name = f"{self.environment.host_name}_FakeDevice"
        if number:
            name = f"{name}_{number}"
        return re.sub(r"[^A-Za-z0-9_.:-]", "_", name)

    def _address(self, number: int, function: int) -> dict[str, str]:
        """Return the address of a device's function; no two are the same.

        Each device begins on a bus of its own and takes as many as its functions need.
        """
        buses_of_each = self._options.handles // _FUNCTIONS_ON_A_BUS + 1
        in_device, function = divmod(function, _FUNCTIONS_ON_A_BUS)
        domain, bus = divmod(_FIRST_BUS + number * buses_of_each + in_device, _BUSES)
        slot, function = divmod(function, _FUNCTIONS)
        return {
            "domain": f"{domain:04x}",
            "bus": f"{bus:02x}",
            "device": f"{slot:x}",
            "function": f"{function:x}",
        }


def _digest_of(bitstream: Bitstream) -> str:
    try:
        with bitstream.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DriverError(f"the bitstream cannot be read: {error.strerror}") from error
