"""Attributes of deployables: reading, and what operators change."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception

from cyborg.db.paging import Sorting, changed_at, equal, paged, refers
from cyborg.db.tables import attributes, deployables
from cyborg.domain.errors import (
    AttributeExists,
    AttributeNotFound,
    AttributeReported,
    DeployableNotFound,
)
from cyborg.domain.model import Attribute
from cyborg.domain.paging import EVERYTHING, Page
from cyborg.domain.providers import TRAIT_KEY

_ATTRIBUTE = sa.select(attributes, deployables.c.uuid.label("deployable_uuid")).join_from(
    attributes, deployables
)

ATTRIBUTE_SORT = Sorting(
    attributes,
    {
        "uuid": attributes.c.uuid,
        "key": attributes.c.key,
        "value": attributes.c.value,
        "created_at": attributes.c.created_at,
        "updated_at": changed_at(attributes),
    },
)


def list_attributes(
    connection: sa.Connection,
    *,
    uuid: str | None = None,
    deployable_id: int | None = None,
    deployable_uuid: str | None = None,
    key: str | None = None,
    page: Page = EVERYTHING,
) -> list[Attribute]:
    """Return the attributes that have every given value."""
    wanted = {
        attributes.c.uuid: uuid,
        attributes.c.deployable_id: deployable_id,
        attributes.c.key: key,
    }
    filters = equal(wanted)
    if deployable_uuid is not None:
        filters.append(refers(attributes.c.deployable_id, deployables, uuid=deployable_uuid))
    query = paged(connection, _ATTRIBUTE, filters, page, ATTRIBUTE_SORT)
    return [_attribute(row) for row in connection.execute(query)]


def trait_values(
    connection: sa.Connection, deployable_ids: Collection[int]
) -> dict[int, frozenset[str]]:
    """Return the values of all attributes that name a trait, of each of these deployables."""
    query = sa.select(attributes.c.deployable_id, attributes.c.value).where(
        attributes.c.deployable_id.in_(deployable_ids), attributes.c.key.startswith(TRAIT_KEY)
    )
    found: dict[int, set[str]] = {id_: set() for id_ in deployable_ids}
    for row in connection.execute(query):
        found[row.deployable_id].add(row.value)
    return {id_: frozenset(values) for id_, values in found.items()}


def insert_attribute(
    connection: sa.Connection,
    *,
    uuid: str,
    deployable: int | str,
    key: str,
    value: str,
    now: datetime.datetime,
) -> Attribute:
    """Store an operator's attribute of a deployable, given by its id or uuid.

    :raises DeployableNotFound: there is no such deployable.
    :raises AttributeExists: it has an attribute of this key.
    """
    column = deployables.c.id if isinstance(deployable, int) else deployables.c.uuid
    found = connection.execute(
        sa.select(deployables.c.id, deployables.c.uuid).where(column == deployable)
    ).first()
    if found is None:
        raise DeployableNotFound(f"Deployable {deployable} could not be found.")
    row = {
        "uuid": uuid,
        "deployable_id": found.id,
        "key": key,
        "value": value,
        "reported": False,
        "created_at": now,
    }
    try:
        inserted = connection.execute(attributes.insert().values(row)).inserted_primary_key
    except db_exception.DBDuplicateEntry as error:
        raise AttributeExists(
            f"Deployable {deployable} has an attribute '{key}' already."
        ) from error
    assert inserted is not None
    return Attribute(
        id=inserted[0],
        uuid=uuid,
        deployable_id=found.id,
        deployable_uuid=found.uuid,
        key=key,
        value=value,
        created_at=now,
        updated_at=None,
    )


def delete_attribute(connection: sa.Connection, uuid: str) -> Attribute:
    """Delete an operator's attribute, and return it as it was.

    :raises AttributeNotFound: there is none of this uuid.
    :raises AttributeReported: a driver reports it.
    """
    found = list_attributes(connection, uuid=uuid)
    result = connection.execute(
        attributes.delete().where(attributes.c.uuid == uuid, attributes.c.reported.is_(sa.false()))
    )
    if not found:
        raise AttributeNotFound(f"Attribute {uuid} could not be found.")
    if result.rowcount != 1:
        raise AttributeReported(f"Attribute {uuid} is reported by a driver, and stays.")
    return found[0]


def _attribute(row: sa.Row[Any]) -> Attribute:
    return Attribute(
        id=row.id,
        uuid=row.uuid,
        deployable_id=row.deployable_id,
        deployable_uuid=row.deployable_uuid,
        key=row.key,
        value=row.value,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
