"""Column types that behave alike on MariaDB, PostgreSQL and SQLite."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class UtcDateTime(sa.TypeDecorator[datetime.datetime]):
    """Aware UTC datetimes with microseconds, stored without a zone."""

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        """Ask MariaDB for microseconds, which its DATETIME drops by default."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime())

    def process_bind_param(
        self, value: datetime.datetime | None, dialect: sa.Dialect
    ) -> datetime.datetime | None:
        """Store in UTC."""
        return value and value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(
        self, value: datetime.datetime | None, dialect: sa.Dialect
    ) -> datetime.datetime | None:
        """Read as UTC."""
        return value and value.replace(tzinfo=datetime.UTC)


#: Text that grows with what a host has. A TEXT of MariaDB ends at 65,535 bytes.
LongText = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


class database_now(FunctionElement[datetime.datetime]):
    """The database's own present, ``seconds`` from now.

    Leases and deadlines are compared by this clock only: a host whose clock jumps
    neither steals a lease nor keeps one.
    """

    type = UtcDateTime()
    # The seconds are a parameter: SQLAlchemy need not make a statement again for others.
    inherit_cache = True

    def __init__(self, seconds: float = 0) -> None:
        super().__init__(sa.literal(round(seconds * 1_000_000), sa.BigInteger))


def _microseconds(element: database_now, compiler: Any, kw: Any) -> str:
    made: str = compiler.process(element.clauses, **kw)
    return made


@compiles(database_now, "postgresql")
def _postgresql(element: database_now, compiler: Any, **kw: Any) -> str:
    passed = _microseconds(element, compiler, kw)
    return f"((clock_timestamp() AT TIME ZONE 'UTC') + {passed} * interval '1 microsecond')"


@compiles(database_now, "mysql")
@compiles(database_now, "mariadb")
def _mysql(element: database_now, compiler: Any, **kw: Any) -> str:
    return f"(UTC_TIMESTAMP(6) + INTERVAL {_microseconds(element, compiler, kw)} MICROSECOND)"


@compiles(database_now, "sqlite")
def _sqlite(element: database_now, compiler: Any, **kw: Any) -> str:
    # The text form must sort together with the one that the driver stores.
    seconds = f"printf('%+.6f seconds', {_microseconds(element, compiler, kw)} / 1000000.0)"
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds}) || '000')"
