"""How a card is, as far as everybody can see."""

from __future__ import annotations

from cyborg.drivers.contract import DeviceCondition
from cyborg.drivers.host.pci import Details

#: What the kernel says of a link that is not there.
_NO_SPEED, _NO_WIDTH = "Unknown", frozenset({0, 63, 255})

Condition = tuple[DeviceCondition, str | None]


def condition_of(details: Details, fatal_errors_before: int) -> Condition:
    """Return a card's condition, and why it is so.

    :param fatal_errors_before: of this boot, those that are over and done with.
    """
    fault = details.silence or _fault(details, fatal_errors_before)
    if fault is not None:
        return DeviceCondition.FAILED, fault
    if details.link_width is not None and 0 < details.link_width[0] < details.link_width[1]:
        now, most = details.link_width
        return DeviceCondition.DEGRADED, f"its link has {now} of {most} lanes"
    if not details.is_heard:
        return DeviceCondition.UNMONITORED, None
    return DeviceCondition.HEALTHY, None


def _fault(details: Details, fatal_errors_before: int) -> str | None:
    if details.power_state == "error":
        return "its power state is error"
    if details.link_speed == _NO_SPEED and _width(details) in _NO_WIDTH:
        return "its link is down"
    if details.fatal_errors is not None and details.fatal_errors > fatal_errors_before:
        return "it has had a fatal error (aer_dev_fatal) since its last reset"
    return None


def _width(details: Details) -> int:
    return 0 if details.link_width is None else details.link_width[0]
