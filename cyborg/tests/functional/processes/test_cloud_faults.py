"""What happens in a cloud when a part of it is not there: nobody dies, nothing is lost."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable

import pytest

from cyborg.tests.functional.processes.cloud import HOSTS, Cloud, provider
from cyborg.tests.functional.processes.harness import Api, wait_for
from cyborg.tests.servers import MariaDB, RabbitMQ

HOST = HOSTS[0]


def all_alive(cloud: Cloud) -> bool:
    return all(process.alive() for process in cloud.ours.processes)


def is_bound(nova: Api, server: str) -> bool:
    return [arq["state"] for arq in nova.of_instance(server)] == ["Bound"]


def test_nothing_is_there_at_the_start(cloud: Cloud, mariadb: MariaDB, rabbitmq: RabbitMQ) -> None:
    """Then one after the other comes, and everything works without a restart of ours."""
    nova = cloud.as_nova()
    cloud.nova.down()
    for away in (cloud.keystone, cloud.placement, mariadb, rabbitmq):
        away.kill()
    processes = cloud.start()
    wait_for("two tries", lambda: processes[0].text().count("waiting for the database") >= 2)
    assert nova.status("GET", "/v2/devices") == 503
    mariadb.start()
    rabbitmq.start()
    wait_for("an answer", lambda: "conductor serves" in processes[0].text())
    tries = r"WARNING.* (providers not synchronised|not done)"

    def both() -> str:
        return processes[0].text() + processes[1].text()

    wait_for("tries to reach Keystone", lambda: len(re.findall(tries, both())) >= 3)
    cloud.keystone.start()
    wait_for("devices", lambda: nova.status("GET", "/v2/devices") in (200, 403))
    cloud.placement.start()
    cloud.wait_for_providers()
    for process in processes:
        assert "Traceback" not in process.text(), process.text()[-3000:]
    assert all_alive(cloud)
    cloud.profile()
    server, _, answer = cloud.boot(nova)
    assert answer.status_code == 202
    wait_for("a try to reach Nova", lambda: "event not sent" in both())
    cloud.nova.up()
    wait_for("the event", lambda: cloud.events_of(server, "completed") == [422])


def test_an_agent_comes_before_the_compute_nodes_provider(cloud: Cloud) -> None:
    for host in HOSTS:
        root = next(p for p in cloud.placement.providers() if p["name"] == host)
        assert cloud.placement.delete_provider(root["uuid"]) == 204
    processes = cloud.start()
    wait_for(
        "waiting",
        lambda: "providers wait host=compute-1" in processes[0].text() + processes[1].text(),
    )
    assert cloud.placement.providers() == []
    cloud.make_roots()
    cloud.wait_for_providers()


def test_keystone_goes_and_comes_back(cloud: Cloud) -> None:
    cloud.serve()
    nova, unknown = cloud.as_nova(), cloud.as_nova("demo-manager")
    server, _, _ = cloud.boot(nova)
    cloud.keystone.kill()
    answer = unknown.ask("GET", f"/v2/accelerator_requests?instance={server}")
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert "error_message" in answer.json()
    assert nova.status("GET", "/v2") == 200
    assert is_bound(nova, server), "a token that was looked at just before is good"
    assert all_alive(cloud)
    cloud.keystone.start()
    assert is_bound(unknown, server)


def test_placement_goes_and_comes_back(cloud: Cloud) -> None:
    """What must be reserved is, as soon as Placement can be told."""
    cloud.serve(release_delay=3600)
    nova = cloud.as_nova()
    server, _, _ = cloud.boot(nova)
    cloud.placement.kill()
    began = time.monotonic()
    assert nova.status("DELETE", f"/v2/accelerator_requests?instance={server}") == 204
    assert time.monotonic() - began < 5
    assert nova.of_instance(server) == []
    # A bind does not need Placement.
    other = cloud.server()
    uuids = nova.arqs("one")
    assert nova.bind(uuids, other, HOST, provider(HOST)).status_code == 202
    assert all_alive(cloud)
    cloud.placement.start()
    cloud.placement.allocate(other, {provider(HOST): {"FPGA": 1}})
    wait_for("what is cleaned", lambda: cloud.reserved() == 1)
    assert nova.of_instance(other)[0]["state"] == "Bound"


def test_a_placement_that_hangs_does_not_hang_a_delete(cloud: Cloud) -> None:
    cloud.serve(release_delay=3600)
    nova = cloud.as_nova()
    server, _, _ = cloud.boot(nova)
    cloud.placement.pause()
    began = time.monotonic()
    assert nova.status("DELETE", f"/v2/accelerator_requests?instance={server}") == 204
    assert time.monotonic() - began < 10
    cloud.placement.resume()
    wait_for("what is cleaned", lambda: cloud.reserved() == 1)


def test_a_placement_that_was_wiped_is_filled_again(cloud: Cloud) -> None:
    cloud.serve()
    nova = cloud.as_nova()
    server, _, _ = cloud.boot(nova)
    cloud.finish(server)
    cloud.placement.wipe()
    cloud.make_roots()
    cloud.wait_for_providers()
    assert "OWNER_CYBORG" in cloud.placement.traits(provider(HOST))
    # Its allocations are lost, and the server lives: nobody else may have the device.
    wait_for("what nobody has allocated", lambda: cloud.reserved() == 1)
    assert is_bound(nova, server)


@pytest.mark.parametrize("trouble", ["down", "slow", "failing"])
def test_nova_is_told_when_it_can_be(cloud: Cloud, trouble: str) -> None:
    """A bind does not wait for it."""
    cloud.serve()
    nova = cloud.as_nova()
    troubles: dict[str, Callable[[], None]] = {
        "down": cloud.nova.down,
        "slow": lambda: cloud.nova.slow(30),
        "failing": lambda: cloud.nova.failing(500),
    }
    troubles[trouble]()
    began = time.monotonic()
    server, _, answer = cloud.boot(nova)
    assert answer.status_code == 202
    assert time.monotonic() - began < 3
    assert is_bound(nova, server)
    cloud.land(server)
    wait_for(
        "two tries",
        lambda: sum(p.text().count("event not sent") for p in cloud.ours.processes[:2]) >= 2,
    )
    assert all_alive(cloud)
    for process in cloud.ours.processes[:2]:
        assert "Traceback" not in process.text()
    cloud.nova.up()
    cloud.nova.normal()
    # A slow Nova has done what it was asked, and is asked again: nobody can know.
    wait_for(
        "an answer",
        lambda: any("event sent arq=" in p.text() for p in cloud.ours.processes[:2]),
    )
    assert 200 in cloud.events_of(server, "completed")


def test_another_conductor_tells_what_a_dead_one_could_not(cloud: Cloud) -> None:
    first, *_ = cloud.serve(conductors=1)
    nova = cloud.as_nova()
    cloud.nova.down()
    servers = [cloud.boot(nova)[0] for _ in range(6)]
    for server in servers:
        cloud.land(server)
    first.end(signal.SIGKILL)
    cloud.ours.processes.remove(first)
    cloud.ours.conductor("conductor-2")
    cloud.nova.up()
    for server in servers:
        cloud.wait_for_event(server, "completed", 200)
        assert is_bound(nova, server)


def test_a_conductor_is_killed_during_slow_binds(cloud: Cloud) -> None:
    first, *_ = cloud.serve(prepare_delay=1.5)
    nova = cloud.as_nova()
    servers = []
    for number in range(6):
        server, _, answer = cloud.boot(nova, host=HOSTS[number % 2])
        assert answer.status_code == 202
        cloud.land(server, HOSTS[number % 2])
        servers.append(server)
    first.end(signal.SIGKILL)
    for server in servers:
        cloud.wait_for_event(server, "completed", 200)
        assert is_bound(nova, server)
    assert len({nova.of_instance(server)[0]["attach_handle_uuid"] for server in servers}) == 6


def test_an_agent_is_killed_during_a_slow_bind(cloud: Cloud) -> None:
    cloud.serve(prepare_delay=1.5)
    agent = cloud.ours.processes[2]
    nova = cloud.as_nova()
    server, _, _ = cloud.boot(nova)
    cloud.land(server)
    wait_for("work", lambda: "work started" in agent.text())
    agent.end(signal.SIGKILL)
    cloud.ours.processes.remove(agent)
    assert nova.of_instance(server)[0]["state"] == "BindStarted"
    cloud.ours.agent(HOST, fake_driver={"prepare_delay": 1.5})
    wait_for("the event", lambda: 200 in cloud.events_of(server, "completed"))
    assert is_bound(nova, server)
