"""How much of a device or deployable is in use, on the wire."""

from __future__ import annotations

from cyborg.api.fields import Declaration, Field
from cyborg.api.microversions import V2_4
from cyborg.domain.model import Deployable, Device


class UsageFields(Declaration):
    """Numbers of attach handles."""

    total = Field(int, "All that there are: those that the device still reports, or somebody has.")
    used = Field(int, "Those that an accelerator request has, or that are being cleaned after it.")
    free = Field(
        int,
        "Those that can be given out: none of a device that is disabled, missing or failed, none "
        "of a deployable that is being programmed or whose programming failed half way, and none "
        "whose hardware somebody has in another shape.",
    )


def usage_field() -> Field:
    """Return the field of a device or deployable."""
    return Field(
        UsageFields,
        "Numbers of attach handles. What is neither used nor free is quarantined, has to be "
        "cleaned first, or is of what is given to nobody.",
        since=V2_4,
    )


def usage_of(record: Device | Deployable, _base: str) -> object:
    """Return the value of the field."""
    usage = record.usage
    return usage and {"total": usage.total, "used": usage.used, "free": usage.free}
