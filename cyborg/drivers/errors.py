"""The errors of drivers, beside the contract so that what the contract needs can raise them."""

from __future__ import annotations

from cyborg.domain.errors import CyborgError


class DriverError(CyborgError):
    """What a driver was asked to do did not work; ``str(error)`` says why, in one line."""

    code = "cyborg.driver"


class DeviceAway(DriverError):
    """The device is not there: pulled, lost from the bus, or another one is in its place.

    To a release it is neither a success nor a failure. What the device holds goes where it
    goes, so its handle is given to nobody until the device is back and has been released.
    """


class NotNow(DriverError):
    """Nothing was touched, since something else must come first; ``str(error)`` says what.

    A release is tried again until it can be done, and that never counts as a failure. To a
    preparation, which somebody waits for, it is one.
    """
