"""Migrations on every kind of database, against the tables that the code uses."""

from __future__ import annotations

import datetime

import pytest
import sqlalchemy as sa
from alembic.util import CommandError

from cyborg.db import schema
from cyborg.db.attach_handles import lock_providers
from cyborg.db.database import Database
from cyborg.db.devices import list_deployables, list_devices
from cyborg.db.outbox import claim_due
from cyborg.db.tables import accelerator_requests, metadata, outbox
from cyborg.db.types import UtcDateTime
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.model import ProgrammingState
from cyborg.tests.functional.db.comparison import require_our_tables


def test_the_migrations_make_the_tables_that_the_code_uses(empty: Database) -> None:
    require_our_tables(empty.engine)


def test_a_database_without_our_schema_is_unavailable(empty: Database) -> None:
    with pytest.raises(ServiceUnavailable), empty.reader() as connection:
        list_devices(connection)


def test_upgrade_version_and_stamp(empty: Database) -> None:
    with empty.engine.connect() as connection:
        assert schema.version(connection) is None
    schema.upgrade(empty.engine)
    schema.upgrade(empty.engine)
    with empty.engine.connect() as connection:
        assert schema.version(connection) == schema.head()
    with pytest.raises(CommandError):
        schema.upgrade(empty.engine, "no-such-version")
    with pytest.raises(CommandError):
        schema.stamp(empty.engine, "no-such-version")
    schema.stamp(empty.engine, "base")
    with empty.engine.connect() as connection:
        assert schema.version(connection) is None
    schema.stamp(empty.engine, schema.head())
    with empty.engine.connect() as connection:
        assert schema.version(connection) == schema.head()


def test_every_time_is_stored_with_microseconds(database: Database) -> None:
    columns = [
        column
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, sa.DateTime | UtcDateTime)
    ]
    assert columns
    assert all(isinstance(column.type, UtcDateTime) for column in columns)
    inspector = sa.inspect(database.engine)
    if database.engine.dialect.name == "mysql":
        for column in columns:
            found = {c["name"]: c["type"] for c in inspector.get_columns(column.table.name)}
            assert getattr(found[column.name], "fsp", None) == 6, str(column)


def test_what_an_older_release_wrote_stays(empty: Database) -> None:
    """Its events were never to be sent, and are not now."""
    schema.upgrade(empty.engine, "0001")
    old = sa.MetaData()
    old.reflect(empty.engine)
    now = datetime.datetime(2026, 11, 24, 6, 0, 0, 123456)
    with empty.engine.begin() as connection:
        profile = {"id": 1, "uuid": "p" * 36, "name": "one", "groups_json": "[]", "created_at": now}
        connection.execute(old.tables["device_profiles"].insert().values(profile))
        arqs = [
            {
                "id": number,
                "uuid": str(number) * 36,
                "state": "Bound",
                "device_profile_id": 1,
                "device_profile_group_id": 0,
                "group_json": "{}",
                "created_at": now,
            }
            for number in (1, 2)
        ]
        connection.execute(old.tables["accelerator_requests"].insert(), arqs)
        events = [
            {
                "accelerator_request_id": arq["id"],
                "accelerator_request_uuid": arq["uuid"],
                "instance_uuid": "i" * 36,
                "status": "completed",
                "state": "not_sent",
                "leased_until": now,
                "created_at": now,
            }
            for arq in arqs
        ]
        connection.execute(old.tables["outbox"].insert(), events)
    schema.upgrade(empty.engine)
    with empty.engine.begin() as connection:
        found = connection.execute(sa.select(outbox).order_by(outbox.c.id)).all()
        assert [row.batch for row in found] == [arq["uuid"] for arq in arqs]
        assert claim_due(connection, failed=False, lease=1, limit=10) == []
        assert len(connection.execute(sa.select(accelerator_requests)).all()) == 2


def test_deployables_of_an_older_release_are_as_they_were(empty: Database) -> None:
    schema.upgrade(empty.engine, "0002")
    old = sa.MetaData()
    old.reflect(empty.engine)
    now = datetime.datetime(2026, 11, 24, 6, 0, 0, 123456)
    rows = {
        "hosts": {"id": 1, "name": "host", "last_seen_at": now},
        "devices": {
            "id": 1,
            "uuid": "d" * 36,
            "host_id": 1,
            "identity": "card",
            "driver": "fake_driver",
            "type": "FPGA",
            "vendor": "0xABCD",
            "model": "model",
            "std_board_info": "{}",
            "vendor_board_info": "{}",
            "status": "enabled",
            "presence": "present",
        },
        "deployables": {
            "uuid": "e" * 36,
            "device_id": 1,
            "name": "part",
            "resource_class": "FPGA",
            "num_accelerators": 1,
            "rp_uuid": "e" * 36,
            "driver_name": "fake",
            "needs_prepare": False,
            "needs_release": False,
        },
    }
    with empty.engine.begin() as connection:
        for table, row in rows.items():
            connection.execute(old.tables[table].insert().values(created_at=now, **row))
    schema.upgrade(empty.engine)
    with empty.engine.connect() as connection:
        [found] = list_deployables(connection)
        [offered] = lock_providers(connection, ["e" * 36]).values()
    assert (found.programmable, found.content_unknown) == (False, False)
    assert found.programming_state is ProgrammingState.NONE
    assert offered.settled
