"""The schema's version: bringing it up to date, and asking for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory


def alembic_config(connection: sa.Connection | None = None) -> Config:
    """Return alembic's configuration for our migrations."""
    config = Config()
    # Alembic interpolates: a path with a per cent sign must be escaped.
    location = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", location)
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """Return the newest version that this code knows."""
    newest = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert newest is not None
    return newest


def version(connection: sa.Connection) -> str | None:
    """Return the version that the database is at, None if it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: sa.Engine, revision: str = "head") -> None:
    """Bring the database to a version. Again is without effect.

    :raises alembic.util.CommandError: there is no such version.
    """
    with engine.connect() as connection, _rebuilding(connection):
        _wait_as_long_as_it_takes(connection)
        command.upgrade(alembic_config(connection), revision)
        connection.commit()


def _wait_as_long_as_it_takes(connection: sa.Connection) -> None:
    """Let a migration wait for services that are still at work, and look at large tables."""
    if connection.dialect.name == "postgresql":
        for limit in ("lock_timeout", "idle_in_transaction_session_timeout"):
            connection.exec_driver_sql(f"SET SESSION {limit} = 0")
    elif connection.dialect.name != "sqlite":
        connection.exec_driver_sql(
            "SET SESSION innodb_lock_wait_timeout = 3600 "
            "/*M!100300 , idle_transaction_timeout = 0 */"
        )
    connection.commit()


@contextmanager
def _rebuilding(connection: sa.Connection) -> Iterator[None]:
    """Let SQLite make a table anew that others refer to: dropping it is no deletion of its rows.

    The migrations' environment checks all foreign keys before each commit.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    # Within a transaction the setting has no effect.
    sqlite = connection.connection
    sqlite.cursor().execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        connection.rollback()
        sqlite.cursor().execute("PRAGMA foreign_keys = ON")


def stamp(engine: sa.Engine, revision: str) -> None:
    """Record a version without running anything.

    :raises alembic.util.CommandError: there is no such version.
    """
    with engine.connect() as connection:
        command.stamp(alembic_config(connection), revision)
        connection.commit()
