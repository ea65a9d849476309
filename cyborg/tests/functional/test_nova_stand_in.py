"""The stand-in for Nova: that it answers as Nova does, and fails as it is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import requests
from keystoneauth1 import adapter, loading
from keystoneauth1 import session as keystone_session

from cyborg.tests.functional.processes.harness import wait_for
from cyborg.tests.servers import Keystone, NovaStandIn, StandInServer

EVENTS = "/os-server-external-events"
PROJECT = "1" * 32
NAME = "accelerator-request-bound"


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """Connections that are kept."""
    with requests.Session() as session:
        session.headers.update({"X-Auth-Token": "t", "OpenStack-API-Version": "compute 2.82"})
        yield session


def event(server: str, **changes: Any) -> dict[str, Any]:
    made = {"name": NAME, "server_uuid": server, "tag": "arq", "status": "completed"} | changes
    return {key: value for key, value in made.items() if value is not None}


def send(
    http: requests.Session,
    nova: NovaStandIn,
    *events: Any,
    headers: dict[str, str] | None = None,
    timeout: float = 30,
) -> requests.Response:
    body = {"events": list(events)}
    return http.post(nova.url + EVENTS, json=body, headers=headers, timeout=timeout)


def codes(answer: requests.Response) -> list[tuple[str, int]]:
    return [(each["status"], each["code"]) for each in answer.json()["events"]]


def test_a_server(nova: NovaStandIn, http: requests.Session) -> None:
    uuid = str(uuid4())
    unknown = http.get(f"{nova.url}/servers/{uuid}", timeout=30)
    assert unknown.status_code == 404
    assert unknown.json()["itemNotFound"]["message"] == f"Instance {uuid} could not be found."

    nova.servers[uuid] = StandInServer(PROJECT, host="host-1", node="node-1")
    server = http.get(f"{nova.url}/servers/{uuid}", timeout=30).json()["server"]
    assert (server["id"], server["tenant_id"], server["status"]) == (uuid, PROJECT, "ACTIVE")
    assert server["OS-EXT-SRV-ATTR:host"] == "host-1"
    assert server["OS-EXT-SRV-ATTR:hypervisor_hostname"] == "node-1"
    assert (server["OS-EXT-STS:vm_state"], server["OS-EXT-STS:task_state"]) == ("active", None)

    nova.servers[uuid] = StandInServer(PROJECT, vm_state="building", task_state="spawning")
    server = http.get(f"{nova.url}/servers/{uuid}", timeout=30).json()["server"]
    assert server["status"] == "BUILD"
    assert server["OS-EXT-STS:task_state"] == "spawning"
    assert server["OS-EXT-SRV-ATTR:hypervisor_hostname"] is None
    assert nova.count("GET", f"/v2.1/servers/{uuid}") == 3


def test_servers_by_name(keystone: Keystone, keystone_nova: NovaStandIn) -> None:
    servers = {str(uuid4()): keystone.project_id(name) for name in ("demo", "other", "demo")}
    for uuid, project in servers.items():
        keystone_nova.servers[uuid] = StandInServer(project, host="host-1")
    mine, foreign, down = servers
    keystone_nova.servers[down].cell_down = True

    def found(user: str, query: str = "") -> list[str]:
        token = {"X-Auth-Token": keystone.token(user)}
        url = f"{keystone_nova.url}/servers/detail{query}"
        answer = requests.get(url, headers=token, timeout=30)
        assert answer.status_code == 200, answer.text
        return [server["id"] for server in answer.json()["servers"]]

    assert found("demo-reader") == [mine]
    assert found("demo-reader", f"?name=^server-{mine[:8]}$") == [mine]
    assert found("demo-reader", f"?name=server-{foreign[:8]}") == []
    assert found("demo-reader", "?all_tenants=1") == [mine]
    assert found("admin") == []
    assert found("admin", "?all_tenants=1") == [mine, foreign]


def test_a_server_whose_cell_is_down(nova: NovaStandIn, http: requests.Session) -> None:
    uuid = str(uuid4())
    nova.servers[uuid] = StandInServer(PROJECT, host="host-1", cell_down=True)
    server = http.get(f"{nova.url}/servers/{uuid}", timeout=30).json()["server"]
    assert (server["id"], server["tenant_id"], server["status"]) == (uuid, PROJECT, "UNKNOWN")
    assert "OS-EXT-STS:vm_state" not in server
    assert "OS-EXT-SRV-ATTR:host" not in server
    assert send(http, nova, event(uuid)).status_code == 500


def test_events_one_by_one(nova: NovaStandIn, http: requests.Session) -> None:
    here, early, gone = (str(uuid4()) for _ in range(3))
    nova.servers[here] = StandInServer(PROJECT, host="host-1")
    nova.servers[early] = StandInServer(PROJECT, vm_state="building")

    answer = send(
        http, nova, event(here, status="failed"), headers={"X-OpenStack-Request-ID": "req-1"}
    )
    assert answer.status_code == 200
    assert answer.json()["events"] == [event(here) | {"code": 200}]

    answer = send(http, nova, event(here), event(early), event(gone), event(here, tag=None))
    assert answer.status_code == 207
    assert codes(answer) == [("completed", 200), ("failed", 422), ("failed", 404), ("failed", 400)]

    first, second = nova.received
    assert (first.events, first.status, first.codes) == ([event(here, status="failed")], 200, [200])
    assert (first.request_id, first.has_token) == ("req-1", True)
    assert first.headers["openstack-api-version"] == "compute 2.82"
    assert (second.status, second.codes) == (207, [200, 422, 404, 400])
    assert first.time <= second.time <= time.monotonic()
    nova.forget()
    assert (nova.received, sum(nova.requests.values())) == ([], 0)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"events": []},
        {"events": [{"name": NAME}]},
        {"events": [event("not-a-uuid")]},
        {"events": [event(str(uuid4()), status="done")]},
        {"events": [event(str(uuid4()), tag="x" * 256)]},
        {"events": [event(str(uuid4()), name="accelerator-request-unbound")]},
        {"events": [event(str(uuid4()), extra=1)]},
        {"events": [event(str(uuid4()))], "more": 1},
    ],
)
def test_what_the_schema_refuses(nova: NovaStandIn, http: requests.Session, body: Any) -> None:
    answer = http.post(nova.url + EVENTS, json=body, timeout=30)
    assert answer.status_code == 400
    assert answer.json()["badRequest"]["code"] == 400
    assert [(one.status, one.codes) for one in nova.received] == [(400, [])]


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("compute 2.82", 207),
        ("compute 2.104", 207),
        ("compute latest", 207),
        ("compute 2.81", 400),  # it does not know the event's name yet
        ("placement 2.82", 400),
        ("compute new", 400),
        ("compute 2.105", 406),
    ],
)
def test_microversions(
    nova: NovaStandIn, http: requests.Session, version: str, status: int
) -> None:
    headers = {"OpenStack-API-Version": version}
    assert send(http, nova, event(str(uuid4())), headers=headers).status_code == status


def test_a_token_is_needed(nova: NovaStandIn) -> None:
    assert requests.get(nova.url, timeout=30).status_code == 200
    assert requests.get(f"{nova.url}/servers/{uuid4()}", timeout=30).status_code == 401
    with requests.Session() as nobody:
        assert send(nobody, nova, event(str(uuid4()))).status_code == 401
    assert [one.has_token for one in nova.received] == [False]


def test_down_and_up_again(nova: NovaStandIn, http: requests.Session) -> None:
    uuid = str(uuid4())
    nova.servers[uuid] = StandInServer(PROJECT, host="host-1")
    url = nova.url
    assert send(http, nova, event(uuid)).status_code == 200
    for _ in range(3):
        nova.down()
        nova.down()
        with pytest.raises(requests.ConnectionError):
            send(http, nova, event(uuid))
        nova.up()
        nova.up()
        assert nova.url == url
        assert send(http, nova, event(uuid)).status_code == 200


def test_slow_until_told_otherwise(nova: NovaStandIn, http: requests.Session) -> None:
    uuid = str(uuid4())
    nova.servers[uuid] = StandInServer(PROJECT, host="host-1")
    nova.slow(60)
    with pytest.raises(requests.ReadTimeout):
        send(http, nova, event(uuid), timeout=0.2)
    assert [one.codes for one in nova.received] == [[200]]  # it was accepted all the same
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(send, http, nova, event(uuid))
        wait_for("the request", lambda: len(nova.received) == 2)
        assert not answer.done()
        nova.normal()
        assert answer.result(10).status_code == 200


@pytest.mark.parametrize("status", [500, 503])
def test_failing_until_told_otherwise(
    nova: NovaStandIn, http: requests.Session, status: int
) -> None:
    uuid = str(uuid4())
    nova.servers[uuid] = StandInServer(PROJECT, host="host-1")
    nova.failing(status)
    assert send(http, nova, event(uuid)).status_code == status
    assert http.get(f"{nova.url}/servers/{uuid}", timeout=30).status_code == status
    assert [(one.events, one.status, one.codes) for one in nova.received] == [
        ([event(uuid)], status, [])
    ]
    nova.down()
    nova.up()
    assert send(http, nova, event(uuid)).status_code == status
    nova.normal()
    assert send(http, nova, event(uuid)).status_code == 200


def test_stopping_one_that_is_slow_takes_no_time(http: requests.Session) -> None:
    with NovaStandIn() as nova, ThreadPoolExecutor(1) as pool:
        nova.slow(60)
        answer = pool.submit(send, http, nova, event(str(uuid4())))
        wait_for("the request", lambda: nova.received)
        began = time.monotonic()
        nova.stop()
        nova.stop()
        assert time.monotonic() - began < 10
        assert answer.result(10).status_code == 207


def test_keystone_decides_who_may(keystone: Keystone, keystone_nova: NovaStandIn) -> None:
    uuid = str(uuid4())
    project = keystone.project_id("demo")
    keystone_nova.servers[uuid] = StandInServer(project, host="host-1")
    assert keystone.catalogue()["compute"] == keystone_nova.url

    def asked(user: str) -> tuple[int, int, bool]:
        with requests.Session() as http:
            token = keystone.token(user)
            http.headers.update({"X-Auth-Token": token, "OpenStack-API-Version": "compute 2.82"})
            server = http.get(f"{keystone_nova.url}/servers/{uuid}", timeout=30)
            host = "OS-EXT-SRV-ATTR:host" in server.json().get("server", {})
            return send(http, keystone_nova, event(uuid)).status_code, server.status_code, host

    assert asked("cyborg") == (200, 200, True)
    assert asked("svc-only") == (200, 403, False)
    assert asked("demo-reader") == (403, 200, False)
    assert asked("other") == (403, 404, False)
    with requests.Session() as http:
        http.headers.update({"X-Auth-Token": "invented"})
        assert send(http, keystone_nova, event(uuid)).status_code == 401


def test_it_is_found_as_services_find_it(keystone: Keystone, keystone_nova: NovaStandIn) -> None:
    """With keystoneauth: from the catalogue, by its version document, for two microversions."""
    options = keystone.credentials("cyborg")
    plugin: Any = loading.get_plugin_loader(options.pop("auth_type")).load_from_options(**options)
    compute = adapter.Adapter(
        keystone_session.Session(auth=plugin),
        service_type="compute",
        region_name="RegionOne",
        interface="internal",
    )
    uuid = str(uuid4())
    keystone_nova.servers[uuid] = StandInServer(keystone.project_id("demo"), host="host-1")
    answer = compute.get(f"/servers/{uuid}", microversion="2.82")
    assert answer.json()["server"]["OS-EXT-SRV-ATTR:host"] == "host-1"
    body = {"events": [event(uuid)]}
    assert compute.post(EVENTS, json=body, microversion="2.82").status_code == 200
    data = compute.get_endpoint_data()
    assert data is not None
    assert (data.min_microversion, data.max_microversion) == ((2, 1), (2, 104))
