"""A database against the tables that the code uses."""

from __future__ import annotations

import unittest

import sqlalchemy as sa
from oslo_db.sqlalchemy.test_migrations import ModelsMigrationsSync

from cyborg.db import schema
from cyborg.db.tables import metadata


def require_our_tables(engine: sa.Engine) -> None:
    """Upgrade a database and compare what it has then with what the code uses; then empty it.

    :raises AssertionError: they differ.
    """

    class Sync(ModelsMigrationsSync, unittest.TestCase):  # type: ignore[misc]  # untyped
        """oslo.db's comparison, on a database that is given."""

        def db_sync(self, engine: sa.Engine) -> None:
            schema.upgrade(engine)

        def get_engine(self) -> sa.Engine:
            return engine

        def get_metadata(self) -> sa.MetaData:
            return metadata

    result = unittest.TestResult()
    Sync("test_models_sync").run(result)
    assert result.testsRun == 1
    found = [text for _, text in result.failures + result.errors]
    assert not found, found
