from __future__ import annotations

from pathlib import Path

import pytest

from cyborg.testing.hosts import Kernel, build
from cyborg.tests.unit.testing.helpers import Make


@pytest.fixture
def kernel(tmp_path: Path) -> Make:
    """A function that builds a host and returns its kernel."""

    def make(name: str) -> Kernel:
        build(name, tmp_path)
        made = Kernel(tmp_path)
        made.patience = 0.02
        return made

    return make
