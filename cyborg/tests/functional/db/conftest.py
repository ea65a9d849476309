from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cyborg.db.database import Database
from cyborg.tests.helpers import make_conf


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/empty.sqlite"
    else:
        url = request.getfixturevalue(f"{request.param}_url")
    database = Database(make_conf(url))
    yield database
    database.dispose()
