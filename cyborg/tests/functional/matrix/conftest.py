from __future__ import annotations

from collections.abc import Iterator

import pytest

from cyborg.tests.functional.matrix.harness import World
from cyborg.tests.servers import Keystone


@pytest.fixture(scope="session")
def whole_world(keystone: Keystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The API, made once."""
    world = World(tmp_path_factory.mktemp("matrix"), keystone)
    yield world
    world.close()


@pytest.fixture
def world(whole_world: World) -> Iterator[World]:
    """The API, with everything as it was in the beginning."""
    # A test before may have left Keystone killed.
    whole_world.keystone.start()
    yield whole_world
    whole_world.restore()
