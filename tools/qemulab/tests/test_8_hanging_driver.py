"""A reset under a driver of the host, which may hang in that for good: igbvf of 6.12 does.

The last test, since nothing can be done with such a function any more.
"""

from __future__ import annotations

import time

import pytest
from agents_parts import EVERYTHING, MakeParts, handle_at
from real_host import FREE_DRIVE, NETWORK_WITH_FUNCTIONS, driver_of, virtual_functions
from resets import Resets

from cyborg.drivers.contract import DriverError


def test_a_reset_under_a_driver_of_the_host_ends_in_time(
    make_parts: MakeParts, resets: Resets
) -> None:
    entries = [*EVERYTHING, {"address": FREE_DRIVE, "keeps_data": "allowed"}]
    # The drive's own entry has to be the first that means it.
    parts = make_parts(entries[::-1], reset_timeout=20.0)
    (address, *_) = virtual_functions(NETWORK_WITH_FUNCTIONS)
    assert driver_of(address) == "igbvf"
    begun = time.monotonic()
    try:
        parts.driver.release(handle_at(address, NETWORK_WITH_FUNCTIONS))
    except DriverError as error:
        assert "cannot be reset: reset: no answer within 20 s" in str(error)
        with pytest.raises(DriverError, match="an earlier write to it has not returned"):
            parts.verbs.reset(address)
    else:
        assert len(resets.of(address, begun)) == 1
    assert time.monotonic() - begun < 300.0
    # Not one beside it: what is below the same bridge hangs with it, on 6.12.
    parts.driver.release(handle_at(FREE_DRIVE))
    assert len(resets.of(FREE_DRIVE, begun)) >= 1
