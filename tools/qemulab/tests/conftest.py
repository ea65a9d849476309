"""One host for all tests: its cards have virtual functions, and the kernel tells its resets."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agents_parts import Entries, MakeParts, Parts, make_conf
from real_host import (
    DRIVE_WITH_FUNCTIONS,
    NETWORK_WITH_FUNCTIONS,
    VIRTUAL,
    driver_of,
    make_virtual_functions,
    rebind,
    run,
    virtual_functions,
)
from resets import Resets
from small_agent import Nursery

#: Begins with the run, since only a process without threads can be forked safely.
_NURSERY = Nursery()

_ENDED: list[int] = []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(exitstatus: int) -> None:
    """Keep how the tests ended."""
    _ENDED.append(exitstatus)


def pytest_unconfigure() -> None:
    """Say how they ended: with a thread in the kernel that hangs, this process cannot end."""
    if _ENDED and "LAB_STATUS" in os.environ:
        Path(os.environ["LAB_STATUS"]).write_text(str(int(_ENDED[-1])))


@pytest.fixture(scope="session", autouse=True)
def resets() -> Resets:
    """What the kernel resets."""
    return Resets()


@pytest.fixture(scope="session", autouse=True)
def _virtual_functions() -> None:
    """Let both cards that can have virtual functions have some; the network card's get a driver."""
    # Here, not by udev: a driver that is being loaded has functions before it can be taken from.
    run("modprobe", "igbvf")
    for address in (DRIVE_WITH_FUNCTIONS, NETWORK_WITH_FUNCTIONS):
        make_virtual_functions(address, VIRTUAL)
    run("udevadm", "settle", "-t", "60")
    for address in virtual_functions(NETWORK_WITH_FUNCTIONS):
        rebind(address, "igbvf")


@pytest.fixture
def make_parts(tmp_path: Path) -> MakeParts:
    """Make the parts of an agent, which keeps what it knows from one to the next."""

    def make(
        entries: Entries, clock: Callable[[], float] = time.monotonic, **options: object
    ) -> Parts:
        return Parts(tmp_path / "agent", make_conf(entries, **options), clock)

    return make


@pytest.fixture
def virtual_function() -> Iterator[str]:
    """A virtual function of the network card, with its host's driver before and after."""
    (address, *_) = virtual_functions(NETWORK_WITH_FUNCTIONS)
    assert driver_of(address) == "igbvf"
    yield address
    if driver_of(address) != "igbvf":
        rebind(address, "igbvf")


@pytest.fixture(scope="session")
def nursery() -> Nursery:
    """Where agents are born that a test kills."""
    return _NURSERY
