"""The one error of drivers, beside the contract so that what the contract needs can raise it."""

from __future__ import annotations

from cyborg.domain.errors import CyborgError


class DriverError(CyborgError):
    """What a driver was asked to do did not work; ``str(error)`` says why, in one line."""

    code = "cyborg.driver"
