"""Version 0006 on databases that go wrong meanwhile, and ids that need its width."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.util import CommandError

from cyborg.db import schema
from cyborg.db.database import Database
from cyborg.db.tables import metadata
from cyborg.db.types import UtcDateTime
from cyborg.tests.functional.db.comparison import require_our_tables
from cyborg.tests.functional.db.frozen import count_on
from cyborg.tests.functional.db.handles_of_0005 import HANDLES, OWN, everything, load, uuid_of
from cyborg.tests.helpers import make_conf

#: More than 32 bits hold, with a sign or without.
WIDE = 2**32 + 5

#: Where MariaDB, which keeps what was done until then, is interrupted; the others forget all.
STOPS = (
    "ALTER TABLE devices ADD COLUMN memory",
    "UPDATE attach_handles, handles_of_0006 SET",
    "ALTER TABLE attach_handles MODIFY",
    "ALTER TABLE jobs MODIFY",
    "CREATE TABLE IF NOT EXISTS consumptions",
    "CREATE INDEX ix_consumptions_counter_id",
    "UPDATE alembic_version SET version_num='0006'",
)


class Interrupted(Exception):
    """The upgrade ends here."""


@contextmanager
def interrupted(engine: sa.Engine, stop: str) -> Iterator[None]:
    """See that what is done here is interrupted before a statement that begins so."""

    def interrupt(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if " ".join(statement.split()).startswith(stop):
            raise Interrupted

    sa.event.listen(engine, "before_cursor_execute", interrupt)
    try:
        with pytest.raises(Interrupted):
            yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", interrupt)


def test_an_upgrade_that_was_interrupted_goes_on(empty: Database) -> None:
    """In the end all is as if nothing had happened."""
    load(empty.engine)
    for stop in STOPS if empty.engine.dialect.name == "mysql" else STOPS[-1:]:
        with interrupted(empty.engine, stop):
            schema.upgrade(empty.engine)
    schema.upgrade(empty.engine)
    found = everything(empty.engine)
    with empty.engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    require_our_tables(empty.engine)
    load(empty.engine)
    schema.upgrade(empty.engine)
    assert found == everything(empty.engine)


def test_operators_are_told_what_is_held_twice(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They alone can say which of two servers has to give up its card."""
    database = Database(make_conf(f"sqlite:///{tmp_path}/cyborg.sqlite"))
    load(database.engine)
    with caplog.at_level("INFO", "cyborg.db.migrations"):
        schema.upgrade(database.engine)
    database.dispose()
    doubled = [old for old in HANDLES if old.key and old.key.endswith(OWN)]
    lines = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(lines) == len(doubled)
    uuids = [
        uuid_of(n) for n, old in enumerate(HANDLES, start=1) if "0000:42:00.0" in (old.key or "")
    ]
    told = f"held more than once hardware=0000:42:00.0 handles={', '.join(uuids)}"
    assert told in lines
    gone = [old for old in HANDLES if old.key is None]
    assert f"doubled handles that nobody has are deleted: {len(gone)}" in caplog.text


def test_sqlite_refuses_what_refers_to_nothing(tmp_path: Path) -> None:
    """It does not look by itself while its tables are made anew."""
    database = Database(make_conf(f"sqlite:///{tmp_path}/cyborg.sqlite"))
    load(database.engine)
    statement = "UPDATE jobs SET attach_handle_id = {} WHERE attach_handle_id = {}"
    with sqlite3.connect(tmp_path / "cyborg.sqlite") as connection:
        [number] = connection.execute("SELECT min(attach_handle_id) FROM jobs").fetchone()
        connection.execute(statement.format(999, number))
    before = everything(database.engine)
    with pytest.raises(CommandError, match="jobs"):
        schema.upgrade(database.engine)
    assert everything(database.engine) == before
    with sqlite3.connect(tmp_path / "cyborg.sqlite") as connection:
        connection.execute(statement.format(number, 999))
    schema.upgrade(database.engine)
    database.dispose()


def test_sqlite_looks_again_after_an_upgrade() -> None:
    """One connection is all there is of a database in memory."""
    database = Database(make_conf("sqlite://"))

    def require_foreign_keys() -> None:
        with database.engine.begin() as connection:
            assert connection.scalar(sa.text("PRAGMA foreign_keys")) == 1

    with interrupted(database.engine, STOPS[-1]):
        schema.upgrade(database.engine)
    require_foreign_keys()
    with pytest.raises(CommandError):
        schema.upgrade(database.engine, "no-such-version")
    require_foreign_keys()
    schema.upgrade(database.engine)
    require_foreign_keys()


def test_every_id_can_be_more_than_32_bits_hold(empty: Database) -> None:
    schema.upgrade(empty.engine)
    first = {table.name: WIDE for table in metadata.sorted_tables}
    following: dict[str, int] = {}
    with empty.engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.insert().values(_row(table, 1, first)))
            if empty.engine.dialect.name == "postgresql" and "id" in table.columns:
                count_on(connection, table)
        for table in metadata.sorted_tables:
            row = _row(table, 2, following)
            inserted = connection.execute(table.insert().values(row)).inserted_primary_key
            assert inserted is not None
            if "id" in table.columns:
                following[table.name] = inserted[0]
                assert inserted[0] > WIDE, table.name
        ids = {
            f"{column}: {row._mapping[column]}": row._mapping[column]
            for table in metadata.sorted_tables
            for row in connection.execute(sa.select(table))
            for column in table.columns
            if column.name == "id" or column.foreign_keys
        }
    assert {where for where, value in ids.items() if value < WIDE} == set()
    assert len(ids) > 40


def _row(table: sa.Table, number: int, ids: dict[str, int]) -> dict[str, Any]:
    """Return a row, without an id if its table has none among these, that refers to these."""
    values: dict[str, Any] = {}
    for column in table.columns:
        if column.foreign_keys:
            [key] = column.foreign_keys
            values[column.name] = ids[key.column.table.name]
        elif column.name == "id":
            values |= {"id": ids[table.name]} if table.name in ids else {}
        elif isinstance(column.type, UtcDateTime):
            values[column.name] = datetime.datetime(2026, 11, 29, tzinfo=datetime.UTC)
        elif isinstance(column.type, sa.String):
            values[column.name] = str(number)
        else:
            values[column.name] = number % 2
    return values
