"""What is reported of a fake card."""

from __future__ import annotations

import re

from oslo_config import cfg

from cyborg.drivers.contract import (
    DeployableReport,
    DeviceCondition,
    DeviceReport,
    HandleReport,
    Problem,
    Share,
)
from cyborg.drivers.fake.cards import Card, address
from cyborg.drivers.fake.contents import FakeContent

VENDOR = "0xABCD"

_DOES_NOT_WORK = (DeviceCondition.DEGRADED, DeviceCondition.FAILED)


class FakeReports:
    """Makes reports as the options are now."""

    def __init__(self, driver: str, host_name: str, options: cfg.ConfigOpts.GroupAttr) -> None:
        self._driver = driver
        self._host_name = host_name
        self._options = options

    def device(self, card: Card, content: FakeContent | None) -> DeviceReport:
        """Return the report of a card that holds this."""
        condition = DeviceCondition(
            self._options.conditions.get(card.identity, DeviceCondition.HEALTHY)
        )
        parts = [self._part(card, content)]
        if self._options.whole:
            parts.append(self._whole(card))
        return DeviceReport(
            driver=self._driver,
            identity=card.identity,
            type="FPGA",
            vendor=VENDOR,
            model="Fake FPGA",
            std_board_info={"product_id": "0x0001", "controller": "Fake controller"},
            vendor_board_info={"serial": card.identity},
            # Function 0, which is handed out only where the card is offered whole.
            control_path=self._address(card, 0),
            deployables=tuple(parts),
            condition=condition,
            condition_reason=(
                "[fake_driver] conditions says so" if condition in _DOES_NOT_WORK else None
            ),
        )

    def problem(self, card: Card) -> Problem:
        """Return what is said of a card that cannot be read."""
        where = _text(self._address(card, 0))
        return Problem(where, "[fake_driver] unreadable names it", card.identity)

    def name(self, card: Card) -> str:
        """Return the name of the deployable of a card's parts."""
        name = f"{self._host_name}_FakeDevice"
        if card.number:
            name = f"{name}_{card.number}"
        return re.sub(r"[^A-Za-z0-9_.:-]", "_", name)

    def _part(self, card: Card, content: FakeContent | None) -> DeployableReport:
        options = self._options
        # Where the card is offered whole too, each part takes its share of that.
        shares = (
            (Share(f"test/{_text(self._address(card, 0))}", 1, options.handles),)
            if options.whole
            else ()
        )
        return DeployableReport(
            name=self.name(card),
            resource_class="FPGA",
            num_accelerators=options.handles,
            driver_name="fake",
            traits=("CUSTOM_FAKE_DEVICE",),
            handles=tuple(
                HandleReport("TEST_PCI", self._address(card, function), shares=shares)
                for function in range(1, options.handles + 1)
            ),
            needs_prepare=self._needs_prepare,
            needs_release=self._needs_release,
            programmable=options.programmable,
            bitstream_id=None if content is None else content.image_uuid,
            is_empty=content is None,
        )

    def _whole(self, card: Card) -> DeployableReport:
        """Return the card as one thing. What it holds is the parts' to say."""
        return DeployableReport(
            name=f"{self.name(card)}_Whole",
            resource_class="FPGA",
            num_accelerators=1,
            driver_name="fake",
            traits=("CUSTOM_FAKE_DEVICE", "CUSTOM_FAKE_WHOLE"),
            handles=(HandleReport("TEST_PCI", self._address(card, 0)),),
            needs_prepare=self._needs_prepare,
            needs_release=self._needs_release,
        )

    @property
    def _needs_prepare(self) -> bool:
        return self._is_work("prepare")

    @property
    def _needs_release(self) -> bool:
        return self._needs_prepare or self._is_work("release")

    def _is_work(self, action: str) -> bool:
        """Return whether the options let an action take time, fail or hang."""
        options = self._options
        slow = options[f"{action}_delay"] > 0 or options[f"{action}_failures"] != 0
        return slow or bool(options[f"{action}_hangs"])

    def _address(self, card: Card, function: int) -> dict[str, str]:
        return address(card, function, self._options.handles)


def _text(place: dict[str, str]) -> str:
    """Return an address in the form in which it names hardware."""
    return f"{place['domain']}:{place['bus']}:{place['device']:0>2}.{place['function']}"
