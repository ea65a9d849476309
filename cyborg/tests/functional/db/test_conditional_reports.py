"""Writing a report on the condition that the record is still what it was compared with."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import sqlalchemy as sa

from cyborg.conductor import creating
from cyborg.conductor.environment import Environment
from cyborg.db import inventory, inventory_changes
from cyborg.db.attach_handles import lock_providers, take
from cyborg.db.database import Contention
from cyborg.db.request_changes import lock_requests
from cyborg.db.tables import attach_handles, deployables, devices, hosts
from cyborg.domain.changes import Difference, HandleAbsence, HandleChange, Move
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.hardware import Sharing
from cyborg.domain.inventory import HandleReport
from cyborg.domain.model import HandleCondition, ProgrammingState
from cyborg.domain.recorded import Absence
from cyborg.tests.functional.conductor.harness import rows
from cyborg.tests.helpers import counted_statements, deployable, device, profile, report

READY, UNCLEAN, VANISHED = (
    HandleCondition.READY,
    HandleCondition.UNCLEAN,
    HandleCondition.VANISHED,
)
HANDLE = HandleReport("TEST_PCI", {}, "test/0000:0c:00.1")


@dataclasses.dataclass
class Recorded:
    """A host of one card, which has a handle that is free and one that is taken."""

    env: Environment
    host: int
    device: int
    part: int
    free: int
    taken: int

    def apply(self, **changes: Any) -> None:
        """Write a difference that was computed from the record."""

        def work(connection: sa.Connection) -> None:
            inventory_changes.apply(
                connection,
                self.host,
                Difference(**changes),
                sharing=Sharing(),
                new_uuid=new_uuid,
                now=self.env.clock(),
            )

        with self.env.database.engine.begin() as connection:
            work(connection)

    def refused(self, **changes: Any) -> None:
        """See that a difference is refused, with everything as it was."""
        tables = (devices, deployables, attach_handles)
        before = [rows(self.env, table) for table in tables]
        with pytest.raises(Contention):
            self.apply(**changes)
        assert [rows(self.env, table) for table in tables] == before


@pytest.fixture
def recorded(env: Environment) -> Recorded:
    """What every difference here is about."""
    report(env, device("card", deployable("part", 2, programmable=True)))
    profile(env)
    creating.create(env, "one", None)

    def work(connection: sa.Connection) -> int:
        [arq] = lock_requests(connection)
        [target] = lock_providers(connection, [provider_uuid("part")]).values()
        taken = take(connection, {arq.id: target}, env.clock(), wait=True)
        assert taken is not None
        return taken[0].id

    taken = env.database.run(work)
    [free] = [row.id for row in rows(env, attach_handles) if row.id != taken]
    return Recorded(
        env,
        rows(env, hosts)[0].id,
        rows(env, devices)[0].id,
        rows(env, deployables)[0].id,
        free,
        taken,
    )


def change(
    row: int, part: int, before: HandleCondition, after: HandleCondition, *, while_free: bool
) -> dict[str, Any]:
    return {
        "changed_handles": [HandleChange(row, part, HANDLE, before, after, while_free=while_free)]
    }


def absence(
    row: int, *, owned: bool, before: HandleCondition, after: HandleCondition
) -> dict[str, Any]:
    return {
        "absent_handles": [HandleAbsence(row, Absence(1, None), owned, before, after, "not there")]
    }


def test_a_handle_that_was_taken_meanwhile_is_not_moved(recorded: Recorded) -> None:
    recorded.refused(**change(recorded.taken, recorded.part, READY, UNCLEAN, while_free=True))


def test_a_handle_that_is_in_another_condition_is_not_changed(recorded: Recorded) -> None:
    recorded.refused(**change(recorded.free, recorded.part, VANISHED, READY, while_free=False))


def test_a_handle_that_is_as_it_was_is_changed(recorded: Recorded) -> None:
    recorded.apply(**change(recorded.taken, recorded.part, READY, READY, while_free=False))
    recorded.apply(**change(recorded.free, recorded.part, READY, UNCLEAN, while_free=True))
    conditions = {row.id: row.condition for row in rows(recorded.env, attach_handles)}
    assert conditions == {recorded.taken: READY, recorded.free: UNCLEAN}


@pytest.mark.parametrize("owned", [False, True])
def test_an_owner_has_come_or_gone_meanwhile(recorded: Recorded, owned: bool) -> None:
    row = recorded.free if owned else recorded.taken
    recorded.refused(**absence(row, owned=owned, before=READY, after=VANISHED))


def test_a_handle_that_became_dirty_meanwhile_is_not_absent_as_if_it_were_clean(
    recorded: Recorded,
) -> None:
    recorded.refused(**absence(recorded.free, owned=False, before=UNCLEAN, after=UNCLEAN))


@pytest.mark.parametrize("what", ["removed_handles", "left_handles"])
def test_a_handle_that_was_taken_meanwhile_is_not_removed(recorded: Recorded, what: str) -> None:
    recorded.refused(**{what: [recorded.taken]})
    recorded.apply(**{what: [recorded.free]})
    assert [row.id for row in rows(recorded.env, attach_handles)] == [recorded.taken]


def test_a_handle_that_became_dirty_meanwhile_is_not_removed(recorded: Recorded) -> None:
    recorded.apply(**change(recorded.free, recorded.part, READY, UNCLEAN, while_free=True))
    recorded.refused(removed_handles=[recorded.free])
    # It is of a card that has gone and takes its dirt along.
    recorded.apply(left_handles=[recorded.free])


def test_a_deployable_of_which_a_handle_was_taken_meanwhile_is_not_removed(
    recorded: Recorded,
) -> None:
    recorded.refused(removed_deployables=[recorded.part])
    recorded.refused(removed_devices=[recorded.device])


@pytest.mark.parametrize("forget", [False, True])
def test_a_deployable_that_is_being_programmed_is_not_moved(
    recorded: Recorded, forget: bool
) -> None:
    """It would be the other card that is programmed, or bound while that is under way."""
    begun = deployables.update().values(programming_state=ProgrammingState.PROGRAMMING)
    with recorded.env.database.engine.begin() as connection:
        connection.execute(begun)
    recorded.refused(
        moved_deployables=[Move(recorded.part, recorded.device, forget_content=forget)]
    )


def test_reading_what_is_recorded_of_a_host_costs_four_statements(recorded: Recorded) -> None:
    database = recorded.env.database
    with database.reader() as connection, counted_statements(database.engine) as statements:
        [found] = inventory.recorded_devices(connection, recorded.host)
    assert len(statements) == 4
    [part] = found.deployables
    assert [handle.is_owned for handle in part.handles] == [
        handle.id == recorded.taken for handle in part.handles
    ]
