"""Device profiles."""

from __future__ import annotations

import datetime
import enum
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception

from cyborg.db.paging import Sorting, changed_at, paged
from cyborg.db.statements import next_generation
from cyborg.db.tables import accelerator_requests, device_profiles
from cyborg.db.types import database_now
from cyborg.domain.errors import (
    DeviceProfileExists,
    DeviceProfileInUse,
    DeviceProfileNotFound,
)
from cyborg.domain.model import DeviceProfile
from cyborg.domain.paging import EVERYTHING, Page

_profiles = device_profiles

PROFILE_SORT = Sorting(
    _profiles,
    {
        "uuid": _profiles.c.uuid,
        "name": _profiles.c.name,
        "created_at": _profiles.c.created_at,
        "updated_at": changed_at(_profiles),
    },
)


class Lock(enum.Enum):
    """How rows are held."""

    #: They do not change meanwhile.
    SHARED = "shared"
    #: And nobody else holds them.
    EXCLUSIVE = "exclusive"


def list_profiles(
    connection: sa.Connection,
    *,
    uuids: Collection[str] | None = None,
    names: Collection[str] | None = None,
    resource_class: str | None = None,
    trait: str | None = None,
    page: Page = EVERYTHING,
    lock: Lock | None = None,
) -> list[DeviceProfile]:
    """Return the profiles that have every given value.

    :param resource_class: a group asks for some of it.
    :param trait: a group requires or forbids it.
    :param lock: held until the end of the transaction.
    """
    filters: list[sa.ColumnElement[bool]] = []
    if uuids is not None:
        filters.append(_profiles.c.uuid.in_(uuids))
    if names is not None:
        filters.append(_profiles.c.name.in_(names))
    for key in (resource_class and f"resources:{resource_class}", trait and f"trait:{trait}"):
        if key:
            # As json.dumps writes it; in a value the quotation mark would be escaped.
            filters.append(_profiles.c.groups_json.contains(f'"{key}": ', autoescape=True))
    query = paged(connection, sa.select(_profiles), filters, page, PROFILE_SORT)
    if lock is not None:
        query = query.with_for_update(read=lock is Lock.SHARED)
    return [_profile(row) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class HeldProfile:
    """A profile that does not change until the transaction ends."""

    profile: DeviceProfile
    #: The database's present when the statement began that read it.
    now: datetime.datetime


def hold_profile(connection: sa.Connection, name: str) -> HeldProfile | None:
    """Return a profile that others may hold as well; None if there is none of the name."""
    query = (
        sa.select(_profiles, database_now().label("now"))
        .where(_profiles.c.name == name)
        .with_for_update(read=True)
    )
    row = connection.execute(query).first()
    return None if row is None else HeldProfile(_profile(row), row.now)


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
        raise _exists(error, uuid, name) from error
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


def update_profile(
    connection: sa.Connection, id_: int, values: Mapping[str, Any], now: datetime.datetime
) -> None:
    """Change a profile that is locked: its ``name``, ``description`` or ``groups``.

    :raises DeviceProfileExists: the name is taken.
    """
    row = dict(values)
    if "groups" in row:
        row["groups_json"] = json.dumps(list(row.pop("groups")))
    try:
        connection.execute(
            _profiles.update()
            .where(_profiles.c.id == id_)
            .values(updated_at=now, **next_generation(_profiles), **row)
        )
    except db_exception.DBDuplicateEntry as error:
        raise _exists(error, "", str(row.get("name"))) from error


def is_used(connection: sa.Connection, id_: int) -> bool:
    """Return whether an ARQ was made from a profile, and is still there."""
    query = sa.select(sa.exists().where(accelerator_requests.c.device_profile_id == id_))
    return bool(connection.scalar(query))


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


def _exists(error: db_exception.DBDuplicateEntry, uuid: str, name: str) -> DeviceProfileExists:
    # The constraint's or the column's name, which oslo.db does not find on PostgreSQL.
    of_uuid = re.search(r"profiles[._]uuid", str(error.inner_exception).split("\n", 1)[0])
    what = f"uuid {uuid}" if of_uuid else f"name {name}"
    return DeviceProfileExists(f"A device profile with {what} already exists.")


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
