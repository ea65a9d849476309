"""What a request costs in SQL: counted, and the same whatever the tables hold."""

from __future__ import annotations

import pytest

from cyborg.conductor import binding, creating, inventory, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.accelerator_requests import insert_requests, list_requests
from cyborg.db.device_profiles import list_profiles
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.inventory import Snapshot
from cyborg.tests.helpers import HOST, counted_statements, deployable, device, profile, report

NAME = f"{HOST}_FakeDevice"
PROJECT = "11111111111111111111111111111111"

#: Of the API and the conductor together, the event included.
BUDGET = 16


def fill(env: Environment, rows: int) -> None:
    """Put so many ARQs of other people into the table."""

    def work(connection: object) -> None:
        [found] = list_profiles(connection, names=["one"])  # type: ignore[arg-type]
        for start in range(0, rows, 500):
            batch = [
                {
                    "uuid": new_uuid(),
                    "state": "Initial",
                    "device_profile_id": found.id,
                    "device_profile_group_id": 0,
                    "group_json": "{}",
                    "project_id": "other",
                    "instance_uuid": new_uuid(),
                    "created_at": env.clock(),
                }
                for _ in range(min(500, rows - start))
            ]
            insert_requests(connection, batch)  # type: ignore[arg-type]

    env.database.run(work)


def life(env: Environment, profile_name: str) -> dict[str, int]:
    """Live through create, bind, read and delete as API and conductor do; count each."""
    counts = {}
    engine = env.database.engine
    instance = new_uuid()
    with counted_statements(engine) as statements:
        uuids = [arq.uuid for arq in creating.create(env, profile_name, PROJECT)]
    counts["create"] = len(statements)
    values = {
        "hostname": HOST,
        "device_rp_uuid": provider_uuid(NAME),
        "instance_uuid": instance,
    }
    with counted_statements(engine) as statements:
        with env.database.reader() as connection:  # The API authorises on what it loads.
            assert len(list_requests(connection, uuids=uuids)) == len(uuids)
        binding.bind(env, dict.fromkeys(uuids, values), PROJECT, True)
    counts["bind"] = len(statements)
    with counted_statements(engine) as statements, env.database.reader() as connection:
        read = list_requests(connection, instance_uuid=instance)
        assert all(arq.attach_handle for arq in read)
        assert len(read) == len(uuids)
    counts["read"] = len(statements)
    with counted_statements(engine) as statements:
        with env.database.reader() as connection:
            list_requests(connection, instance_uuid=instance)
        releasing.delete_of_instance(env, instance)
    counts["delete"] = len(statements)
    return counts


@pytest.fixture
def ready(env: Environment) -> Environment:
    """Sixteen handles, a profile of one FPGA and one of eight."""
    report(env, device("card", deployable(NAME, 16)))
    profile(env)
    profile(env, "eight", {"resources:FPGA": "8"})
    return env


def test_a_life_stays_within_its_budget(ready: Environment) -> None:
    counts = life(ready, "one")
    assert sum(counts.values()) <= BUDGET, counts


def test_the_cost_does_not_depend_on_the_table(ready: Environment) -> None:
    fill(ready, 10)
    few = life(ready, "one")
    fill(ready, 1990)
    assert life(ready, "one") == few


def test_eight_arqs_cost_hardly_more_than_one(ready: Environment) -> None:
    one, eight = life(ready, "one"), life(ready, "eight")
    for step, statements in one.items():
        assert eight[step] <= 1.3 * statements, (step, one, eight)


def test_a_heartbeat_is_one_statement(ready: Environment) -> None:
    snapshot = Snapshot(devices=(device("card", deployable(NAME, 16)),))
    with counted_statements(ready.database.engine) as statements:
        assert inventory.heartbeat(ready, HOST, snapshot.digest())
    assert len(statements) == 1
    assert not inventory.heartbeat(ready, HOST, "0" * 64)
    assert not inventory.heartbeat(ready, "unknown", snapshot.digest())
