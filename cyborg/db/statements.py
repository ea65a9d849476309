"""Small helpers for building statements."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_context import context as oslo_context
from sqlalchemy.dialects import mysql, postgresql, sqlite


def case_by(column: sa.ColumnElement[Any], values: Mapping[Any, Any]) -> sa.Case[Any]:
    """Return ``CASE column WHEN key THEN value …``: one UPDATE for many rows."""
    return sa.case(*((column == key, value) for key, value in values.items()))


def any_of(table: sa.Table, rule: Mapping[str, Collection[object]]) -> sa.ColumnElement[bool]:
    """Return the condition that any of these columns has any of its values."""
    return sa.or_(*(table.c[name].in_(list(values)) for name, values in rule.items()))


def next_generation(table: sa.Table) -> dict[str, Any]:
    """Return the values that move a row's generation on by one."""
    return {"generation": table.c.generation + 1}


def upsert(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    key: str,
    changes: Mapping[str, Any],
) -> None:
    """Insert rows; where one of the same ``key`` is there, change that one. One statement.

    :param key: a unique column.
    :param changes: the values of a row that is there; they may refer to its columns.
    """
    values = [dict(row) for row in rows]
    if connection.dialect.name in ("mysql", "mariadb"):
        insert = mysql.insert(table).values(values)
        connection.execute(insert.on_duplicate_key_update(dict(changes)))
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=[key], set_=dict(changes)))


def current_request_ids() -> dict[str, str | None]:
    """Return the ids of the request that this thread works for, for a row that outlives it."""
    current = oslo_context.get_current()
    return {
        "request_id": getattr(current, "request_id", None),
        "global_request_id": getattr(current, "global_request_id", None),
    }
