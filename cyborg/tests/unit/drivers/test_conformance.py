"""Every driver of setup.cfg is asked what the contract promises."""

from __future__ import annotations

import importlib
import pkgutil

from cyborg.drivers.contract import Driver
from cyborg.testing.drivers import DriverConformance
from cyborg.tests.unit import drivers
from cyborg.tests.unit.drivers.helpers import our_entry_points


def asked() -> set[type[Driver]]:
    """Return the drivers for which pytest finds a class of the kit in this folder."""
    found = set()
    for module in pkgutil.walk_packages(drivers.__path__, f"{drivers.__name__}."):
        if module.name.rpartition(".")[2].startswith("test_"):
            for name, member in vars(importlib.import_module(module.name)).items():
                if name.startswith("Test") and issubclass(member, DriverConformance):
                    found.add(member.driver_class)
    return found


def test_every_driver_of_ours_is_asked() -> None:
    """If this fails, derive a class from DriverConformance for the driver: see drivers.rst."""
    missing = [p.name for p in our_entry_points() if p.load() not in asked()]
    assert not missing
