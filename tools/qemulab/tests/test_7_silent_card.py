"""A card that has fallen silent is not given, is not taken for clean, and holds up no other."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from agents_parts import EVERYTHING, MakeParts, handle_at, offered
from real_host import DEVICES, NETWORK, NETWORK_WITH_FUNCTIONS, read, rebind, run, virtual_functions

from cyborg.drivers.contract import DeviceCondition, DriverError

_REGISTERS = ("SECONDARY_BUS", "SUBORDINATE_BUS", "COMMAND")


@pytest.fixture
def silent() -> Iterator[None]:
    """The network card behind a port that leads elsewhere: whoever asks it reads ones."""
    port = (DEVICES / NETWORK).resolve().parent.name
    before = [run("setpci", "-s", port, name) for name in _REGISTERS]
    run("setpci", "-s", port, "SECONDARY_BUS=fe", "SUBORDINATE_BUS=fe", "COMMAND=0")
    yield
    pairs = zip(_REGISTERS, before, strict=True)
    run("setpci", "-s", port, *(f"{name}={value}" for name, value in pairs))


def test_a_card_that_answers_ones(make_parts: MakeParts, silent: None) -> None:
    parts = make_parts(EVERYTHING, reset_timeout=5.0, release_patience=0.0)
    assert read(DEVICES / NETWORK / "vendor") == "0x8086"
    found = parts.driver.discover()
    (device,) = [each for each in found.devices if each.identity == NETWORK]
    assert device.condition is DeviceCondition.FAILED
    assert device.condition_reason is not None and "all ones" in device.condition_reason
    assert NETWORK_WITH_FUNCTIONS in offered(found)
    with pytest.raises(DriverError, match="cannot be given: it does not answer"):
        parts.driver.prepare(handle_at(NETWORK), {})
    begun = time.monotonic()
    with pytest.raises(DriverError):
        parts.driver.release(handle_at(NETWORK))
    assert time.monotonic() - begun < 300.0
    (other, *_) = virtual_functions(NETWORK_WITH_FUNCTIONS)
    rebind(other, "vfio-pci")
    parts.driver.release(handle_at(other, NETWORK_WITH_FUNCTIONS))
    rebind(other, "igbvf")
