"""Changing device profiles, on each database."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cyborg.conductor import catalogue, creating, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.accelerator_requests import list_requests
from cyborg.db.database import Database
from cyborg.db.device_profiles import Lock, insert_profile, list_profiles
from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import (
    CyborgError,
    DeviceProfileExists,
    DeviceProfileInUse,
    DeviceProfileNotFound,
    InvalidInput,
)
from cyborg.domain.model import DeviceProfile
from cyborg.tests.functional.conductor.test_races import at_once
from cyborg.tests.helpers import counted_statements, deployable, device, profile, report

PROJECT = "11111111111111111111111111111111"
GPU = [{"resources:GPU": "1"}]


@pytest.fixture
def ready(env: Environment) -> Environment:
    """A host with a card, and a profile."""
    report(env, device("card", deployable("part")))
    profile(env)
    return env


def the(env: Environment, name: str = "one") -> DeviceProfile:
    with env.database.reader() as connection:
        [found] = list_profiles(connection, names=[name])
    return found


def test_an_unused_profile_can_be_changed(ready: Environment) -> None:
    before = the(ready)
    changes = {"name": "two", "description": "d", "groups": GPU}
    with counted_statements(ready.database.engine) as statements:
        changed = catalogue.update_device_profile(ready, before.uuid, changes)
    assert len(statements) == 3
    assert changed == the(ready, "two")
    assert (changed.uuid, changed.description, changed.groups) == (before.uuid, "d", tuple(GPU))
    assert changed.updated_at is not None
    [arq] = creating.create(ready, "two", PROJECT)
    assert arq.group == GPU[0]


def test_what_is_the_same_changes_nothing(ready: Environment) -> None:
    before = the(ready)
    creating.create(ready, "one", PROJECT)
    changes = {"name": "one", "groups": [{"resources:FPGA": 1}], "description": None}
    assert catalogue.update_device_profile(ready, before.uuid, changes) == before
    assert the(ready) == before


@pytest.mark.parametrize("changes", [{"name": "two"}, {"groups": GPU}])
def test_a_used_one_keeps_its_name_and_groups(ready: Environment, changes: dict[str, Any]) -> None:
    [arq] = creating.create(ready, "one", PROJECT)
    before = the(ready)
    with pytest.raises(DeviceProfileInUse):
        catalogue.update_device_profile(ready, before.uuid, {**changes, "description": "d"})
    assert the(ready) == before
    described = catalogue.update_device_profile(ready, before.uuid, {"description": "d"})
    assert the(ready) == described
    assert described.description == "d"
    releasing.delete(ready, [arq.uuid])
    catalogue.update_device_profile(ready, before.uuid, changes)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": "taken"}, DeviceProfileExists),
        ({"name": ""}, InvalidInput),
        ({"name": None}, InvalidInput),
        ({"name": "a b"}, InvalidInput),
        ({"groups": []}, InvalidInput),
        ({"groups": None}, InvalidInput),
        ({"groups": [{"resources:FPGA": 0}]}, InvalidInput),
        ({"groups": [{"resources:FPGA": 1}, {"trait:CUSTOM_A": "required"}]}, InvalidInput),
        ({"description": 5}, InvalidInput),
        ({"description": "ä" * 16_001}, InvalidInput),
    ],
)
def test_refused(ready: Environment, changes: dict[str, Any], error: type[CyborgError]) -> None:
    profile(ready, "taken")
    before = the(ready)
    with pytest.raises(error):
        catalogue.update_device_profile(ready, before.uuid, {"description": "d", **changes})
    assert the(ready) == before


def stored_before(env: Environment, *groups: dict[str, str]) -> DeviceProfile:
    """Store a profile as releases did that did not look at whether its groups ask for anything."""
    with env.database.engine.begin() as connection:
        return insert_profile(
            connection,
            uuid=new_uuid(),
            name="before",
            description=None,
            groups=groups,
            now=env.clock(),
        )


@pytest.mark.parametrize(
    ("groups", "named"),
    [
        ([{"trait:CUSTOM_GPU_NVIDIA": "required"}], 0),
        ([{"accel:bitstream_id": new_uuid()}, {"accel:x": "y"}], 0),
        ([{"resources:FPGA": "1"}, {"trait:CUSTOM_A": "required"}], 1),
    ],
)
def test_g01_no_request_is_made_of_a_group_without_resources(
    ready: Environment, groups: list[dict[str, str]], named: int
) -> None:
    stored_before(ready, *groups)
    with pytest.raises(InvalidInput, match=f"^Group {named} of .*'before' asks for no resources"):
        creating.create(ready, "before", PROJECT)
    with ready.database.reader() as connection:
        assert list_requests(connection) == []


def test_g01_a_profile_with_such_a_group_can_be_described_and_mended(ready: Environment) -> None:
    uuid = stored_before(ready, {"resources:FPGA": "1"}, {"trait:CUSTOM_A": "required"}).uuid
    catalogue.update_device_profile(ready, uuid, {"description": "d"})
    groups = [{"resources:FPGA": "1"}, {"resources:FPGA": "1", "trait:CUSTOM_A": "required"}]
    catalogue.update_device_profile(ready, uuid, {"groups": groups})
    assert len(creating.create(ready, "before", PROJECT)) == 2


def test_unknown(ready: Environment) -> None:
    with pytest.raises(DeviceProfileNotFound):
        catalogue.update_device_profile(ready, new_uuid(), {"description": "d"})


def test_the_longest_description_can_be_stored(ready: Environment) -> None:
    uuid = the(ready).uuid
    text = "\U0001f600" * 16_000
    catalogue.update_device_profile(ready, uuid, {"description": text})
    assert the(ready).description == text


def test_requests_have_the_groups_that_they_were_made_from(
    ready: Environment, other_database: Database
) -> None:
    """Whoever comes first: the ARQ is of the old groups and they stay, or of the new ones."""
    uuid = the(ready).uuid
    for _ in range(8):
        ends = at_once(
            [
                lambda: creating.create(ready, "one", PROJECT),
                lambda: catalogue.update_device_profile(ready, uuid, {"groups": GPU}),
            ]
        )
        assert ends[0] == "ok"
        now = the(ready)
        with other_database.reader() as connection:
            made = list_requests(connection)
        assert [dict(arq.group) for arq in made] == [dict(now.groups[0])], ends
        assert ends[1] == ("ok" if now.groups == tuple(GPU) else DeviceProfileInUse.code)
        releasing.delete(ready, [arq.uuid for arq in made])
        catalogue.update_device_profile(ready, uuid, {"groups": [{"resources:FPGA": "1"}]})


@pytest.mark.parametrize("database_url", ["mariadb", "postgresql"], indirect=True)
def test_a_request_waits_for_a_change_that_is_under_way(ready: Environment) -> None:
    made: list[Any] = []
    thread = threading.Thread(
        target=lambda: made.extend(creating.create(ready, "one", PROJECT)), daemon=True
    )
    with ready.database.engine.begin() as connection:
        list_profiles(connection, names=["one"], lock=Lock.EXCLUSIVE)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        assert made == []
    thread.join(30)
    assert len(made) == 1
