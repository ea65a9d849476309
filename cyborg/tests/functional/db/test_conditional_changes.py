"""Changes of ARQs and of handles that are not any more what their reader took them for."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import sqlalchemy as sa

from cyborg.conductor import creating
from cyborg.conductor.environment import Environment
from cyborg.db.attach_handles import BindTarget, lock_providers, take
from cyborg.db.database import Contention
from cyborg.db.freeing import free_released, quarantine
from cyborg.db.request_changes import (
    begin_delete,
    lock_requests,
    lock_requests_by_id,
)
from cyborg.db.tables import accelerator_requests, attach_handles
from cyborg.domain.clock import provider_uuid
from cyborg.tests.helpers import deployable, device, profile, report


@dataclasses.dataclass
class Owned:
    """Two ARQs, and a handle of the first."""

    env: Environment
    owner: int
    other: int
    handle: int
    target: BindTarget

    def row(self, table: sa.Table, id_: int) -> sa.Row[Any]:
        with self.env.database.reader() as connection:
            return connection.execute(sa.select(table).where(table.c.id == id_)).one()


@pytest.fixture
def owned(env: Environment) -> Owned:
    """A deployable with one handle, which is taken."""
    report(env, device("card", deployable("part", 1)))
    profile(env, "two", {"resources:FPGA": "2"})
    creating.create(env, "two", None)

    def work(connection: sa.Connection) -> Owned:
        owner, other = (arq.id for arq in lock_requests(connection))
        [target] = lock_providers(connection, [provider_uuid("part")]).values()
        taken = take(connection, {owner: target}, env.clock(), wait=True)
        assert taken is not None
        return Owned(env, owner, other, taken[0].id, target)

    return env.database.run(work)


def test_an_arq_that_changed_since_it_was_read_is_not_changed(owned: Owned) -> None:
    before = owned.row(accelerator_requests, owned.owner)

    def work(connection: sa.Connection) -> None:
        [read] = lock_requests_by_id(connection, [owned.owner])
        stale = dataclasses.replace(read, generation=read.generation - 1)
        with pytest.raises(Contention):
            begin_delete(connection, [stale], owned.env.clock())

    owned.env.database.run(work)
    assert owned.row(accelerator_requests, owned.owner) == before


def test_a_handle_that_has_an_owner_is_not_taken(owned: Owned) -> None:
    def work(connection: sa.Connection) -> object:
        return take(connection, {owned.other: owned.target}, owned.env.clock(), wait=True)

    assert owned.env.database.run(work) is None
    assert owned.row(attach_handles, owned.handle).accelerator_request_id == owned.owner


def test_a_handle_is_freed_and_quarantined_for_its_owner_only(owned: Owned) -> None:
    before = owned.row(attach_handles, owned.handle)

    def work(connection: sa.Connection) -> None:
        free_released(connection, owned.handle, owned.other, owned.env.clock())
        quarantine(connection, owned.handle, owned.other, "stuck", owned.env.clock())

    owned.env.database.run(work)
    assert owned.row(attach_handles, owned.handle) == before
