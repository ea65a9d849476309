"""The drive that the host runs from is touched by nobody, whatever the operator's list says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from agents_parts import MakeParts, handle_at, left_out, offered
from real_host import FREE_DRIVE, SYSTEM_DRIVE, driver_of, read, write
from resets import Resets

from cyborg.drivers.contract import DriverError

_ALLOWED = {"keeps_data": "allowed", "no_reset": "allowed"}


@pytest.mark.parametrize(
    "entry",
    [{"address": "*:*:*.*"}, {"address": SYSTEM_DRIVE}, {"vendor_id": "1b36", "product_id": "10"}],
    ids=["all", "its address", "its product"],
)
def test_the_system_drive(make_parts: MakeParts, resets: Resets, entry: Mapping[str, str]) -> None:
    parts = make_parts([{**entry, **_ALLOWED}], release_patience=0.0)
    begun = time.monotonic()
    found = parts.driver.discover()
    assert SYSTEM_DRIVE not in offered(found)
    assert left_out(found)[SYSTEM_DRIVE].endswith("p1 is mounted")
    handle = handle_at(SYSTEM_DRIVE)
    with pytest.raises(DriverError):
        parts.driver.prepare(handle, {})
    with pytest.raises(DriverError):
        parts.driver.release(handle)
    with pytest.raises(DriverError, match="is not touched"):
        parts.verbs.reset(SYSTEM_DRIVE)
    for driver in ("vfio-pci", ""):
        with pytest.raises(DriverError, match="is not touched"):
            parts.verbs.bind_driver(SYSTEM_DRIVE, driver)
    assert not resets.of(SYSTEM_DRIVE, begun)
    assert driver_of(SYSTEM_DRIVE) == "nvme"
    # It answers: not from memory, which is told to be forgotten.
    write(Path("/proc/sys/vm/drop_caches"), "3")
    assert read(Path("/etc/debian_version"))


def test_another_drive_is_reset(make_parts: MakeParts, resets: Resets) -> None:
    """So that a refusal above is none of all drives."""
    parts = make_parts([{"address": FREE_DRIVE, **_ALLOWED}])
    begun = time.monotonic()
    parts.verbs.reset(FREE_DRIVE)
    assert len(resets.of(FREE_DRIVE, begun)) >= 1
    assert driver_of(FREE_DRIVE) == "nvme"
