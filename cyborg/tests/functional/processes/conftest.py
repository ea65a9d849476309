"""A cloud around our processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cyborg.tests.functional.processes.cloud import Cloud, clouded


@pytest.fixture
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cloud]:
    """Keystone, Placement with the compute nodes' providers, Nova; and no process of ours."""
    urls = (request.getfixturevalue("mariadb_url"), request.getfixturevalue("rabbit_url"))
    around = [
        request.getfixturevalue(name)
        for name in ("keystone", "empty_keystone_placement", "keystone_nova")
    ]
    with clouded(tmp_path, urls, *around) as cloud:
        cloud.make_roots()
        yield cloud
