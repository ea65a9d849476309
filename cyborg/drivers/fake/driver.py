"""Devices that do not exist: for a first look, for tests, and as an example of a driver.

Everything it does is set in ``[fake_driver]``, and can be changed while the agent runs: how
many devices and handles there are and how they are, how long work takes, how often it fails,
and where it hangs.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil
from typing import ClassVar

from oslo_config import cfg

from cyborg.drivers.contract import (
    Bitstream,
    CleanStep,
    DeviceAway,
    Discovery,
    DriverEnvironment,
    DriverError,
    Handle,
    OptionGroup,
    Progress,
    Region,
    StepwiseDriver,
    chosen_steps,
)
from cyborg.drivers.fake.cards import Card, card_of, cards_in
from cyborg.drivers.fake.contents import FakeContent, FakeContents
from cyborg.drivers.fake.options import CLEAN_STEPS, GROUP, OPTS
from cyborg.drivers.fake.reports import VENDOR, FakeReports

#: Seconds after which a call that hangs looks at the options again.
_LOOK_AGAIN = 0.1


class FakeDriver(StepwiseDriver):
    """FPGAs whose handles are of type ``TEST_PCI``, which a hypervisor ignores."""

    name: ClassVar[str] = "fake_driver"
    contract_version: ClassVar[int] = 2
    simulated: ClassVar[bool] = True
    OPTIONS: ClassVar[tuple[OptionGroup, ...]] = ((GROUP, OPTS),)

    def __init__(self, environment: DriverEnvironment) -> None:
        super().__init__(environment)
        self._lock = threading.Lock()
        # What the hardware would keep.
        self._contents = FakeContents(environment.host.state_file(self.name))
        # A real driver would ask the hardware: a restart forgets both.
        self._prepared: set[tuple[str, str]] = set()
        self._calls: Counter[tuple[str, str]] = Counter()
        self._clean_steps: Sequence[CleanStep] = [step for step in CLEAN_STEPS if not step.optional]

    @property
    def _options(self) -> cfg.ConfigOpts.GroupAttr:
        # Looked up each time, since SIGHUP changes what it holds.
        group: cfg.ConfigOpts.GroupAttr = self.environment.conf.fake_driver
        return group

    @property
    def _reports(self) -> FakeReports:
        return FakeReports(self.name, self.environment.host_name, self._options)

    def configure(self) -> None:
        """Read which clean steps are chosen.

        :raises ConfigurationError: they cannot be done so.
        """
        self._clean_steps = chosen_steps(CLEAN_STEPS, self._options, GROUP.name)

    def discover(self) -> Discovery:
        """Return the devices that the options put into the machine.

        :raises DriverError: ``[fake_driver] discovery_fails`` is set.
        """
        options, reports = self._options, self._reports
        if options.discovery_fails:
            raise DriverError("[fake_driver] discovery_fails is set")
        devices, problems = [], []
        for card in cards_in(options):
            if card.number in options.unreadable:
                problems.append(reports.problem(card))
            else:
                devices.append(reports.device(card, self._contents.get(self._place(card))))
        return Discovery(tuple(devices), tuple(problems))

    def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
        """Take ``prepare_delay`` seconds, then fail as often as ``prepare_failures`` says.

        A handle that is ready stays so, at once.

        :raises DeviceAway: the device is not in the machine.
        """
        card = self._card(handle.device)
        with self._lock:
            if (card.identity, handle.uuid) in self._prepared:
                return
        self._work("prepare", card, handle.uuid)
        with self._lock:
            self._prepared.add((card.identity, handle.uuid))

    def clean_steps(self, handle: Handle) -> Sequence[CleanStep]:
        """Return the steps that the options name."""
        return self._clean_steps

    def clean(self, handle: Handle, step: str, progress: Progress) -> None:
        """Take as many seconds as the step's delay, then fail as often as its failures say.

        What was never prepared is cleaned as well, since an instance may have had it.

        :raises DeviceAway: the device is not in the machine, or another is in its place.
        """
        card = self._card(handle.device)
        self._work(step, card, handle.uuid, progress)
        with self._lock:
            self._prepared.discard((card.identity, handle.uuid))

    def check(self, region: Region, bitstream: Bitstream) -> None:
        """Refuse what its owner says is for another vendor's devices.

        :raises DriverError: so it is, or it cannot be read.
        """
        vendor = bitstream.properties.get("vendor", VENDOR)
        if vendor != VENDOR:
            raise DriverError(f"the image is for devices of vendor {vendor}, not of {VENDOR}")
        _digest_of(bitstream)

    def program(self, region: Region, bitstream: Bitstream) -> None:
        """Take ``program_delay`` seconds, then fail as often as ``program_failures`` says.

        From the beginning the device holds nothing, and at the end the image: as real ones do.

        :raises DeviceAway: the device is not in the machine.
        """
        card = self._card(region.device)
        place = self._place(card)
        digest = _digest_of(bitstream)
        content = FakeContent(bitstream.image_uuid, digest)
        if self._contents.get(place) == content:
            return
        self._contents.set(place, None)
        self._work("program", card, region.deployable)
        self._contents.set(place, content)

    def _card(self, identity: str) -> Card:
        card = card_of(self._options, identity)
        if card is None:
            raise DeviceAway(f"{identity} is not in this machine")
        return card

    def _place(self, card: Card) -> str:
        """Return where it is noted what a card holds; what is on another stays there."""
        name = self._reports.name(card)
        return f"{name} {card.identity}" if card.is_replacement else name

    def _work(self, action: str, card: Card, what: str, progress: Progress | None = None) -> None:
        """Take as long as the options say, and fail as often."""
        delay: float = self._options[f"{action}_delay"]
        slices = 1 if progress is None else ceil(delay)
        for done in range(slices if delay else 0):
            if progress is not None:
                progress(100 * done / slices)
            self.environment.sleep(delay / slices)
        while card.number in self._options[f"{action}_hangs"]:
            self.environment.sleep(_LOOK_AGAIN)
        failures: int = self._options[f"{action}_failures"]
        with self._lock:
            self._calls[action, what] += 1
            call = self._calls[action, what]
        if failures < 0 or call <= failures:
            raise DriverError(f"[fake_driver] {action}_failures is set: failure {call}")


def _digest_of(bitstream: Bitstream) -> str:
    try:
        with bitstream.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DriverError(f"the bitstream cannot be read: {error.strerror}") from error
