"""Cards come and go while the agent runs."""

from __future__ import annotations

import pytest
from agents_parts import EVERYTHING, MakeParts, handle_at, left_out, offered
from real_host import DEVICES, PLUGGED, driver_of, run, wait_for

from cyborg.drivers.contract import DeviceAway


def test_a_plug_and_an_unplug_are_found_by_the_next_scan(make_parts: MakeParts) -> None:
    driver = make_parts(EVERYTHING).driver
    before = driver.discover()
    assert PLUGGED not in offered(before)
    run("qmp", "device_add", "driver=e1000e", "id=plugged", "bus=hp0", "romfile=")
    wait_for(lambda: driver_of(PLUGGED) == "e1000e")
    found = driver.discover()
    assert offered(found) == {**offered(before), PLUGGED: [PLUGGED]}
    assert left_out(found) == left_out(before)
    handle = handle_at(PLUGGED)
    driver.prepare(handle, {})
    run("qmp", "device_del", "id=plugged")
    wait_for(lambda: not (DEVICES / PLUGGED).exists())
    gone = driver.discover()
    assert offered(gone) == offered(before)
    assert not gone.problems
    with pytest.raises(DeviceAway):
        driver.release(handle)
    with pytest.raises(DeviceAway):
        driver.prepare(handle, {})
