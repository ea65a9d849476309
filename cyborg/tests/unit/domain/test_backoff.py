"""How long to wait after failures in a row."""

from __future__ import annotations

import pytest

from cyborg.domain.backoff import backoff


@pytest.mark.parametrize(
    ("failures", "most", "seconds"),
    [
        (1, 15.0, 1.0),
        (2, 15.0, 2.0),
        (4, 15.0, 8.0),
        (5, 15.0, 15.0),
        (10**9, 15.0, 15.0),
        (1, 0.5, 0.5),
        (0, 15.0, 1.0),
    ],
)
def test_it_doubles_up_to_the_most(failures: int, most: float, seconds: float) -> None:
    assert backoff(failures, most) == seconds
    assert backoff(failures, most * 3, first=3.0) == seconds * 3
