"""How long to wait after failures in a row."""

from __future__ import annotations

#: Beyond this many doublings the most is reached, whatever it is.
_DOUBLINGS = 30


def backoff(failures: int, most: float, first: float = 1.0) -> float:
    """Return seconds: ``first`` after the first failure, then twice as many, up to ``most``."""
    return min(most, first * 2.0 ** min(max(failures, 1) - 1, _DOUBLINGS))
