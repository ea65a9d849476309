"""Migrations on every kind of database, against the tables that the code uses."""

from __future__ import annotations

import unittest
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.util import CommandError
from oslo_db.sqlalchemy.test_migrations import ModelsMigrationsSync

from cyborg.db import schema
from cyborg.db.database import Database
from cyborg.db.devices import list_devices
from cyborg.db.tables import metadata
from cyborg.db.types import UtcDateTime
from cyborg.domain.errors import ServiceUnavailable
from cyborg.tests.helpers import make_conf


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A database without any table."""
    if request.param == "sqlite":
        return Database(make_conf(f"sqlite:///{tmp_path}/empty.sqlite"))
    return Database(make_conf(request.getfixturevalue(f"{request.param}_url")))


def test_the_migrations_make_the_tables_that_the_code_uses(empty: Database) -> None:
    class Sync(ModelsMigrationsSync, unittest.TestCase):  # type: ignore[misc]  # untyped
        """oslo.db's comparison, on a database that this test was given."""

        def db_sync(self, engine: sa.Engine) -> None:
            schema.upgrade(engine)

        def get_engine(self) -> sa.Engine:
            return empty.engine

        def get_metadata(self) -> sa.MetaData:
            return metadata

    result = unittest.TestResult()
    Sync("test_models_sync").run(result)
    assert result.testsRun == 1
    assert result.failures + result.errors == []
    empty.dispose()


def test_a_database_without_our_schema_is_unavailable(empty: Database) -> None:
    with pytest.raises(ServiceUnavailable), empty.reader() as connection:
        list_devices(connection)
    empty.dispose()


def test_upgrade_version_and_stamp(empty: Database) -> None:
    with empty.engine.connect() as connection:
        assert schema.version(connection) is None
    schema.upgrade(empty.engine)
    schema.upgrade(empty.engine)
    with empty.engine.connect() as connection:
        assert schema.version(connection) == schema.head()
    with pytest.raises(CommandError):
        schema.upgrade(empty.engine, "no-such-version")
    with pytest.raises(CommandError):
        schema.stamp(empty.engine, "no-such-version")
    schema.stamp(empty.engine, "base")
    with empty.engine.connect() as connection:
        assert schema.version(connection) is None
    schema.stamp(empty.engine, schema.head())
    with empty.engine.connect() as connection:
        assert schema.version(connection) == schema.head()
    empty.dispose()


def test_every_time_is_stored_with_microseconds(database: Database) -> None:
    columns = [
        column
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, sa.DateTime | UtcDateTime)
    ]
    assert columns
    assert all(isinstance(column.type, UtcDateTime) for column in columns)
    inspector = sa.inspect(database.engine)
    if database.engine.dialect.name == "mysql":
        for column in columns:
            found = {c["name"]: c["type"] for c in inspector.get_columns(column.table.name)}
            assert getattr(found[column.name], "fsp", None) == 6, str(column)
