"""A database of each kind, migrated once and emptied before each test."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.util import LRUCache

from cyborg.conductor.environment import Environment
from cyborg.db import schema
from cyborg.db.database import Database
from cyborg.db.tables import metadata
from cyborg.domain import clock
from cyborg.tests.helpers import RecordingAgents, make_conf, nova_client, placement_client
from cyborg.tests.servers import NovaStandIn, Placement

KINDS = ("sqlite", "mariadb", "postgresql")

_migrated: dict[str, str] = {}
_statements: dict[str, tuple[sa.Dialect, LRUCache[Any, Any]]] = {}


def _database_url(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{folder}/cyborg.sqlite"
    url: str = request.getfixturevalue(kind).create_database()
    return url


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with our schema and no rows, on each kind of server."""
    kind = request.param
    if kind not in _migrated:
        url = _database_url(kind, request, tmp_path_factory.mktemp(kind))
        database = Database(make_conf(url))
        schema.upgrade(database.engine)
        database.dispose()
        _migrated[kind] = url
    return _migrated[kind]


def _share_statements(engine: sa.Engine) -> None:
    """Let tests share the statements that SQLAlchemy has made for a kind of server.

    It keeps them for an engine and its dialect, and each test has a new engine: a fifth of all
    time went into making the same ones again.
    """
    kept = _statements.setdefault(engine.dialect.name, (engine.dialect, LRUCache(4000)))
    engine.dialect, engine._compiled_cache = kept


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The same, opened, and emptied."""
    database = Database(make_conf(database_url))
    _share_statements(database.engine)
    with database.engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    yield database
    database.dispose()


@pytest.fixture
def agents() -> RecordingAgents:
    """Agents that keep what they are sent."""
    return RecordingAgents()


@pytest.fixture
def env(database: Database, agents: RecordingAgents) -> Environment:
    """What use cases of the conductor work with."""
    return Environment(
        conf=database._conf,
        database=database,
        agents=agents,
        clock=clock.utcnow,
        new_uuid=clock.new_uuid,
    )


@pytest.fixture
def nova_env(env: Environment, nova: NovaStandIn) -> Environment:
    """The same with Nova, which is ``nova``. Events are sent before a use case returns."""
    return dataclasses.replace(env, nova=nova_client(nova.url))


@pytest.fixture
def cloud_env(nova_env: Environment, empty_placement: Placement) -> Environment:
    """The same with Nova and Placement, which are ``nova`` and ``empty_placement``."""
    return dataclasses.replace(nova_env, placement=placement_client(empty_placement.url))


@pytest.fixture
def other_database(database: Database) -> Iterator[Database]:
    """``database``, opened once more, as by another conductor."""
    other = Database(database._conf)
    yield other
    other.dispose()
