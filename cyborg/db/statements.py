"""Small helpers for building statements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa


def case_by(column: sa.ColumnElement[Any], values: Mapping[Any, Any]) -> sa.Case[Any]:
    """Return ``CASE column WHEN key THEN value …``: one UPDATE for many rows."""
    return sa.case(*((column == key, value) for key, value in values.items()))


def next_generation(table: sa.Table) -> dict[str, Any]:
    """Return the values that move a row's generation on by one."""
    return {"generation": table.c.generation + 1}
