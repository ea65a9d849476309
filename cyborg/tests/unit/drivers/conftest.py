from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
from stevedore.extension import ExtensionManager

from cyborg.drivers.loader import NAMESPACE
from cyborg.tests.unit.drivers.helpers import our_entry_points

# Another distribution, whose tests are run where it is installed.
collect_ignore = ["outside"]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """Stand for what pip has installed, which need not be this code."""
    points = our_entry_points()
    monkeypatch.setitem(ExtensionManager.ENTRY_POINT_CACHE, NAMESPACE, points)
    return points
