"""A database of version 0005 becomes one in which one piece of hardware is one row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from oslo_db import exception as db_exception

from cyborg.db import schema
from cyborg.db.database import Database
from cyborg.db.tables import attach_handles
from cyborg.domain.hardware import (
    canonical,
    canonical_info,
    default_shares,
    key_of,
    mediated_alternatives,
    parent_of,
)
from cyborg.tests.functional.conftest import KINDS
from cyborg.tests.functional.db.handles_of_0005 import (
    HANDLES,
    OWN,
    UNREADABLE,
    Rows,
    everything,
    load,
    uuid_of,
)
from cyborg.tests.helpers import make_conf


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A database that was upgraded, and its rows before and after."""

    database: Database
    before: Rows
    after: Rows

    def handles(self) -> dict[str, Mapping[str, Any]]:
        """Return the rows of handles that are left, by name."""
        return {HANDLES[row["id"] - 1].name: row for row in self.after["attach_handles"]}


@pytest.fixture(scope="module", params=KINDS)
def upgraded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upgraded]:
    """A database with these handles that was upgraded; tests leave it as it is."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('upgraded')}/cyborg.sqlite"
    else:
        url = request.getfixturevalue(request.param).create_database()
    database = Database(make_conf(url))
    load(database.engine)
    before = everything(database.engine)
    schema.upgrade(database.engine)
    yield Upgraded(database, before, everything(database.engine))
    database.dispose()


#: Those that stay, with the keys that they get.
STAYING = [
    (old, f"{old.key}{uuid_of(number)}" if old.key.endswith((OWN, UNREADABLE)) else old.key)
    for number, old in enumerate(HANDLES, start=1)
    if old.key is not None
]


def test_each_piece_of_hardware_is_one_row(upgraded: Upgraded) -> None:
    found = {name: row["hardware"] for name, row in upgraded.handles().items()}
    assert found == {old.name: key for old, key in STAYING}
    places = {row["id"]: row["host_id"] for row in upgraded.after["devices"]}
    for row in upgraded.after["attach_handles"]:
        assert row["host_id"] == places[row["deployable_id"]]


def test_what_each_occupies(upgraded: Upgraded) -> None:
    """Rows of one piece of hardware occupy the same: it is not free while one of them is held."""
    for old, key in STAYING:
        counter = old.counter or key.partition(OWN)[0]
        share = {"amount": 1, "capacity": old.parts, "counter": counter}
        assert upgraded.handles()[old.name]["shares"] == canonical([share]), old.name


def test_keys_and_shares_are_those_of_this_release(upgraded: Upgraded) -> None:
    """Otherwise the next report would find everything gone, and something else there."""
    readable = [(old, upgraded.handles()[old.name]) for old, key in STAYING if key == old.key]
    infos = {
        old.name: canonical_info(row["attach_type"], json.loads(row["attach_info"]))
        for old, row in readable
    }
    for old, row in readable:
        info = infos[old.name]
        assert row["hardware"] == key_of(old.type, info)
        alternatives = mediated_alternatives(
            (other.type, infos[other.name])
            for other, its_row in readable
            if its_row["host_id"] == row["host_id"]
        )
        number = alternatives[parent_of(info)] if old.type == "MDEV" else 1
        shares = default_shares(old.type, info, row["hardware"], number)
        assert row["shares"] == canonical([asdict(share) for share in shares])


def test_nothing_else_changes(upgraded: Upgraded) -> None:
    """Owners, jobs, conditions, times and generations are as they were."""
    left = {row["id"] for row in upgraded.after["attach_handles"]}
    for table, before in upgraded.before.items():
        expected = [dict(row) for row in before if table != "attach_handles" or row["id"] in left]
        if table == "hosts":
            # The next report is applied, even if it is the same.
            expected = [{**row, "report_digest": None} for row in expected]
        if table != "alembic_version":
            names = before[0].keys() if before else ()
            found = [{name: row[name] for name in names} for row in upgraded.after[table]]
            assert found == expected, table


def test_what_is_new_is_as_if_nothing_had_been_heard_of_it(upgraded: Upgraded) -> None:
    never: dict[str, Any] = {"absences": 0, "absent_at": None}
    fresh: dict[str, dict[str, Any]] = {
        "hosts": {"boot_id": None, "report_interval": None},
        "devices": {
            **never,
            "condition": "unmonitored",
            "condition_reason": None,
            "memory": None,
        },
        "deployables": {"sharing": None, **never},
        "attach_handles": never,
    }
    for table, values in fresh.items():
        for row in upgraded.after[table]:
            assert {name: row[name] for name in values} == values, table
    assert upgraded.after["counters"] == upgraded.after["consumptions"] == []


def test_no_second_row_can_be_the_same_piece_of_hardware(upgraded: Upgraded) -> None:
    with upgraded.database.engine.connect() as connection:
        query = sa.select(attach_handles).where(attach_handles.c.hardware == "0000:3a:00.2")
        handle = connection.execute(query).mappings().one()
        double = {name: handle[name] for name in handle if name not in ("id", "uuid")}
        for different in ({"hardware": "0000:3a:00.5"}, {"host_id": 2}):
            row = {**double, **different, "uuid": next(iter(different))}
            connection.execute(attach_handles.insert().values(row))
        with pytest.raises(db_exception.DBDuplicateEntry):
            connection.execute(attach_handles.insert().values(uuid="double", **double))
        connection.rollback()
