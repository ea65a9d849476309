"""Pages of a query: by keyset, so that a late page costs what the first one does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cyborg.domain.paging import MarkerNotFound, Page


@dataclass(frozen=True, slots=True)
class Sorting:
    """What a collection can be sorted by."""

    #: Has the ``id`` and the ``uuid`` of the objects.
    table: sa.Table
    #: Name of a sort key to what is compared. None of them may be null.
    columns: Mapping[str, sa.ColumnElement[Any]]


def changed_at(table: sa.Table) -> sa.ColumnElement[Any]:
    """Return what ``updated_at`` sorts by: what was never changed, by its creation."""
    return sa.func.coalesce(table.c.updated_at, table.c.created_at, type_=table.c.created_at.type)


def equal(wanted: Mapping[sa.Column[Any], Any]) -> list[sa.ColumnElement[bool]]:
    """Return the conditions that columns have these values; None says nothing."""
    return [column == value for column, value in wanted.items() if value is not None]


def refers(reference: sa.Column[int], table: sa.Table, **values: Any) -> sa.ColumnElement[bool]:
    """Return the condition that a reference is to the one row with these values."""
    wanted = (table.c[name] == value for name, value in values.items())
    return reference == sa.select(table.c.id).where(*wanted).scalar_subquery()


def paged(
    connection: sa.Connection,
    query: sa.Select[Any],
    filters: list[sa.ColumnElement[bool]],
    page: Page,
    sorting: Sorting,
) -> sa.Select[Any]:
    """Return the query of one page. Costs a statement if there is a marker.

    :param query: selects what the caller may see, without order, from the table of the
        objects and what is joined to it.
    :param filters: what the caller asks for, of that table: see :func:`refers`. The marker
        need not have it any more.
    :raises MarkerNotFound: there is no such object for the caller.
    """
    table = sorting.table
    order = [(sorting.columns[key.name], key.descending) for key in page.sort]
    order.append((table.c.id, False))
    if page.marker is not None:
        begin = query.with_only_columns(*(column for column, _ in order))
        values = connection.execute(begin.where(table.c.uuid == page.marker)).first()
        if values is None:
            raise MarkerNotFound(f"There is no object with the marker {page.marker}.")
        filters = [*filters, _after(order, list(values))]
    query = query.where(*filters).order_by(
        *(column.desc() if descending else column.asc() for column, descending in order)
    )
    for dialect in ("mysql", "mariadb"):
        # Else MariaDB begins with the smallest table of a join, and sorts all of the large
        # one for the first page of it.
        query = query.prefix_with("STRAIGHT_JOIN", dialect=dialect)
    return query if page.limit is None else query.limit(page.limit)


def _after(
    order: list[tuple[sa.ColumnElement[Any], bool]], values: list[Any]
) -> sa.ColumnElement[bool]:
    """Return the condition of coming after a row with these values."""
    alternatives: list[sa.ColumnElement[bool]] = []
    equal: list[sa.ColumnElement[bool]] = []
    for (column, descending), value in zip(order, values, strict=True):
        further = column < value if descending else column > value
        alternatives.append(sa.and_(*equal, further))
        equal.append(column == value)
    return sa.or_(*alternatives)
