"""What is reported of the cards that a survey has found."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from cyborg.drivers.contract import (
    DeployableReport,
    DeviceReport,
    Discovery,
    HandleReport,
    NotOffered,
    Problem,
    Share,
)
from cyborg.drivers.host.pci import Details, Function, group_counter, info_of, said
from cyborg.drivers.pci.conditions import Condition
from cyborg.drivers.pci.products import Products
from cyborg.drivers.pci.rules import Decisions
from cyborg.drivers.pci.survey import Candidate, Survey
from cyborg.drivers.pci.whitelist import Entry

#: How a card is: by the address of its physical function, and what can be seen of that.
ConditionOf = Callable[[str, Details], Condition]

#: What clients see as the kind of controller, by class and subclass.
_CONTROLLERS = {
    "0108": "Non-Volatile memory controller",
    "0200": "Ethernet controller",
    "0207": "Infiniband controller",
    "0300": "VGA compatible controller",
    "0302": "3D controller",
    "0380": "Display controller",
    "0403": "Audio device",
    "0880": "System peripheral",
    "0b40": "Co-processor",
    "1200": "Processing accelerators",
}


class PciReports:
    """Makes the reports of one driver."""

    def __init__(
        self, driver: str, host_name: str, products: Products, condition_of: ConditionOf
    ) -> None:
        self._driver = driver
        self._host_name = host_name
        self._products = products
        self._condition_of = condition_of

    def discovery(self, found: Survey, decisions: Decisions) -> Discovery:
        """Return all that is said of a host."""
        devices = []
        for address, offered in sorted(_cards(decisions).items()):
            if address not in found.bus.functions:
                continue
            try:
                devices.append(self._device(found, address, offered))
            except OSError as error:
                found.unreadable[address] = said(error)
        return Discovery(
            tuple(devices),
            tuple(_problems(found)),
            tuple(
                NotOffered(address, reason)
                for address, reason in (
                    *decisions.never.items(),
                    *((address, reason) for address, (_, reason) in decisions.left_out.items()),
                )
            ),
        )

    def _device(self, found: Survey, address: str, offered: Sequence[Candidate]) -> DeviceReport:
        function = found.bus.functions[address]
        details = found.details(address)
        condition, reason = self._condition_of(address, details)
        kind = function.class_code[:4]
        return DeviceReport(
            driver=self._driver,
            identity=address,
            type="PCI",
            vendor=function.vendor_id,
            model=self._products.model(function.vendor_id, function.product_id),
            std_board_info={
                "product_id": function.product_id,
                "controller": _CONTROLLERS.get(kind, f"Class {kind}"),
            },
            vendor_board_info=_board(details),
            control_path=info_of(address),
            deployables=(self._deployable(found, address, offered),) if offered else (),
            condition=condition,
            condition_reason=reason,
        )

    def _deployable(
        self, found: Survey, address: str, offered: Sequence[Candidate]
    ) -> DeployableReport:
        function, entry = offered[0].function, offered[0].entry
        vendor = self._products.vendor(function.vendor_id)
        return DeployableReport(
            name=re.sub(r"[^A-Za-z0-9_.:-]", "_", f"{self._host_name}_{address}"),
            resource_class=entry.resource_class,
            num_accelerators=len(offered),
            driver_name=function.vendor_id if vendor is None else vendor.lower(),
            traits=_traits(function, entry, vendor),
            handles=tuple(_handle(found, each.function) for each in offered),
            needs_prepare=True,
            needs_release=True,
        )


def _cards(decisions: Decisions) -> Mapping[str, list[Candidate]]:
    """Return what is offered of each card of which something is allowed."""
    cards: dict[str, list[Candidate]] = {
        candidate.function.card: [] for candidate, _ in decisions.left_out.values()
    }
    for candidate in decisions.offered.values():
        cards.setdefault(candidate.function.card, []).append(candidate)
    return cards


def _problems(found: Survey) -> Iterable[Problem]:
    for address, what in sorted(found.unreadable.items()):
        function = found.bus.functions.get(address)
        yield Problem(address, what, address if function is None else function.card)


def _handle(found: Survey, function: Function) -> HandleReport:
    shares = []
    if function.physical_function is not None:
        siblings = found.virtual_functions[function.physical_function]
        shares.append(Share(function.physical_function, 1, siblings))
    if function.iommu_group is not None and found.cards_beside(function):
        shares.append(Share(group_counter(function.iommu_group)))
    return HandleReport("PCI", info_of(function.address), shares=tuple(shares))


def _traits(function: Function, entry: Entry, vendor: str | None) -> tuple[str, ...]:
    own = [f"CUSTOM_PCI_{vendor}"] if vendor is not None else []
    own.append(f"CUSTOM_PCI_PRODUCT_ID_{function.product_id.upper()}")
    return tuple(dict.fromkeys((*own, *entry.traits)))


def _board(details: Details) -> dict[str, str]:
    """Return what tells boards with the same chip apart."""
    facts = {
        "subsystem_vendor_id": details.subsystem_vendor_id,
        "subsystem_id": details.subsystem_id,
        "revision": details.revision,
    }
    return {name: value for name, value in facts.items() if value}
