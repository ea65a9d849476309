"""A function is taken back when nobody has it any more, reset, and left as it was found."""

from __future__ import annotations

import errno
import threading
import time

import pytest
from agents_parts import EVERYTHING, MakeParts, handle_at
from real_host import (
    DEVICES,
    FREE_DRIVE,
    NETWORK_WITH_FUNCTIONS,
    Guest,
    driver_of,
    read,
    rebind,
    unbind,
    wait_for,
)
from resets import Resets

from cyborg.drivers.contract import DriverError, Handle
from cyborg.privileged.writer import ChildWriter


@pytest.fixture
def handle(virtual_function: str) -> Handle:
    """The function as the conductor names it."""
    return handle_at(virtual_function, NETWORK_WITH_FUNCTIONS)


def test_one_that_is_open_is_not_reset_until_it_is_closed(
    make_parts: MakeParts, handle: Handle, virtual_function: str, resets: Resets
) -> None:
    parts = make_parts(EVERYTHING, release_patience=3.0)
    parts.driver.prepare(handle, {})
    rebind(virtual_function, "vfio-pci")
    begun = time.monotonic()
    with Guest(virtual_function) as guest:
        why = rf"is not free: somebody has it: .*\b{guest.pid}\b"
        with pytest.raises(DriverError, match=why):
            parts.driver.release(handle)
        assert time.monotonic() - begun >= 3.0
        assert {each.pid for each in resets.of(virtual_function, begun)} <= {guest.pid}
    again = time.monotonic()
    parts.driver.release(handle)
    (reset,) = [each for each in resets.of(virtual_function, again) if each.pid != guest.pid]
    assert reset.at < time.monotonic()
    assert driver_of(virtual_function) == "vfio-pci"


def test_a_release_waits_for_a_guest_that_ends(
    make_parts: MakeParts, handle: Handle, virtual_function: str, resets: Resets
) -> None:
    parts = make_parts(EVERYTHING, release_patience=60.0)
    parts.driver.prepare(handle, {})
    rebind(virtual_function, "vfio-pci")
    ended: list[float] = []
    with Guest(virtual_function) as guest:

        def end() -> None:
            ended.append(time.monotonic())
            guest.end()

        begun = time.monotonic()
        timer = threading.Timer(3.0, end)
        timer.start()
        parts.driver.release(handle)
        timer.join()
    (reset,) = [each for each in resets.of(virtual_function, begun) if each.pid != guest.pid]
    assert reset.at > ended[0]


def test_privileged_verbs_refuse_one_that_is_open(
    make_parts: MakeParts, virtual_function: str, resets: Resets
) -> None:
    verbs = make_parts(EVERYTHING).verbs
    rebind(virtual_function, "vfio-pci")
    begun = time.monotonic()
    with Guest(virtual_function) as guest:
        with pytest.raises(DriverError, match="is not touched: somebody has it"):
            verbs.reset(virtual_function)
        with pytest.raises(DriverError, match="is not touched: somebody has it"):
            verbs.bind_driver(virtual_function, "")
        assert driver_of(virtual_function) == "vfio-pci"
    assert {each.pid for each in resets.of(virtual_function, begun)} <= {guest.pid}
    assert verbs.holders(virtual_function).is_free


def test_a_card_is_not_reset_under_one_of_its_parts(
    make_parts: MakeParts, virtual_function: str, resets: Resets
) -> None:
    verbs = make_parts(EVERYTHING).verbs
    rebind(virtual_function, "vfio-pci")
    begun = time.monotonic()
    with Guest(virtual_function):
        with pytest.raises(DriverError, match="is not touched: somebody has it"):
            verbs.reset(NETWORK_WITH_FUNCTIONS)
    assert not resets.of(NETWORK_WITH_FUNCTIONS, begun)


def test_libvirt_gives_it_back_while_the_release_begins(
    make_parts: MakeParts, resets: Resets
) -> None:
    entries = [{"address": FREE_DRIVE, "keeps_data": "allowed"}]
    # It waits for some seconds, in which a host as slow as this does not much.
    parts = make_parts(entries, clock=lambda: time.monotonic() / 20)
    handle = handle_at(FREE_DRIVE)
    parts.driver.prepare(handle, {})
    rebind(FREE_DRIVE, "vfio-pci")
    Guest(FREE_DRIVE).end()

    def give_back() -> None:
        time.sleep(1.0)
        unbind(FREE_DRIVE)
        # Between two drivers for a while, which is no state to be left in.
        time.sleep(1.0)
        rebind(FREE_DRIVE, "nvme")

    begun = time.monotonic()
    libvirt = threading.Thread(target=give_back)
    libvirt.start()
    parts.driver.release(handle)
    assert driver_of(FREE_DRIVE) == "nvme"
    libvirt.join()
    assert resets.of(FREE_DRIVE, begun)[-1].at >= begun + 2.0
    assert driver_of(FREE_DRIVE) == "nvme"


def test_libvirt_never_gives_it_back(
    make_parts: MakeParts, handle: Handle, virtual_function: str, resets: Resets
) -> None:
    parts = make_parts(EVERYTHING)
    parts.driver.prepare(handle, {})
    rebind(virtual_function, "vfio-pci")
    begun = time.monotonic()
    parts.driver.release(handle)
    assert len(resets.of(virtual_function, begun)) == 1
    assert driver_of(virtual_function) == "vfio-pci"
    assert read(DEVICES / virtual_function / "driver_override") == "vfio-pci"


def test_binding_and_giving_back(make_parts: MakeParts, virtual_function: str) -> None:
    verbs = make_parts(EVERYTHING).verbs
    for _ in range(2):
        verbs.bind_driver(virtual_function, "vfio-pci")
        assert driver_of(virtual_function) == "vfio-pci"
    for _ in range(2):
        verbs.bind_driver(virtual_function, "")
        assert driver_of(virtual_function) == "igbvf"


def test_a_write_that_blocks_costs_nothing_else(virtual_function: str) -> None:
    rebind(virtual_function, "vfio-pci")
    writer = ChildWriter()
    unbinding = "/sys/bus/pci/drivers/vfio-pci/unbind"
    with Guest(virtual_function):
        begun = time.monotonic()
        with pytest.raises(TimeoutError, match="no answer within 2 s"):
            # The kernel waits until the guest has closed it.
            writer.write(unbinding, virtual_function, 2.0)
        assert time.monotonic() - begun < 60.0
        with pytest.raises(TimeoutError, match="an earlier write to it has not returned"):
            writer.write(unbinding, virtual_function, 2.0)
        writer.write(f"{DEVICES}/{FREE_DRIVE}/reset", "1", 60.0)

    def has_returned() -> bool:
        try:
            writer.write(unbinding, virtual_function, 2.0)
        except TimeoutError:
            return False
        except OSError as error:
            # By now nobody has it whom it could be taken from.
            return error.errno == errno.ENODEV
        raise AssertionError("the first write has done nothing")

    wait_for(has_returned)
    assert driver_of(virtual_function) == ""
