"""What an agent is at with a device, on the wire."""

from __future__ import annotations

import datetime

from wsme import types as wtypes

from cyborg.api.fields import Declaration, Field, View
from cyborg.api.microversions import DEVICE_WORK
from cyborg.domain.model import Device, DeviceWork


class WorkFields(Declaration):
    """A piece of work that is under way."""

    kind = Field(
        wtypes.text,
        "What for: prepare, release, program, clean (what was away or given up is cleaned), or "
        "restore (after a boot of the host).",
    )
    step = Field(
        wtypes.text,
        "What its driver is at: a clean step's name, or prepare, release or program.",
    )
    since = Field(datetime.datetime, "Since when, by the database's clock.")
    percent = Field(int, "How much of the step is done, where it is known.", nullable=True)


_WRITE = View[DeviceWork](WorkFields).writer(DEVICE_WORK, "")


def work_field() -> Field:
    """Return the field of a device."""
    return Field(
        wtypes.ArrayType(WorkFields),
        "What its agent is at, as the agent has told in the last seconds. What takes less than a "
        "second is not told.",
        since=DEVICE_WORK,
    )


def work_of(record: Device, _base: str) -> object:
    """Return the value of the field."""
    return [_WRITE(each) for each in record.work]
