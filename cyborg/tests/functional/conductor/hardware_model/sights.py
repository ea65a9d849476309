"""How drivers see cards: well, late, twice, under other names, or not at all.

What they see becomes a report as it crosses the wire, of an agent of today or of the release
before.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from cyborg.domain.hardware import Share
from cyborg.domain.inventory import (
    DeployableReport,
    DeviceReport,
    HandleReport,
    Snapshot,
    UnseenDevice,
)
from cyborg.domain.model import DeviceCondition
from cyborg.tests.functional.conductor.hardware_model.cards import (
    PIECES,
    Card,
    Design,
    Group,
    Host,
    piece,
)

#: Of one card, by the driver that sees it.
CLASSES = {"gpu_driver": {True: "PGPU", False: "VGPU"}, "pci_driver": {True: "CUSTOM_PCI"}}


class Sight(enum.StrEnum):
    """How a card is seen in one scan."""

    WELL = "well"
    BY_ADDRESS = "under its address"
    LATE = "not at all"
    UNSEEN = "it cannot be looked at"
    UNSEEN_ADDRESS = "what is at its address cannot be looked at"
    SPELT = "in capitals"
    TWO_SPELLINGS = "each function in two spellings"
    TWO_IDENTITIES = "under its serial number and under its address"
    TWO_DRIVERS = "by both drivers"
    OTHER_DRIVER = "by the other driver"
    NETWORK = "with a physical network"
    RENAMED = "under another name"
    SHORT_NAME = "under a name without the host's"
    PARTIAL = "without its last piece"
    ALIAS = "under another serial number"


#: Those that leave no doubt which card it is.
NAMED = frozenset(
    {
        Sight.WELL,
        Sight.SPELT,
        Sight.TWO_SPELLINGS,
        Sight.NETWORK,
        Sight.RENAMED,
        Sight.SHORT_NAME,
        Sight.PARTIAL,
        Sight.ALIAS,
    }
)

#: Those that do not show it.
HIDDEN = frozenset({Sight.LATE, Sight.UNSEEN, Sight.UNSEEN_ADDRESS})

#: Those after which it is known what there is of it.
PLAIN = frozenset({Sight.WELL, Sight.SPELT, Sight.NETWORK, Sight.PARTIAL})


@dataclass(frozen=True, slots=True)
class Scan:
    """How one scan of a host goes."""

    #: By slot.
    sights: Sequence[Sight]
    #: The agent, and its drivers, are of the release before: they know whole cards alone.
    old: bool = False
    #: The driver could not look at everything.
    failed: bool = False

    def sight(self, host: Host, slot: int) -> Sight:
        """Return how the card in a slot is seen."""
        card = host.cards[slot]
        assert card is not None
        sight = self.sights[slot]
        if self.old and sight in (Sight.UNSEEN, Sight.UNSEEN_ADDRESS):
            return Sight.LATE
        if not card.has_serial and sight in NAMED | {Sight.TWO_IDENTITIES}:
            return Sight.BY_ADDRESS
        return sight

    def pieces(self, host: Host, slot: int) -> list[tuple[Group, str]]:
        """Return what is reported of the card in a slot, if it is seen."""
        found = [
            (group, piece(group, number))
            for group in self.groups(host, slot)
            for number in range(1, PIECES[group] + 1)
        ]
        return found[:-1] if self.sight(host, slot) is Sight.PARTIAL else found

    def groups(self, host: Host, slot: int) -> tuple[Group, ...]:
        """Return the groups that are reported of the card in a slot, if it is seen."""
        card = host.cards[slot]
        assert card is not None
        if self.old or self.sight(host, slot) is Sight.OTHER_DRIVER:
            return (Group.WHOLE,)
        return card.cut

    def wire(self, host: Host) -> dict[str, Any]:
        """Return the report as it crosses."""
        devices: list[DeviceReport] = []
        unseen: list[UnseenDevice] = []
        for slot in host.slots(full=True):
            card, address = host.cards[slot], host.addresses()[slot]
            assert card is not None
            sight = self.sight(host, slot)
            if sight is Sight.UNSEEN:
                identity = card.serial if card.has_serial else f"{address}.0"
                unseen.append(UnseenDevice("gpu_driver", identity))
            elif sight is Sight.UNSEEN_ADDRESS:
                unseen.append(UnseenDevice("gpu_driver", f"{address}.0"))
            elif sight is not Sight.LATE:
                devices += _Look(self, host, slot).devices(sight)
        failed = ("gpu_driver", "pci_driver") if self.failed else ()
        wire = Snapshot(tuple(devices), failed, tuple(unseen)).to_wire()
        return _of_the_release_before(wire) if self.old else wire


class _Look:
    """One card, on its way into a report."""

    def __init__(self, scan: Scan, host: Host, slot: int) -> None:
        card = host.cards[slot]
        assert card is not None
        self._card: Card = card
        self._host = host.name
        self._address = host.addresses()[slot]
        self._pieces = {name for _, name in scan.pieces(host, slot)}
        self._groups = scan.groups(host, slot)

    def devices(self, sight: Sight) -> list[DeviceReport]:
        """Return the devices as which it is reported."""
        serial = self._device(sight, self._card.serial)
        by_address = self._device(sight, f"{self._address}.0")
        others = replace(
            by_address,
            driver="pci_driver",
            deployables=(self._deployable(sight, Group.WHOLE, "pci_driver"),),
        )
        found: dict[Sight, list[DeviceReport]] = {
            Sight.BY_ADDRESS: [by_address],
            Sight.SPELT: [replace(serial, identity=serial.identity.upper())],
            Sight.ALIAS: [replace(serial, identity=f"other-{serial.identity}")],
            Sight.TWO_IDENTITIES: [serial, _renamed(by_address)],
            Sight.TWO_DRIVERS: [serial if self._card.has_serial else by_address, others],
            Sight.OTHER_DRIVER: [others],
            Sight.RENAMED: [_renamed(serial)],
        }
        return found.get(sight, [serial])

    def _device(self, sight: Sight, identity: str) -> DeviceReport:
        return DeviceReport(
            driver="gpu_driver",
            identity=identity,
            type="GPU",
            vendor="10de",
            model=str(self._card.design),
            control_path=self._function(0),
            deployables=tuple(self._deployable(sight, group) for group in self._groups),
            condition=DeviceCondition(self._card.condition),
            condition_reason="It says so." if self._card.condition == "failed" else None,
        )

    def _deployable(
        self, sight: Sight, group: Group, driver: str = "gpu_driver"
    ) -> DeployableReport:
        numbers = range(1, PIECES[group] + 1)
        if driver == "gpu_driver":
            numbers_seen = [n for n in numbers if piece(group, n) in self._pieces]
        else:
            numbers_seen = [1]
        handles = [self._handle(sight, group, n) for n in numbers_seen]
        if sight is Sight.TWO_SPELLINGS:
            handles += [self._handle(Sight.SPELT, group, n) for n in numbers_seen]
        only = len(self._groups) == 1
        host = "gpu" if sight is Sight.SHORT_NAME else self._host
        name = f"{host}_{self._address}.0" + ("" if only else f"_{group}")
        if driver == "pci_driver":
            name = f"{host}_pci_{self._address}.0"
        return DeployableReport(
            name=name.upper() if sight is Sight.SPELT else name,
            resource_class=CLASSES[driver][group is Group.WHOLE],
            num_accelerators=len(handles),
            driver_name="nvidia",
            traits=("CUSTOM_GPU",),
            handles=tuple(handles),
            needs_prepare=group in (Group.HALVES, Group.QUARTERS),
            needs_release=self._card.design is not Design.STATELESS,
        )

    def _handle(self, sight: Sight, group: Group, number: int) -> HandleReport:
        info = self._function(number if group is Group.FUNCTIONS else 0)
        if sight is Sight.SPELT:
            spelt = {"domain": f"0000{info['domain']}", "bus": info["bus"].upper(), "device": "0"}
            info |= spelt
        if sight is Sight.NETWORK:
            info["physical_network"] = "physnet1"
        parent = f"{self._address}.0"
        if group in (Group.HALVES, Group.QUARTERS):
            info |= {"asked_type": str(group), "number": str(number)}
            key = f"{parent}/{group}/{number}"
            return HandleReport("MDEV", info, key, self._share(parent, group))
        shares = self._share(parent, group) if group is Group.FUNCTIONS else ()
        return HandleReport("PCI", info, "", shares)

    def _function(self, number: int) -> dict[str, str]:
        """Return a function of the card in the form that Nova reads."""
        domain, bus, device = self._address.split(":")
        return {"domain": domain, "bus": bus, "device": device, "function": str(number)}

    def _share(self, parent: str, group: Group) -> tuple[Share, ...]:
        return (Share(parent, 1, PIECES[group]),)


def _renamed(device: DeviceReport) -> DeviceReport:
    parts = tuple(replace(part, name=f"{part.name}_x") for part in device.deployables)
    return replace(device, deployables=parts)


def _of_the_release_before(wire: dict[str, Any]) -> dict[str, Any]:
    """Return a report without what that release did not know."""
    devices = []
    for device in wire["devices"]:
        parts = []
        for part in device["deployables"]:
            handles = [{name: h[name] for name in ("type", "info")} for h in part["handles"]]
            later = ("is_empty", "programmable", "bitstream_id")
            kept = {name: value for name, value in part.items() if name not in later}
            parts.append({**kept, "handles": handles})
        of_device = ("condition", "condition_reason")
        kept = {name: value for name, value in device.items() if name not in of_device}
        devices.append({**kept, "deployables": parts})
    return {"devices": devices, "failed_drivers": wire["failed_drivers"]}
