"""What the database itself refuses, whatever the code does."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from oslo_db import exception as db_exception

from cyborg.conductor import creating
from cyborg.conductor.environment import Environment
from cyborg.db.device_profiles import list_profiles
from cyborg.db.tables import accelerator_requests, attach_handles
from cyborg.domain.clock import new_uuid
from cyborg.tests.helpers import deployable, device, profile, report


@pytest.fixture
def ready(env: Environment) -> Environment:
    """Two handles and two ARQs."""
    report(env, device("card", deployable("part", 2)))
    profile(env, "two", {"resources:FPGA": "2"})
    creating.create(env, "two", None)
    return env


def execute(env: Environment, statement: sa.Executable) -> Any:
    with env.database.engine.begin() as connection:
        return connection.execute(statement)


def ids(env: Environment, table: sa.Table) -> list[int]:
    with env.database.reader() as connection:
        return list(connection.scalars(sa.select(table.c.id).order_by(table.c.id)))


def own(handle: int, arq: int) -> sa.Update:
    return (
        attach_handles.update()
        .where(attach_handles.c.id == handle)
        .values(accelerator_request_id=arq)
    )


def test_an_arq_cannot_own_two_handles(ready: Environment) -> None:
    one, two = ids(ready, attach_handles)
    arq = ids(ready, accelerator_requests)[0]
    execute(ready, own(one, arq))
    with pytest.raises(db_exception.DBDuplicateEntry):
        execute(ready, own(two, arq))


def test_an_owner_cannot_go_before_its_handle_is_free(ready: Environment) -> None:
    handle, arq = ids(ready, attach_handles)[0], ids(ready, accelerator_requests)[0]
    execute(ready, own(handle, arq))
    with pytest.raises(db_exception.DBReferenceError):
        execute(ready, accelerator_requests.delete().where(accelerator_requests.c.id == arq))


def test_a_handle_cannot_be_owned_by_nobody_known(ready: Environment) -> None:
    with pytest.raises(db_exception.DBReferenceError):
        execute(ready, own(ids(ready, attach_handles)[0], 10**6))


def test_the_same_handle_cannot_be_there_twice(ready: Environment) -> None:
    with ready.database.reader() as connection:
        row = connection.execute(sa.select(attach_handles)).first()
    assert row is not None
    again = {**row._mapping, "uuid": new_uuid()}
    del again["id"]
    with pytest.raises(db_exception.DBDuplicateEntry):
        execute(ready, attach_handles.insert().values(again))


def test_names_differ_by_case(ready: Environment) -> None:
    profile(ready, "Two")
    with ready.database.reader() as connection:
        assert [p.name for p in list_profiles(connection, names=["Two"])] == ["Two"]
