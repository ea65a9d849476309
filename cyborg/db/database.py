"""Engines and transactions.

oslo.db makes the engine, with its options, its exception filter and its pings;
transactions are SQLAlchemy Core connections, one a use case.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import api as oslo_db_api
from oslo_db import exception as db_exception
from oslo_db import options as db_options
from oslo_db.sqlalchemy import engines

from cyborg.domain.errors import ServiceUnavailable

#: How often a use case is begun again after a deadlock or a lost race, with jitter.
MAX_RETRIES = 8

#: Seconds that a statement waits for a row that another transaction holds. Then its use case
#: is begun again, as after a deadlock.
LOCK_PATIENCE = 5

#: Seconds after which the database ends a transaction in which nothing is asked: a process that
#: is frozen, or whose network is gone, holds what it has locked no longer. None of ours waits for
#: anything but the database within one.
IDLE_PATIENCE = 12

_ENGINE_OPTIONS = (
    "mysql_sql_mode",
    "mysql_wsrep_sync_wait",
    "connection_recycle_time",
    "connection_debug",
    "max_pool_size",
    "max_overflow",
    "pool_timeout",
    "sqlite_synchronous",
    "connection_trace",
    "connection_parameters",
)

_UNAVAILABLE = (
    db_exception.DBConnectionError,
    db_exception.DBNonExistentDatabase,
    db_exception.DBDeadlock,
    sa.exc.TimeoutError,
    sa.exc.InterfaceError,
    # What fails while connecting does not pass through oslo.db's filter.
    sa.exc.OperationalError,
)

T = TypeVar("T")

#: What a transaction is given to work with; its statements are made in this package alone.
Connection = sa.Connection


#: How PostgreSQL says that a lock was waited for too long.
_LOCK_NOT_AVAILABLE = "55P03"

#: How SQLite, MariaDB and PostgreSQL say that "cyborg-dbsync upgrade" has not run.
_NO_TABLE = re.compile(r"no such table|\(1146, |UndefinedTable")


class Contention(Exception):
    """Raised inside a transaction to roll it back and run the use case once more."""


class ReadDatabase:
    """Reading transactions only: what the API gets."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        conf.register_opts(db_options.database_opts, "database")
        self._conf = conf
        self._lock = threading.Lock()
        self._engine: sa.Engine | None = None

    @property
    def engine(self) -> sa.Engine:
        """Return the engine; made at first use, without connecting."""
        with self._lock:
            if self._engine is None:
                self._engine = _create_engine(self._conf)
            return self._engine

    @contextmanager
    def reader(self) -> Iterator[sa.Connection]:
        """Open a transaction for reading.

        :raises ServiceUnavailable: the database cannot be reached.
        """
        with _unavailable(), self.engine.connect() as connection:
            yield connection

    def dispose(self) -> None:
        """Close every idle connection."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None


class Database(ReadDatabase):
    """Reading and writing: what the conductor gets."""

    def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Run ``work`` in one writing transaction, again after a deadlock or contention.

        ``work`` may therefore run several times and must have no effect outside the
        transaction. What it raises rolls everything back.

        :raises ServiceUnavailable: the database cannot be reached, or stayed contended.
        """
        attempt = oslo_db_api.wrap_db_retry(
            max_retries=MAX_RETRIES,
            retry_interval=0.02,
            max_retry_interval=0.5,
            inc_retry_interval=True,
            jitter=True,
            retry_on_deadlock=True,
            exception_checker=lambda error: isinstance(error, Contention),
        )(self._once)
        with _unavailable():
            result: T = attempt(work)
            return result

    def _once(self, work: Callable[[sa.Connection], Any]) -> Any:
        with self.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                # Keeps oslo.db from emitting a plain BEGIN; see _prepare_sqlite.
                connection.info["in_transaction"] = True
                connection.info["cyborg_writer"] = True
            try:
                with connection.begin():
                    return work(connection)
            except sa.exc.OperationalError as error:
                # oslo.db knows MariaDB's word for it, and not PostgreSQL's.
                if getattr(error.orig, "pgcode", None) == _LOCK_NOT_AVAILABLE:
                    raise Contention from error
                raise


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (*_UNAVAILABLE, Contention) as error:
        raise ServiceUnavailable("The database is not available now; try again.") from error
    except (db_exception.DBError, sa.exc.ProgrammingError) as error:
        if not _NO_TABLE.search(str(error)):
            raise
        raise ServiceUnavailable("The database has no schema of ours yet; try later.") from error


def _create_engine(conf: cfg.ConfigOpts) -> sa.Engine:
    options = {name: conf.database[name] for name in _ENGINE_OPTIONS}
    # max_retries=0: connecting, and waiting for it, is the caller's business.
    engine: sa.Engine = engines.create_engine(
        conf.database.connection, sqlite_fk=True, max_retries=0, **options
    )
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    elif engine.dialect.name in ("mysql", "mariadb"):
        _prepare_mysql(engine)
    elif engine.dialect.name == "postgresql":
        _prepare_postgresql(engine)
    return engine


def _prepare_sqlite(engine: sa.Engine) -> None:
    @sa.event.listens_for(engine, "first_connect")
    def _first_connect(dbapi_connection: Any, _record: Any) -> None:
        # Kept in the file: readers and the writer do not wait for each other.
        dbapi_connection.execute("PRAGMA journal_mode = WAL")

    @sa.event.listens_for(engine, "connect")
    def _connect(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.execute("PRAGMA busy_timeout = 30000")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # A transaction that begins as a reader and then writes fails at once when
        # another one wrote meanwhile, whatever the busy timeout: so writers say so first.
        if connection.info.pop("cyborg_writer", False):
            connection.exec_driver_sql("BEGIN IMMEDIATE")


def _prepare_mysql(engine: sa.Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def _connect(dbapi_connection: Any, _record: Any) -> None:
        # As PostgreSQL: no gap locks, so claims do not deadlock with reports; and a read
        # after a lock was waited for sees what the other committed.
        with dbapi_connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            # MySQL, which has no such limit for idle ones, reads the rest as a comment.
            cursor.execute(
                f"SET SESSION innodb_lock_wait_timeout = {LOCK_PATIENCE} "
                f"/*M!100300 , idle_transaction_timeout = {IDLE_PATIENCE} */"
            )


def _prepare_postgresql(engine: sa.Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def _connect(dbapi_connection: Any, _record: Any) -> None:
        with dbapi_connection.cursor() as cursor:
            cursor.execute(f"SET SESSION lock_timeout = '{LOCK_PATIENCE}s'")
            cursor.execute(f"SET SESSION idle_in_transaction_session_timeout = '{IDLE_PATIENCE}s'")
        # What is set in a transaction that is rolled back is not set.
        dbapi_connection.commit()
