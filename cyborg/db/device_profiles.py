"""Device profiles."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception

from cyborg.db.tables import device_profiles
from cyborg.domain.errors import (
    DeviceProfileExists,
    DeviceProfileInUse,
    DeviceProfileNotFound,
)
from cyborg.domain.model import DeviceProfile


def list_profiles(
    connection: sa.Connection,
    *,
    uuids: Collection[str] | None = None,
    names: Collection[str] | None = None,
) -> list[DeviceProfile]:
    """Return the profiles, oldest first: all, or those of these uuids or names."""
    query = sa.select(device_profiles).order_by(device_profiles.c.id)
    if uuids is not None:
        query = query.where(device_profiles.c.uuid.in_(uuids))
    if names is not None:
        query = query.where(device_profiles.c.name.in_(names))
    return [_profile(row) for row in connection.execute(query)]


def insert_profile(
    connection: sa.Connection,
    *,
    uuid: str,
    name: str,
    description: str | None,
    groups: Sequence[dict[str, str]],
    now: datetime.datetime,
) -> DeviceProfile:
    """Store a profile.

    :raises DeviceProfileExists: the name or the uuid is taken.
    """
    row = {
        "uuid": uuid,
        "name": name,
        "description": description,
        "groups_json": json.dumps(list(groups)),
        "created_at": now,
    }
    try:
        inserted = connection.execute(device_profiles.insert().values(row)).inserted_primary_key
    except db_exception.DBDuplicateEntry as error:
        # The constraint's or the column's name, which oslo.db does not find on PostgreSQL.
        of_uuid = re.search(r"profiles[._]uuid", str(error.inner_exception).split("\n", 1)[0])
        what = f"uuid {uuid}" if of_uuid else f"name {name}"
        raise DeviceProfileExists(f"A device profile with {what} already exists.") from error
    assert inserted is not None
    return DeviceProfile(
        id=inserted[0],
        uuid=uuid,
        name=name,
        description=description,
        groups=tuple(groups),
        created_at=now,
        updated_at=None,
    )


def delete_profiles(connection: sa.Connection, uuids: Collection[str]) -> None:
    """Delete the profiles, all or none.

    :raises DeviceProfileNotFound: one of them is not there.
    :raises DeviceProfileInUse: ARQs were made from one of them.
    """
    try:
        result = connection.execute(
            device_profiles.delete().where(device_profiles.c.uuid.in_(uuids))
        )
    except db_exception.DBReferenceError as error:
        raise DeviceProfileInUse(
            "A device profile cannot be deleted while accelerator requests use it."
        ) from error
    if result.rowcount != len(set(uuids)):
        raise DeviceProfileNotFound("A device profile could not be found.")


def _profile(row: sa.Row[Any]) -> DeviceProfile:
    return DeviceProfile(
        id=row.id,
        uuid=row.uuid,
        name=row.name,
        description=row.description,
        groups=tuple(json.loads(row.groups_json)),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
