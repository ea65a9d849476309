"""Small helpers for building statements."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from oslo_context import context as oslo_context
from sqlalchemy.dialects import mysql, postgresql, sqlite

#: Its names among dialects.
MARIADB = ("mysql", "mariadb")

#: More rows than any table has.
_ALL = 1 << 62


def case_by(column: sa.ColumnElement[Any], values: Mapping[Any, Any]) -> Any:
    """Return ``CASE column WHEN key THEN value …``: one UPDATE for many rows.

    Where all have one value it is that value, and the UPDATE is like others, compiled before.
    """
    first = next(iter(values.values()))
    if all(value == first for value in values.values()):
        return first
    return sa.case(*((column == key, value) for key, value in values.items()))


def any_of(table: sa.Table, rule: Mapping[str, Collection[object]]) -> sa.ColumnElement[bool]:
    """Return the condition that any of these columns has any of its values."""
    return sa.or_(*(table.c[name].in_(list(values)) for name, values in rule.items()))


def by_index(query: sa.Select[Any], column: sa.Column[Any]) -> sa.Select[Any]:
    """Return a query that finds rows by the index of a column, and so in its order.

    MariaDB locks what it reads. Left to itself it reads a backlog to sort it, and locks it all.
    """
    index = f"ix_{column.table.name}_{column.name}"
    for dialect in MARIADB:
        query = query.with_hint(column.table, f"FORCE INDEX ({index})", dialect)
    return query


def locking_by(
    query: sa.Select[Any], column: sa.Column[Any], *others: sa.Column[Any]
) -> sa.Select[Any]:
    """Return a query that reads, and so locks, rows in the order of a unique column.

    PostgreSQL sorts before it locks. MariaDB locks what it reads, in the order in which it reads
    it: left to itself it takes small tables as they are, and in whatever order it joins them, so
    that two who lock the same rows deadlock, and wait for rows that are none of theirs.

    :param column: of the first table; the query asks for values of it.
    :param others: unique columns by which the tables are found that are joined, in this order.
    """
    for dialect in MARIADB:
        query = query.prefix_with("STRAIGHT_JOIN", dialect=dialect)
        for each in (column, *others):
            query = query.with_hint(each.table, f"FORCE INDEX ({_index_of(each)})", dialect)
    return query.order_by(column)


def locking_chosen(
    query: sa.Select[Any], key: sa.Column[Any], filters: Sequence[sa.ColumnElement[bool]]
) -> sa.Select[Any]:
    """Return a query that finds the rows of a table first, and then locks them by their primary
    key, in its order.

    MariaDB locks the entry of an index by which it finds a row, and then the row. Whoever holds
    the row and removes it, or moves it in that index, wants them the other way round.

    :param query: has the same filters: a row may have changed since it was found.
    """
    # With a limit MariaDB keeps the order.
    chosen = sa.select(key).where(*filters).order_by(key).limit(_ALL).subquery("chosen")
    for dialect in MARIADB:
        query = query.prefix_with("STRAIGHT_JOIN", dialect=dialect)
    return query.select_from(chosen.join(key.table, key == chosen.c[key.name]))


def _index_of(column: sa.Column[Any]) -> str:
    return "PRIMARY" if column.primary_key else f"uq_{column.table.name}_{column.name}"


def next_generation(table: sa.Table) -> dict[str, Any]:
    """Return the values that move a row's generation on by one."""
    return {"generation": _next_generation(table)}


@cache
def _next_generation(table: sa.Table) -> sa.ColumnElement[int]:
    return table.c.generation + 1


def insert_rows(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert rows in one statement. Their values may be expressions."""
    values = [dict(row) for row in rows]
    # SQLAlchemy compiles an INSERT of a list each time, and one of a row once.
    connection.execute(table.insert().values(values[0] if len(values) == 1 else values))


def upsert(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    key: str,
    changes: Mapping[str, Any],
    proposed: Collection[str] = (),
) -> None:
    """Insert rows; where one of the same ``key`` is there, change that one. One statement.

    :param key: a unique column.
    :param changes: the values of a row that is there; they may refer to its columns.
    :param proposed: columns whose values it takes from the row that was to be inserted.
    """
    values = [dict(row) for row in rows]
    if connection.dialect.name in MARIADB:
        insert = mysql.insert(table).values(values)
        taken = {name: insert.inserted[name] for name in proposed}
        connection.execute(insert.on_duplicate_key_update({**changes, **taken}))
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(values)
    taken = {name: statement.excluded[name] for name in proposed}
    connection.execute(
        statement.on_conflict_do_update(index_elements=[key], set_={**changes, **taken})
    )


def current_request_ids() -> dict[str, str | None]:
    """Return the ids of the request that this thread works for, for a row that outlives it."""
    current = oslo_context.get_current()
    return {
        "request_id": getattr(current, "request_id", None),
        "global_request_id": getattr(current, "global_request_id", None),
    }
