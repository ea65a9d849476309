"""Pages: put together they are the whole, in any order, on each database."""

from __future__ import annotations

import datetime
import itertools
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from cyborg.db import accelerator_requests, attributes, device_profiles, devices, usage
from cyborg.db.database import Database
from cyborg.db.paging import Sorting
from cyborg.db.tables import metadata
from cyborg.domain.clock import new_uuid
from cyborg.domain.model import Usage
from cyborg.domain.paging import MarkerNotFound, Page, SortKey
from cyborg.tests.helpers import counted_statements

NOW = datetime.datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=datetime.UTC)
ROWS = 13

Find = Callable[[sa.Connection, Page], Sequence[Any]]

KINDS: dict[str, tuple[Find, Sorting]] = {
    "devices": (lambda c, page: devices.list_devices(c, page=page), devices.DEVICE_SORT),
    "deployables": (
        lambda c, page: devices.list_deployables(c, page=page),
        devices.DEPLOYABLE_SORT,
    ),
    "attributes": (
        lambda c, page: attributes.list_attributes(c, page=page),
        attributes.ATTRIBUTE_SORT,
    ),
    "attach_handles": (lambda c, page: usage.list_handles(c, 1, page), usage.HANDLE_SORT),
    "device_profiles": (
        lambda c, page: device_profiles.list_profiles(c, page=page),
        device_profiles.PROFILE_SORT,
    ),
    "accelerator_requests": (
        lambda c, page: accelerator_requests.list_requests(c, page=page),
        accelerator_requests.ARQ_SORT,
    ),
}


@pytest.fixture
def filled(database: Database) -> Database:
    """Rows whose values are often equal, and sometimes null."""
    chance = random.Random(4)
    with database.engine.begin() as connection:
        _insert(connection, "hosts", id=1, name="a", last_seen_at=NOW)
        _insert(connection, "hosts", id=2, name="B", last_seen_at=NOW)
        for number in range(1, ROWS + 1):
            _fill(connection, number, chance)
    return database


def _fill(connection: sa.Connection, number: int, chance: random.Random) -> None:
    def few(*values: Any) -> Any:
        return chance.choice(values)

    _insert(
        connection,
        "devices",
        few,
        id=number,
        host_id=few(1, 2),
        identity=f"{number}",
        driver="d",
        type=few("FPGA", "GPU"),
        vendor=few("a", "A", "b"),
        model=few("", "x"),
        std_board_info="",
        vendor_board_info="",
        status=few("enabled", "maintaining"),
        presence=few("present", "suspect"),
        condition=few("unmonitored", "healthy", "degraded"),
    )
    _insert(
        connection,
        "deployables",
        few,
        id=number,
        device_id=few(*range(1, number + 1)),
        name=f"{few('x', 'X', 'é')}{number}",
        resource_class="FPGA",
        num_accelerators=few(1, 2),
        rp_uuid=new_uuid(),
        driver_name=few("a", "b"),
        needs_prepare=False,
        needs_release=False,
    )
    _insert(
        connection,
        "attributes",
        few,
        deployable_id=few(*range(1, number + 1)),
        key=f"k{number}",
        value=few("1", "2"),
        reported=True,
    )
    _insert(
        connection,
        "attach_handles",
        few,
        deployable_id=1,
        host_id=1,
        hardware=str(number),
        shares="[]",
        attach_type=few("PCI", "MDEV"),
        attach_info=json.dumps({"n": number}),
        condition="ready",
        needs_release=False,
    )
    _insert(connection, "device_profiles", few, id=number, name=f"p{number}", groups_json="[]")
    _insert(
        connection,
        "accelerator_requests",
        few,
        state=few("Initial", "Bound"),
        device_profile_id=few(*range(1, number + 1)),
        device_profile_group_id=0,
        group_json="{}",
        hostname=few(None, "h", "H"),
        instance_uuid=few(None, "1" * 36, "2" * 36),
    )


def _insert(
    connection: sa.Connection, into: str, few: Callable[..., Any] | None = None, **values: Any
) -> None:
    table = metadata.tables[into]
    times = {"created_at": NOW}
    if few is not None:
        second = datetime.timedelta(microseconds=1)
        times = {
            "created_at": NOW + few(0, 1, 2) * second,
            "updated_at": few(None, NOW + 2 * second),
        }
    if "uuid" in table.c:
        values["uuid"] = new_uuid()
    connection.execute(table.insert().values(**times, **values))


def _orders(sorting: Sorting) -> list[tuple[SortKey, ...]]:
    one = [(SortKey(name, descending),) for name in sorting.columns for descending in (False, True)]
    two = [
        (*first, *second)
        for first, second in itertools.product(one, one)
        if first[0].name != second[0].name
    ]
    return [(), *one, *random.Random(1).sample(two, 8)]


@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_the_whole(filled: Database, kind: str) -> None:
    find, sorting = KINDS[kind]
    for order in _orders(sorting):
        with filled.reader() as connection:
            whole = [record.uuid for record in find(connection, Page(sort=order))]
            assert len(whole) == len(set(whole)) == ROWS
            for size in (1, 4, ROWS, ROWS + 1):
                assert _walk(connection, find, size, order) == whole, (order, size)


def _walk(
    connection: sa.Connection, find: Find, size: int, order: tuple[SortKey, ...]
) -> list[str]:
    seen: list[str] = []
    page = Page(size, None, order)
    while True:
        found, more = page.cut(find(connection, page.and_one_more()))
        seen += [record.uuid for record in found]
        if not more:
            return seen
        page = Page(size, seen[-1], order)


@pytest.mark.parametrize("kind", KINDS)
def test_an_order_is_that_of_the_values(filled: Database, kind: str) -> None:
    find, _sorting = KINDS[kind]
    with filled.reader() as connection:
        found = find(connection, Page(sort=(SortKey("created_at", True), SortKey("uuid"))))
        plain = find(connection, Page())
    assert found == sorted(found, key=lambda r: (-r.created_at.timestamp(), r.uuid))
    changed = sorted(plain, key=lambda r: r.updated_at or r.created_at)
    with filled.reader() as connection:
        assert find(connection, Page(sort=(SortKey("updated_at"),))) == changed


@pytest.mark.parametrize("kind", KINDS)
def test_a_marker_costs_one_statement(filled: Database, kind: str) -> None:
    find, _sorting = KINDS[kind]
    with filled.reader() as connection:
        first = find(connection, Page(limit=1))[0].uuid
        counts = []
        for page in (Page(limit=3), Page(limit=3, marker=first)):
            with counted_statements(filled.engine) as statements:
                find(connection, page)
            counts.append(len(statements))
        assert counts[1] == counts[0] + 1
        with pytest.raises(MarkerNotFound):
            find(connection, Page(marker=new_uuid()))


def test_a_marker_of_another_project_is_none(filled: Database) -> None:
    with filled.engine.begin() as connection:
        arqs = metadata.tables["accelerator_requests"]
        connection.execute(arqs.update().values(project_id="theirs"))
        one = connection.execute(sa.select(arqs.c.id, arqs.c.uuid).order_by(arqs.c.id)).first()
        assert one is not None
        connection.execute(arqs.update().where(arqs.c.id != one.id).values(project_id="mine"))
    with filled.reader() as connection:
        with pytest.raises(MarkerNotFound):
            accelerator_requests.list_requests(
                connection, visible_project_id="mine", page=Page(marker=one.uuid)
            )
        # What it was filtered by may have changed since the last page.
        rest = accelerator_requests.list_requests(
            connection, project_id="mine", page=Page(marker=one.uuid)
        )
    assert len(rest) == ROWS - 1


@pytest.mark.parametrize(
    ("groups", "resource_class", "trait", "found"),
    [
        ([{"resources:FPGA": "1"}], "FPGA", None, True),
        ([{"resources:FPGA": "1"}], "FPG", None, False),
        ([{"resources:FPGA": "1"}], "PGA", None, False),
        ([{"resources:CUSTOM_A_B": "1"}], "CUSTOM_AXB", None, False),
        ([{"resources:CUSTOM_AXB": "1"}], "CUSTOM_A_B", None, False),
        ([{"accel:x": '"resources:FPGA": '}], "FPGA", None, False),
        ([{"resources:GPU": "1"}, {"resources:FPGA": "1"}], "FPGA", None, True),
        ([{"trait:CUSTOM_T": "required"}], None, "CUSTOM_T", True),
        ([{"trait:CUSTOM_T": "forbidden"}], None, "CUSTOM_T", True),
        ([{"trait:CUSTOM_T": "required"}], "CUSTOM_T", None, False),
        ([{"resources:FPGA": "1", "trait:CUSTOM_T": "required"}], "FPGA", "CUSTOM_T", True),
        ([{"resources:FPGA": "1", "trait:CUSTOM_T": "required"}], "GPU", "CUSTOM_T", False),
    ],
)
def test_profiles_by_what_they_ask_for(
    database: Database,
    groups: list[dict[str, str]],
    resource_class: str | None,
    trait: str | None,
    found: bool,
) -> None:
    with database.engine.begin() as connection:
        device_profiles.insert_profile(
            connection, uuid=new_uuid(), name="one", description=None, groups=groups, now=NOW
        )
    with database.reader() as connection:
        profiles = device_profiles.list_profiles(
            connection, resource_class=resource_class, trait=trait
        )
    assert bool(profiles) is found


def test_usage(filled: Database) -> None:
    handles, arqs = metadata.tables["attach_handles"], metadata.tables["accelerator_requests"]
    cards_of = metadata.tables["devices"]
    with filled.engine.begin() as connection:
        connection.execute(cards_of.update().values(status="enabled"))
        ids = list(connection.scalars(sa.select(handles.c.id).order_by(handles.c.id)))
        owners = list(connection.scalars(sa.select(arqs.c.id).order_by(arqs.c.id)))
        for handle, values in (
            (ids[0], {"accelerator_request_id": owners[0]}),
            (ids[1], {"accelerator_request_id": owners[1], "condition": "vanished"}),
            (ids[2], {"condition": "quarantined"}),
            (ids[4], {"condition": "unclean"}),
            (ids[3], {"deployable_id": 2}),
        ):
            connection.execute(handles.update().where(handles.c.id == handle).values(values))
    with filled.reader() as connection:
        with counted_statements(filled.engine) as statements:
            parts = devices.list_deployables(connection, with_usage=True)
        assert len(statements) == 3
        by_id = {part.id: part.usage for part in parts}
        assert by_id[1] == Usage(total=12, used=2, free=8)
        assert by_id[2] == Usage(total=1, used=0, free=1)
        assert by_id[3] == Usage(0, 0, 0)
        cards = devices.list_devices(connection, with_usage=True)
        for card in cards:
            own = [part.usage for part in parts if part.device_id == card.id and part.usage]
            assert card.usage == Usage(
                sum(u.total for u in own), sum(u.used for u in own), sum(u.free for u in own)
            )
        states = [handle.state.value for handle in usage.list_handles(connection, 1)]
    assert states == ["used", "used", "quarantined", "cleaning"] + ["free"] * 8
