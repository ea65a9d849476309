"""A driver that keeps every promise: the bad ones derive from it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from oslo_config import cfg

from cyborg.drivers.contract import (
    Bitstream,
    DeployableReport,
    DeviceAway,
    DeviceCondition,
    DeviceReport,
    Discovery,
    Driver,
    DriverEnvironment,
    DriverError,
    Handle,
    HandleReport,
    OptionGroup,
    Problem,
    Region,
    Share,
)
from cyborg.drivers.host import Host

#: The cards of a host: their number, and how many handles each has.
CARDS = {"card-1": 2, "card-2": 2, "card-3": 1}


def populate(directory: Path) -> None:
    """Put the cards where the driver looks for them."""
    Host(directory).state_file("cards").write(CARDS)


def spoil(directory: Path) -> None:
    """Make one of them unreadable."""
    Host(directory).state_file("cards").write({**CARDS, "card-2": "?"})


class SoundDriver(Driver):
    """Its cards are in one file, and what they hold is in another."""

    name: ClassVar[str] = "sound_driver"
    OPTIONS: ClassVar[tuple[OptionGroup, ...]] = (
        (cfg.OptGroup("sound_driver"), [cfg.StrOpt("model", default="Sound")]),
    )

    def __init__(self, environment: DriverEnvironment) -> None:
        super().__init__(environment)
        self.lock = threading.Lock()

    @property
    def cards(self) -> dict[str, Any]:
        """Return what is found, readable or not."""
        found = self.environment.host.state_file("cards").read()
        if not isinstance(found, dict):
            raise DriverError("there is no card")
        return found

    def held(self) -> dict[str, str]:
        """Return what handles are prepared for, and what regions hold."""
        held = self.environment.host.state_file("held").read()
        return held if isinstance(held, dict) else {}

    def hold(self, what: str, value: str | None) -> None:
        """Let something be held, or nothing."""
        with self.lock:
            held = {**self.held(), what: value}
            self.environment.host.state_file("held").write(
                {name: each for name, each in held.items() if each is not None}
            )

    def discover(self) -> Discovery:
        cards = self.cards.items()
        return Discovery(
            tuple(self.device(name, count) for name, count in cards if isinstance(count, int)),
            tuple(self.problem(name) for name, count in cards if not isinstance(count, int)),
        )

    def problem(self, card: str) -> Problem:
        """Return what is said of a card that cannot be read."""
        return Problem("cards", "it has no number", device=card)

    def device(self, card: str, count: int) -> DeviceReport:
        """Return a card's report."""
        return DeviceReport(
            driver=self.name,
            identity=card,
            type="FPGA",
            vendor="0xABCD",
            model=self.environment.conf.sound_driver.model,
            control_path=self.address(card, 0),
            deployables=(self.part(card, count),),
            condition=DeviceCondition.DEGRADED,
            condition_reason="one of its fans stands still",
        )

    def part(self, card: str, count: int) -> DeployableReport:
        """Return the report of what a card offers."""
        name = f"{self.environment.host_name}_{card}"
        return DeployableReport(
            name=name,
            resource_class="FPGA",
            num_accelerators=count,
            driver_name="sound",
            handles=tuple(self.handle(card, number) for number in range(1, count + 1)),
            needs_prepare=True,
            needs_release=True,
            programmable=True,
            bitstream_id=self.held().get(name),
            is_empty=name not in self.held(),
        )

    def handle(self, card: str, function: int) -> HandleReport:
        """Return the report of a function of a card, which takes a part of the card."""
        shares = (Share(f"{card}/memory", 1, 4),)
        return HandleReport("PCI", self.address(card, function), shares=shares)

    def address(self, card: str, function: int) -> dict[str, str]:
        """Return where a function of a card is."""
        return {"domain": "0000", "bus": card[-1:], "device": "0", "function": str(function)}

    def require(self, device: str) -> None:
        """Refuse a card that is not there."""
        if device not in self.cards:
            raise DeviceAway(f"{device} is gone")

    def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
        self.require(handle.device)
        self.hold(handle.uuid, "prepared")

    def release(self, handle: Handle) -> None:
        self.require(handle.device)
        self.hold(handle.uuid, None)

    def check(self, region: Region, bitstream: Bitstream) -> None:
        if not bitstream.path.is_file():
            raise DriverError("the bitstream cannot be read")

    def program(self, region: Region, bitstream: Bitstream) -> None:
        self.require(region.device)
        self.check(region, bitstream)
        self.hold(region.deployable, bitstream.image_uuid)
