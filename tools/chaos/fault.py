"""A row of the table of faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from world import World


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, what has to come of it, and how that is tried."""

    number: str
    what: str
    target: str
    #: Lets it happen; returns what was measured, and raises where the target is missed. It need
    #: not mend anything, nor wait for rest.
    run: Callable[[World], str]
    #: Whether it is part of the short run.
    is_short: bool = False


def within(seconds: float, most: float, what: str) -> float:
    """Return seconds that are at most so many.

    :raises AssertionError: they are more.
    """
    assert seconds <= most, f"{what}: {seconds:.1f} s, and at most {most:g} s are promised"
    return seconds
