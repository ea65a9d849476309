"""Transactions: again after contention, nothing half done, and a clear error when it is gone."""

from __future__ import annotations

import datetime
import sqlite3
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from cyborg.db.database import MAX_RETRIES, Contention, Database
from cyborg.db.tables import hosts, metadata
from cyborg.db.types import database_now
from cyborg.domain.errors import ServiceUnavailable
from cyborg.tests.helpers import make_conf
from cyborg.tests.servers.mariadb import MariaDB

NOW = datetime.datetime(2026, 11, 23, 5, 6, 7, 891011, tzinfo=datetime.UTC)


def insert(connection: sa.Connection, name: str) -> None:
    connection.execute(hosts.insert().values(name=name, last_seen_at=NOW, created_at=NOW))


def names(database: Database) -> list[str]:
    with database.reader() as connection:
        return list(connection.scalars(sa.select(hosts.c.name)))


def test_what_raises_is_rolled_back(database: Database) -> None:
    def work(connection: sa.Connection) -> None:
        insert(connection, "a")
        raise KeyError

    with pytest.raises(KeyError):
        database.run(work)
    assert names(database) == []


def test_contention_runs_it_again_from_the_start(database: Database) -> None:
    attempts = []

    def work(connection: sa.Connection) -> str:
        attempts.append(1)
        insert(connection, "a")
        if len(attempts) < 3:
            raise Contention
        return "done"

    assert database.run(work) == "done"
    assert len(attempts) == 3
    assert names(database) == ["a"]


def test_contention_without_end_is_unavailable(database: Database) -> None:
    attempts = []

    def work(connection: sa.Connection) -> None:
        attempts.append(1)
        raise Contention

    with pytest.raises(ServiceUnavailable):
        database.run(work)
    assert len(attempts) == MAX_RETRIES + 1


def test_on_sqlite_nobody_else_writes_from_the_first_statement_on(tmp_path: Path) -> None:
    """One that first reads would fail at its first change if another had written meanwhile."""
    file = tmp_path / "cyborg.sqlite"
    database = Database(make_conf(f"sqlite:///{file}"))
    metadata.create_all(database.engine)
    other = sqlite3.connect(file, timeout=0, isolation_level=None)

    def work(connection: sa.Connection) -> None:
        connection.execute(sa.select(hosts.c.name)).all()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        insert(connection, "a")

    database.run(work)
    other.execute("BEGIN IMMEDIATE")
    other.close()
    assert names(database) == ["a"]
    database.dispose()


def test_on_mariadb_a_later_read_sees_what_was_committed_meanwhile(mariadb_url: str) -> None:
    """As on PostgreSQL: else a decision rests on what was so before a lock was waited for."""
    database, other = Database(make_conf(mariadb_url)), Database(make_conf(mariadb_url))
    metadata.create_all(database.engine)

    def work(connection: sa.Connection) -> list[list[str]]:
        seen = [list(connection.scalars(sa.select(hosts.c.name)))]
        other.run(lambda theirs: insert(theirs, "a"))
        return [*seen, list(connection.scalars(sa.select(hosts.c.name)))]

    assert database.run(work) == [[], ["a"]]
    database.dispose()
    other.dispose()


def test_times_come_back_as_they_were(database: Database) -> None:
    elsewhere = NOW.astimezone(datetime.timezone(datetime.timedelta(hours=5)))

    def work(connection: sa.Connection) -> None:
        connection.execute(hosts.insert().values(name="a", last_seen_at=elsewhere, created_at=NOW))

    database.run(work)
    with database.reader() as connection:
        assert connection.scalar(sa.select(hosts.c.last_seen_at)) == NOW


def test_the_databases_time_is_utc_and_compares_with_stored_times(database: Database) -> None:
    def work(connection: sa.Connection) -> None:
        for name, seconds in (("past", -60), ("future", 60.5)):
            connection.execute(
                hosts.insert().values(name=name, last_seen_at=database_now(seconds), created_at=NOW)
            )

    database.run(work)
    with database.reader() as connection:
        due = hosts.c.last_seen_at <= database_now()
        assert list(connection.scalars(sa.select(hosts.c.name).where(due))) == ["past"]
        seen = connection.scalar(sa.select(hosts.c.last_seen_at).where(hosts.c.name == "future"))
    assert seen is not None
    ahead = (seen - datetime.datetime.now(datetime.UTC)).total_seconds()
    assert 50 < ahead < 61


def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    for url in (
        "mysql+pymysql://nobody@127.0.0.1:1/none",
        "postgresql+psycopg2://nobody@127.0.0.1:1/none",
        f"sqlite:///{tmp_path}/no/such/folder/cyborg.sqlite",
    ):
        database = Database(make_conf(url))
        with pytest.raises(ServiceUnavailable), database.reader():
            pass
        with pytest.raises(ServiceUnavailable):
            database.run(lambda connection: None)


def test_it_is_found_again_after_a_restart(mariadb: MariaDB, mariadb_url: str) -> None:
    database = Database(make_conf(mariadb_url))
    select = sa.select(sa.literal(1))
    with database.reader() as connection:
        assert connection.scalar(select) == 1
    mariadb.kill()
    with pytest.raises(ServiceUnavailable), database.reader() as connection:
        connection.scalar(select)
    mariadb.start()
    with database.reader() as connection:
        assert connection.scalar(select) == 1
    database.dispose()


@pytest.mark.parametrize("server", ["mariadb", "postgresql"])
def test_a_frozen_process_holds_what_it_has_locked_not_for_long(
    server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands still within a transaction: the database ends that, and others go on."""
    monkeypatch.setattr("cyborg.db.database.LOCK_PATIENCE", 1)
    monkeypatch.setattr("cyborg.db.database.IDLE_PATIENCE", 3)
    url = request.getfixturevalue(f"{server}_url")
    frozen, other = Database(make_conf(url)), Database(make_conf(url))
    metadata.create_all(frozen.engine)
    frozen.run(lambda connection: insert(connection, "a"))
    rename = hosts.update().values(name=hosts.c.name + "b")
    begun = threading.Event()
    thawed = threading.Event()
    ends: list[str] = []

    def stand_still(connection: sa.Connection) -> None:
        connection.execute(rename)
        begun.set()
        assert thawed.wait(30)
        connection.execute(rename)

    def freeze() -> None:
        try:
            frozen.run(stand_still)
        except ServiceUnavailable:
            ends.append("unavailable")

    thread = threading.Thread(target=freeze)
    thread.start()
    assert begun.wait(30)
    started = time.monotonic()
    other.run(lambda connection: connection.execute(rename) and None)
    # It waited for the lock more often than once, and not for what a thawed one does.
    assert 1 < time.monotonic() - started < 15
    assert names(other) == ["ab"]
    thawed.set()
    thread.join(30)
    assert ends == ["unavailable"]
    assert names(other) == ["ab"]
    # Its next transaction is another one.
    frozen.run(lambda connection: insert(connection, "c"))
    assert sorted(names(other)) == ["ab", "c"]
    frozen.dispose()
    other.dispose()
