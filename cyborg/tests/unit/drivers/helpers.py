"""Options and drivers for the tests of drivers and of the agent."""

from __future__ import annotations

import configparser
import random
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TypeVar

from oslo_config import cfg

import cyborg
from cyborg.drivers.contract import DriverEnvironment, Handle
from cyborg.drivers.fake.driver import FakeDriver
from cyborg.drivers.host import Host
from cyborg.drivers.loader import NAMESPACE
from cyborg.testing import drivers as testing

T = TypeVar("T")

HOST = testing.HOST_NAME


def make_conf(**overrides: Mapping[str, object]) -> cfg.ConfigOpts:
    """Return private options, the fake driver's too; each argument is a group of values."""
    return testing.make_conf(FakeDriver, **overrides)


def make_environment(
    conf: cfg.ConfigOpts, slept: list[float] | None = None, host: str = HOST
) -> DriverEnvironment:
    """Return an environment whose sleep only notes for how long it was asked to."""
    state = Host(Path(conf.state_path) / "agent")
    return DriverEnvironment(conf, host, state, ([] if slept is None else slept).append)


def make_handle(uuid: str = "handle-1", device: str = "fake-0") -> Handle:
    """Return a handle that a driver of test devices takes."""
    return Handle(uuid, device, f"{HOST}_FakeDevice", "TEST_PCI", {"bus": "0c"})


def our_entry_points() -> list[EntryPoint]:
    """Return the drivers that setup.cfg names, installed or not."""
    setup = configparser.ConfigParser()
    setup.read(Path(cyborg.__file__).parents[1] / "setup.cfg")
    lines = setup["entry_points"][NAMESPACE].strip().splitlines()
    pairs = [line.split("=", 1) for line in lines]
    return [EntryPoint(name.strip(), value.strip(), NAMESPACE) for name, value in pairs]


def shuffled(items: tuple[T, ...], seed: int) -> tuple[T, ...]:
    """Return the same items in another order."""
    mixed = list(items)
    random.Random(seed).shuffle(mixed)
    return tuple(mixed)
