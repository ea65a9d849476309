"""Expectations that hold now, or within a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

#: Seconds between two looks.
PAUSE = 0.3


class Unexpected(AssertionError):
    """Something is not as it must be; the text says what was seen."""


class Hopeless(AssertionError):
    """Something is not as it must be, and will not become so by waiting."""


def expect(condition: object, reason: str) -> None:
    """Fail with a reason unless the condition is true."""
    if not condition:
        raise Unexpected(reason)


def eventually(look: Callable[[], Value], patience: float = 10, pause: float = PAUSE) -> Value:
    """Return what ``look`` returns as soon as it does not raise :class:`Unexpected`."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return look()
        except Unexpected as error:
            if time.monotonic() > deadline:
                raise Unexpected(f"{error} (for {patience:.0f} s)") from error
        time.sleep(pause)


def wait_for(
    what: str, condition: Callable[[], Value], patience: float = 30, pause: float = PAUSE
) -> Value:
    """Return the condition's first true value; fail with ``what`` after a while."""

    def look() -> Value:
        value = condition()
        expect(value, f"waited in vain: {what}")
        return value

    return eventually(look, patience, pause)


def steadily(look: Callable[[], None], seconds: float, pause: float = PAUSE) -> None:
    """Look again and again for some seconds; ``look`` raises when it sees a wrong thing."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        look()
        time.sleep(pause)
