"""A server boots with an accelerator: separate processes, real Keystone and Placement."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from cyborg.tests.functional.processes.cloud import HOSTS, Cloud, provider
from cyborg.tests.functional.processes.harness import fault, wait_for

HOST = HOSTS[0]
REQUEST_ID = "req-11111111-2222-4333-8444-555555555555"


@pytest.fixture
def running(cloud: Cloud) -> Cloud:
    """Two conductors, two agents, the API, and a profile of one FPGA."""
    cloud.serve()
    return cloud


def test_a_boot_from_the_request_to_the_end(running: Cloud) -> None:
    nova = running.as_nova(**{"X-OpenStack-Request-ID": REQUEST_ID})
    server, uuids, answer = running.boot(nova)
    assert answer.status_code == 202, answer.text
    [arq] = nova.of_instance(server)
    assert arq["uuid"] == uuids[0]
    assert (arq["state"], arq["hostname"], arq["device_rp_uuid"]) == ("Bound", HOST, provider(HOST))
    assert arq["project_id"] == running.keystone.project_id("demo")
    assert arq["attach_handle_type"] == "TEST_PCI"
    # The server has no host yet: that is final, Nova will ask.
    wait_for("the event", lambda: running.events_of(server, "completed") == [422])
    [request] = [r for r in running.nova.received if r.events[0]["server_uuid"] == server]
    assert request.headers["openstack-api-version"] == "compute 2.82"
    assert request.request_id == REQUEST_ID
    assert running.placement.allocations(server) == {provider(HOST): {"FPGA": 1}}
    root = running.placement.provider(provider(HOST))
    assert root is not None
    assert root["parent_provider_uuid"] == root["root_provider_uuid"]
    logs = {process.log.name: process.text() for process in running.ours.processes}
    assert REQUEST_ID in logs["conductor-1.log"] + logs["conductor-2.log"]
    assert nova.status("DELETE", f"/v2/accelerator_requests?instance={server}") == 204
    assert nova.of_instance(server) == []
    assert (running.events_of(server, "completed"), running.reserved()) == ([422], 0)
    for process in running.ours.processes:
        assert process.end(signal.SIGTERM) == 0
        assert "Traceback" not in process.text(), process.text()[-3000:]


def test_a_request_can_be_followed_through_every_process(cloud: Cloud) -> None:
    cloud.serve(prepare_delay=0.5)
    nova = cloud.as_nova(**{"X-OpenStack-Request-ID": REQUEST_ID})
    server, _, answer = cloud.boot(nova)
    cloud.land(server)
    own = answer.headers["x-openstack-request-id"]
    wait_for("the bind", lambda: nova.of_instance(server)[0]["state"] == "Bound")
    wait_for("the event", lambda: cloud.events_of(server, "completed") == [200])
    [request] = [r for r in cloud.nova.received if r.events[0]["server_uuid"] == server]
    assert request.request_id == REQUEST_ID
    cloud.placement.forget_requests()
    assert nova.status("DELETE", f"/v2/accelerator_requests?instance={server}") == 204
    wait_for("the release", lambda: cloud.reserved() == 0)
    assert REQUEST_ID in {call.request_id for call in cloud.placement.requests()}
    texts = {process.log.name: process.text() for process in cloud.ours.processes}
    conductors = texts["conductor-1.log"] + texts["conductor-2.log"]
    for text in (conductors, texts[f"{HOST}.log"]):
        assert any(REQUEST_ID in line and own in line for line in text.splitlines())


def test_eight_boots_at_once_on_two_hosts(running: Cloud) -> None:
    nova = running.as_nova()

    def boot(number: int) -> tuple[str, int]:
        server, _, answer = running.boot(running.as_nova(), host=HOSTS[number % 2])
        return server, answer.status_code

    with ThreadPoolExecutor(8) as pool:
        booted = list(pool.map(boot, range(8)))
    assert {status for _, status in booted} == {202}
    arqs = [arq for server, _ in booted for arq in nova.of_instance(server)]
    assert len({arq["attach_handle_uuid"] for arq in arqs}) == 8
    for server, _ in booted:
        running.wait_for_event(server, "completed", 422)
    assert all(len(running.events_of(server, "completed")) == 1 for server, _ in booted)


def test_several_accelerators_are_one_event_call(running: Cloud) -> None:
    running.profile("four", units=4)
    server, uuids, answer = running.boot(running.as_nova(), "four")
    assert (len(uuids), answer.status_code) == (4, 202)
    wait_for("the events", lambda: running.events_of(server, "completed"))
    [request] = [r for r in running.nova.received if r.events[0]["server_uuid"] == server]
    assert sorted(event["tag"] for event in request.events) == sorted(uuids)


def test_a_slow_bind_is_told_when_it_is_done(cloud: Cloud) -> None:
    cloud.serve(prepare_delay=1)
    nova = cloud.as_nova()
    server, _, answer = cloud.boot(nova)
    cloud.land(server)
    assert answer.status_code == 202
    assert nova.of_instance(server)[0]["state"] == "BindStarted"
    assert cloud.events_of(server, "completed") == []
    wait_for("the event", lambda: cloud.events_of(server, "completed") == [200])
    assert nova.of_instance(server)[0]["state"] == "Bound"


def test_a_bind_that_fails_late_is_never_seen_resolved(cloud: Cloud) -> None:
    """Nova hears of it again and again, until it deletes the ARQ."""
    cloud.serve(prepare_failures=-1, release_delay=1)
    nova = cloud.as_nova()
    server, _, answer = cloud.boot(nova)
    assert answer.status_code == 202
    wait_for("a failure without host", lambda: 422 in cloud.events_of(server, "failed"))
    cloud.land(server)
    wait_for("more", lambda: cloud.events_of(server, "failed").count(200) >= 2)
    [arq] = nova.of_instance(server)
    assert (arq["state"], arq["attach_handle_type"]) == ("BindStarted", "")
    waiting = nova.ask("GET", f"/v2/accelerator_requests?instance={server}&bind_state=resolved")
    assert waiting.status_code == 423
    assert cloud.events_of(server, "completed") == []
    assert nova.status("DELETE", f"/v2/accelerator_requests?instance={server}") == 204
    assert cloud.reserved() == 1, "offered before it was clean"
    cloud.placement.deallocate(server)
    del cloud.nova.servers[server]
    wait_for("the release", lambda: cloud.reserved() == 0)
    told = len(cloud.events_of(server, "failed"))
    nova.arqs("one")
    assert len(cloud.events_of(server, "failed")) == told


def test_the_owner_of_a_server_keeps_its_arqs_whoever_acts(running: Cloud) -> None:
    """An administrator evacuates: deletes, creates and binds with a token of his own."""
    demo = running.keystone.project_id("demo")
    server, _, _ = running.boot(running.as_nova())
    running.finish(server)
    admin = running.as_nova("admin")
    assert admin.status("DELETE", f"/v2/accelerator_requests?instance={server}") == 204
    running.placement.deallocate(server)
    _, uuids, answer = running.boot(admin, host=HOSTS[1], server=server)
    assert answer.status_code == 202, answer.text
    [arq] = running.as_nova().of_instance(server)
    assert (arq["project_id"], arq["hostname"]) == (demo, HOSTS[1])
    owner = running.as_user("demo")
    assert owner.get(f"/v2/accelerator_requests/{uuids[0]}")["state"] == "Bound"
    assert running.as_nova().status("DELETE", f"/v2/accelerator_requests?instance={server}") == 204


def test_nova_is_asked_whose_server_an_administrator_binds_for(running: Cloud) -> None:
    server, _, answer = running.boot(running.as_nova("admin"))
    assert answer.status_code == 202
    assert running.nova.count("GET", f"/v2.1/servers/{server}") == 1
    [arq] = running.as_nova().of_instance(server)
    assert arq["project_id"] == running.keystone.project_id("demo")
    # Without Nova it cannot be known, and nothing is half done.
    other = running.server(vm_state="building", task_state="scheduling")
    admin = running.as_nova("admin")
    uuids = admin.arqs("one")
    running.nova.down()
    answer = admin.bind(uuids, other, HOST, provider(HOST))
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert admin.get(f"/v2/accelerator_requests/{uuids[0]}")["state"] == "Initial"
    running.nova.up()
    assert admin.bind(uuids, other, HOST, provider(HOST)).status_code == 202


def test_who_may_do_what(running: Cloud) -> None:
    server, [uuid], _ = running.boot(running.as_nova())
    item = f"/v2/accelerator_requests/{uuid}"
    of_server = f"/v2/accelerator_requests?instance={server}"
    anybody = running.ours.api
    assert anybody.status("GET", "/v2") == 200
    assert anybody.status("GET", item) == 401
    forged = anybody.ask("GET", item, **{"X-Roles": "admin", "X-Identity-Status": "Confirmed"})
    assert forged.status_code == 401
    # Read: a reader of the project, the system's administrator, a service.
    for user, status in (
        ("demo-reader", 200),
        ("demo", 200),
        ("admin", 200),
        ("other", 404),
        ("demo-accelerator-user", 403),
    ):
        assert running.as_user(user).status("GET", item) == status, user
    assert running.as_user("other").get(of_server) == {"arqs": []}
    assert running.as_nova("other").status("GET", item) == 200
    # Make: whoever may use accelerators, a service itself, or a member through Nova.
    body = {"device_profile_name": "one"}
    for api, status in (
        (running.as_user("demo"), 403),
        (running.as_nova("demo"), 201),
        (running.as_user("demo-accelerator-user"), 201),
        (running.as_user("demo-manager"), 201),
        (running.as_user("svc-only"), 201),
    ):
        answer = api.ask("POST", "/v2/accelerator_requests", body)
        assert answer.status_code == status, answer.text
    # Change what a service has bound: a service's token, and a real one.
    for user in ("demo", "demo-manager", "admin", "demo-accelerator-admin"):
        refused = running.as_user(user).ask("DELETE", of_server)
        assert refused.status_code == 403, user
        assert "requires a service token" in fault(refused)
    refused = running.as_user("demo", service="demo").ask("DELETE", of_server)
    assert refused.status_code in (401, 403), "a member's token passed for a service's"
    assert running.as_user("demo").status("GET", item) == 200
    # A manager may bind directly what no service has bound.
    manager = running.as_user("demo-manager")
    [own] = manager.arqs("one")
    direct = running.server(HOST)
    assert manager.bind([own], direct, HOST, provider(HOST)).status_code == 202
    assert running.reserved() == 1, "Placement offers what was bound without it"
    assert manager.status("DELETE", f"/v2/accelerator_requests/{own}") == 403
    unbind = [{"op": "remove", "path": "/instance_uuid"}]
    answer = manager.ask("PATCH", "/v2/accelerator_requests", {own: unbind})
    assert answer.status_code == 202, answer.text
    assert running.reserved() == 0
    assert manager.status("DELETE", f"/v2/accelerator_requests/{own}") == 204
    assert running.as_nova().status("DELETE", of_server) == 204


def test_what_nova_leaves_behind_is_found_and_released(running: Cloud) -> None:
    """A server is deleted before it had a host: its allocation goes, its ARQs stay."""
    nova = running.as_nova()
    gone, _, _ = running.boot(nova)
    kept, _, _ = running.boot(nova)
    busy, _, _ = running.boot(nova)
    running.finish(kept)
    for server in (gone, busy):
        running.placement.deallocate(server)
    del running.nova.servers[gone]
    wait_for("the release", lambda: nova.of_instance(gone) == [])
    assert nova.of_instance(kept)[0]["state"] == "Bound"
    assert nova.of_instance(busy)[0]["state"] == "Bound"
    wait_for("what was reserved", lambda: running.reserved() == 0)
    # The line is written after the ARQ is gone.
    wait_for("the log", lambda: released(running) > 0)
    assert released(running) == 1


def released(cloud: Cloud) -> int:
    """Return how many left-over ARQs the conductors say that they have released."""
    conductors = cloud.ours.processes[:2]
    return sum(process.text().count("left-over arq released") for process in conductors)


def test_disabled_devices_are_offered_to_nobody(running: Cloud) -> None:
    admin = running.as_user("admin")
    uuids = {d["hostname"]: d["uuid"] for d in admin.get("/v2/devices")["devices"]}
    assert admin.status("POST", f"/v2/devices/{uuids[HOST]}/disable") == 204
    assert (running.reserved(HOST), running.reserved(HOSTS[1])) == (16, 0)
    assert admin.status("POST", f"/v2/devices/{uuids[HOST]}/enable") == 204
    assert running.reserved(HOST) == 0
