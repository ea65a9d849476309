"""What lists cost: a page from a large table what it costs from a small one, and all of
10,000 ARQs for an old client little time and memory. On MariaDB, over the application.
"""

from __future__ import annotations

import datetime
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
import webob
from oslo_config import cfg

from cyborg.api import app
from cyborg.api.app import build_application
from cyborg.db import schema
from cyborg.db.database import Database
from cyborg.db.tables import accelerator_requests, metadata
from cyborg.domain.clock import new_uuid
from cyborg.tests.helpers import counted_statements, make_conf
from cyborg.tests.servers import MariaDB
from cyborg.tests.unit.api.harness import Believing

ARQS = "/v2/accelerator_requests"
NOW = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
SMALL, MIDDLE, LARGE = 110, 10_000, 100_000
#: The share of the ARQs that is of the member's project.
PROJECTS = 20
MINE = "a" * 32

ADMIN = {"X-Roles": "admin,reader", "X-Project-Id": "c" * 32}
MEMBER = {"X-Roles": "member,reader", "X-Project-Id": MINE}


class Filled:
    """The application on a database with so many ARQs, each with a handle."""

    def __init__(self, conf: cfg.ConfigOpts, count: int) -> None:
        self.database = Database(conf)
        schema.upgrade(self.database.engine)
        with self.database.engine.begin() as connection:
            self.uuids = _fill(connection, count)
            # As the server itself does sooner or later.
            connection.exec_driver_sql("ANALYZE TABLE accelerator_requests, attach_handles")
        conductor: Any = None
        self.application = build_application(conf, self.database, conductor)

    def get(self, query: str, identity: dict[str, str], version: str = "2.4") -> webob.Response:
        request = webob.Request.blank(f"{ARQS}{query}")
        request.headers.update({"X-Identity-Status": "Confirmed", "X-User-Id": "u", **identity})
        request.headers["OpenStack-API-Version"] = f"accelerator {version}"
        response = request.get_response(self.application)
        assert response.status_int == 200, response.text
        return response


def _fill(connection: sa.Connection, count: int) -> list[str]:
    for table, row in (
        ("hosts", {"name": "node", "last_seen_at": NOW}),
        (
            "devices",
            {
                "uuid": new_uuid(),
                "host_id": 1,
                **dict.fromkeys(("identity", "driver", "type", "vendor", "model"), "x"),
                **dict.fromkeys(("std_board_info", "vendor_board_info"), "{}"),
                "status": "enabled",
                "presence": "present",
            },
        ),
        (
            "deployables",
            {
                "uuid": new_uuid(),
                "device_id": 1,
                "name": "part",
                "resource_class": "FPGA",
                "num_accelerators": count,
                "rp_uuid": new_uuid(),
                "driver_name": "x",
                "needs_prepare": False,
                "needs_release": False,
            },
        ),
        ("device_profiles", {"uuid": new_uuid(), "name": "one", "groups_json": "[]"}),
    ):
        connection.execute(metadata.tables[table].insert().values(created_at=NOW, **row))
    # The server makes the rows itself, from a table of numbers that it has.
    numbers = f"FROM seq_1_to_{count}"
    connection.exec_driver_sql(
        "INSERT INTO accelerator_requests (id, uuid, state, device_profile_id,"
        " device_profile_group_id, group_json, project_id, hostname, device_rp_uuid,"
        " instance_uuid, bound_by_service, created_at) SELECT seq, UUID(), 'Bound', 1, 0, '{}',"
        # So that the small table has enough of them, too.
        f" IF(seq <= {SMALL} OR seq MOD {PROJECTS} = 0, '{MINE}', REPEAT(seq MOD 7, 32)),"
        f" 'node', UUID(), UUID(), 1, UTC_TIMESTAMP(6) {numbers}"
    )
    connection.exec_driver_sql(
        "INSERT INTO attach_handles (uuid, deployable_id, host_id, hardware, shares, attach_type,"
        " attach_info, `condition`, needs_release, accelerator_request_id, created_at)"
        " SELECT UUID(), 1, 1, CONCAT('hardware ', seq), '[]', 'PCI',"
        """ CONCAT('{"bus": "', seq, '"}'), 'ready', 0, seq, UTC_TIMESTAMP(6) """ + numbers
    )
    arqs = sa.select(accelerator_requests.c.uuid).order_by(accelerator_requests.c.id)
    return list(connection.scalars(arqs))


@contextmanager
def filled(mariadb: MariaDB, count: int) -> Iterator[Filled]:
    with pytest.MonkeyPatch.context() as patch:
        # Who asks is in the headers, as keystonemiddleware leaves them.
        patch.setattr(
            app, "authenticated", lambda application, _conf, **_options: Believing(application)
        )
        service = Filled(make_conf(mariadb.create_database()), count)
    try:
        yield service
    finally:
        service.database.dispose()


@pytest.fixture(scope="module")
def small(mariadb: MariaDB) -> Iterator[Filled]:
    with filled(mariadb, SMALL) as service:
        yield service


@pytest.fixture(scope="module")
def middle(mariadb: MariaDB) -> Iterator[Filled]:
    with filled(mariadb, MIDDLE) as service:
        yield service


@pytest.fixture(scope="module")
def large(mariadb: MariaDB) -> Iterator[Filled]:
    with filled(mariadb, LARGE) as service:
        yield service


PAGES = [
    ("first page of all", "?limit=100", ADMIN, None),
    ("late page of all", "?limit=100&marker={}", ADMIN, -105),
    ("first page of a project", "?limit=100", MEMBER, None),
    ("page of a state", "?limit=100&state=Bound", ADMIN, None),
    ("page of a profile", "?limit=100&device_profile_name=one", ADMIN, None),
    ("page of a host", "?limit=100&hostname=node", MEMBER, None),
]


@pytest.mark.parametrize(
    ("query", "identity", "marker"), [p[1:] for p in PAGES], ids=[p[0] for p in PAGES]
)
def test_a_page_costs_the_same_from_a_large_table(
    small: Filled, large: Filled, query: str, identity: dict[str, str], marker: int | None
) -> None:
    times: dict[str, float] = {}
    counts: dict[str, int] = {}
    services = {"small": small, "large": large}
    queries = {
        name: query if marker is None else query.format(service.uuids[marker])
        for name, service in services.items()
    }
    for name, service in services.items():
        with counted_statements(service.database.engine) as statements:
            answer = service.get(queries[name], identity)
        counts[name] = len(statements)
        assert len(answer.json["arqs"]) == 100
    assert counts["small"] == counts["large"] == (1 if marker is None else 2)
    # The best of many in turn: what else the machine does hits both, and a full one more often.
    for turn in range(400):
        for name, service in services.items():
            begin = time.perf_counter()
            service.get(queries[name], identity)
            spent = time.perf_counter() - begin
            times[name] = min(spent, times.get(name, spent))
        if turn >= 40 and times["large"] <= 1.2 * times["small"]:
            break
    print(f"{ {name: round(1000 * best, 2) for name, best in times.items()} } ms")
    assert times["large"] <= 1.2 * times["small"]


def test_all_of_ten_thousand_for_an_old_client(middle: Filled) -> None:
    with counted_statements(middle.database.engine) as statements:
        answer = middle.get("", ADMIN, "2.0")
    assert len(statements) == 1
    assert len(answer.json["arqs"]) == MIDDLE
    assert list(answer.json) == ["arqs"]
    times = []
    # The time of this thread: what else runs on the machine is not the list's.
    for _ in range(3):
        begin = time.thread_time()
        body = middle.get("", ADMIN, "2.0").body
        times.append(time.thread_time() - begin)
    tracemalloc.start()
    middle.get("", ADMIN, "2.0")
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    print(f"{min(times):.2f} s, {peak:.0f} MiB at most, {len(body) / 2**20:.1f} MiB of JSON")
    assert min(times) < 1.5
    assert peak < 150
