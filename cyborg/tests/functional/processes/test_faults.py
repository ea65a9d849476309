"""What happens when a part is not there, or goes away: nobody dies, nothing is lost."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.processes.harness import Api, Deployment, Process, deployed, wait_for
from cyborg.tests.servers.mariadb import MariaDB
from cyborg.tests.servers.postgresql import PostgreSQL
from cyborg.tests.servers.rabbitmq import RabbitMQ

HOST = "compute-1"

#: What oslo.messaging says of an attempt to reach the queue that did not work.
RETRY = "(retrying in "


@pytest.fixture
def cloud(tmp_path: Path, mariadb_url: str, rabbit_url: str) -> Iterator[Deployment]:
    """A deployment with a schema and no processes."""
    with deployed(tmp_path, mariadb_url, rabbit_url) as deployment:
        deployment.dbsync()
        yield deployment


def all_alive(cloud: Deployment) -> bool:
    return all(process.alive() for process in cloud.processes)


def test_everything_waits_for_the_message_queue(cloud: Deployment, rabbitmq: RabbitMQ) -> None:
    rabbitmq.kill()
    conductor, agent, _ = cloud.conductor(), cloud.agent(HOST), cloud.http()
    api = cloud.api
    wait_for("the API", lambda: api.status("GET", "/v2/devices") == 200)
    began = time.monotonic()
    answer = api.ask("POST", "/v2/accelerator_requests", {"device_profile_name": "one"})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) <= 5
    assert time.monotonic() - began < 5
    wait_for("retries in the log", lambda: conductor.text().count(RETRY) >= 4)
    for process in (conductor, agent):
        assert "Traceback" not in process.text()
        lines = [line for line in process.text().splitlines() if RETRY in line]
        tries = [re.sub(r"^\S+ (\S+)\..*", r"\1", line) for line in lines]
        # Two connections, one to be called on and one to call.
        assert len(tries) <= 2 * len(set(tries)) + 2, "more than a line an attempt"
    assert all_alive(cloud)
    rabbitmq.start()
    cloud.wait_for_device(HOST)
    api.profile("one")
    assert len(api.arqs("one")) == 1


def test_everything_waits_for_the_database(cloud: Deployment, mariadb: MariaDB) -> None:
    mariadb.kill()
    conductor, _, _ = cloud.conductor(), cloud.agent(HOST), cloud.http()
    wait_for("503", lambda: cloud.api.status("GET", "/v2/devices") == 503)
    wait_for("two tries", lambda: conductor.text().count("waiting for the database") >= 2)
    assert "Traceback" not in conductor.text()
    assert all_alive(cloud)
    mariadb.start()
    cloud.wait_for_device(HOST)


def test_a_schema_that_is_not_there_yet_is_waited_for(
    tmp_path: Path, mariadb_url: str, rabbit_url: str
) -> None:
    with deployed(tmp_path, mariadb_url, rabbit_url) as cloud:
        conductor = cloud.conductor()
        wait_for("a hint", lambda: "run 'cyborg-dbsync upgrade'" in conductor.text())
        cloud.dbsync()
        wait_for("service", lambda: "conductor serves" in conductor.text())


def test_the_message_queue_goes_and_comes_back(cloud: Deployment, rabbitmq: RabbitMQ) -> None:
    cloud.conductor(), cloud.agent(HOST), cloud.http()
    provider = cloud.wait_for_device(HOST)
    api = cloud.api
    api.profile("one")
    [uuid] = api.arqs("one")
    rabbitmq.kill()
    wait_for(
        "503 at once",
        lambda: api.bind([uuid], new_uuid(), HOST, provider).status_code == 503,
    )
    began = time.monotonic()
    assert api.bind([uuid], new_uuid(), HOST, provider).status_code == 503
    assert time.monotonic() - began < 5
    assert api.get(f"/v2/accelerator_requests/{uuid}")["state"] == "Initial"
    rabbitmq.start()
    instance = new_uuid()
    wait_for("recovery", lambda: api.bind([uuid], instance, HOST, provider).status_code == 202)
    assert api.of_instance(instance)[0]["state"] == "Bound"
    assert all_alive(cloud)


@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_the_database_goes_and_comes_back(
    kind: str, tmp_path: Path, rabbit_url: str, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(kind)
    url = request.getfixturevalue(f"{kind}_url")
    with deployed(tmp_path, url, rabbit_url) as cloud:
        cloud.dbsync()
        lose_the_database(cloud, server)


def lose_the_database(cloud: Deployment, server: MariaDB | PostgreSQL) -> None:
    cloud.conductor(), cloud.agent(HOST), cloud.http()
    provider = cloud.wait_for_device(HOST)
    api = cloud.api
    api.profile("one")
    [uuid] = api.arqs("one")
    instance = new_uuid()
    server.kill()
    assert api.status("GET", "/v2/devices") == 503
    assert api.bind([uuid], instance, HOST, provider).status_code == 503
    answer = api.ask("POST", "/v2/accelerator_requests", {"device_profile_name": "one"})
    assert answer.status_code == 503
    server.start()
    assert api.get(f"/v2/accelerator_requests/{uuid}")["state"] == "Initial"
    assert api.bind([uuid], instance, HOST, provider).status_code == 202
    assert all_alive(cloud)


def test_another_conductor_takes_over(cloud: Deployment) -> None:
    """The conductor that began a bind is killed before its agent has answered."""
    first = cloud.conductor("conductor-1")
    cloud.agent(HOST, fake_driver={"prepare_delay": 2})
    cloud.http()
    provider = cloud.wait_for_device(HOST)
    api = cloud.api
    api.profile("one")
    instance = new_uuid()
    assert api.bind(api.arqs("one"), instance, HOST, provider).status_code == 202
    first.end(signal.SIGKILL)
    assert api.of_instance(instance)[0]["state"] == "BindStarted"
    cloud.conductor("conductor-2")
    wait_for("the bind", lambda: api.of_instance(instance)[0]["state"] == "Bound")


def test_an_agent_that_is_killed_at_work_is_asked_again(cloud: Deployment) -> None:
    slow = {"prepare_delay": 2}
    cloud.conductor()
    agent = cloud.agent(HOST, fake_driver=slow)
    cloud.http()
    provider = cloud.wait_for_device(HOST)
    api = cloud.api
    api.profile("one")
    instance = new_uuid()
    assert api.bind(api.arqs("one"), instance, HOST, provider).status_code == 202
    wait_for("work", lambda: "work started" in agent.text())
    agent.end(signal.SIGKILL)
    cloud.agent(HOST, fake_driver=slow)
    wait_for("the bind", lambda: api.of_instance(instance)[0]["state"] == "Bound")


def test_a_bind_that_fails_late_is_seen_to_have_failed(cloud: Deployment) -> None:
    cloud.conductor()
    cloud.agent(HOST, fake_driver={"prepare_failures": -1})
    cloud.http()
    provider = cloud.wait_for_device(HOST)
    api = cloud.api
    api.profile("one")
    instance = new_uuid()
    assert api.bind(api.arqs("one"), instance, HOST, provider).status_code == 202
    wait_for("the failure", lambda: api.of_instance(instance)[0]["state"] == "BindFailed")
    [arq] = api.of_instance(instance)
    assert (arq["attach_handle_type"], arq["attach_handle_info"]) == ("", {})
    assert api.status("DELETE", f"/v2/accelerator_requests?instance={instance}") == 204
    assert api.of_instance(instance) == []


def test_a_handle_is_not_handed_on_before_it_is_released(cloud: Deployment) -> None:
    cloud.conductor()
    cloud.agent(HOST, fake_driver={"handles": 1, "release_delay": 2})
    cloud.http()
    provider = cloud.wait_for_device(HOST)
    api = cloud.api
    api.profile("one")
    instance, [uuid], [waiting] = new_uuid(), api.arqs("one"), api.arqs("one")
    assert api.bind([uuid], instance, HOST, provider).status_code == 202
    assert api.status("DELETE", f"/v2/accelerator_requests?instance={instance}") == 204
    assert api.status("GET", f"/v2/accelerator_requests/{uuid}") == 404
    other = new_uuid()
    assert api.bind([waiting], other, HOST, provider).status_code == 409
    wait_for("the release", lambda: api.bind([waiting], other, HOST, provider).status_code == 202)


def test_sighup_changes_what_can_be_changed(cloud: Deployment) -> None:
    cloud.conductor()
    agent = cloud.agent(HOST, DEFAULT={"periodic_interval": 3600, "state_path": cloud.folder})
    cloud.http()
    cloud.wait_for_device(HOST)
    assert len(cloud.api.get("/v2/devices")["devices"]) == 1
    cloud.config(
        HOST,
        agent={"resource_provider_name": HOST},
        fake_driver={"devices": 3},
        DEFAULT={"periodic_interval": 3600, "state_path": cloud.folder},
    )
    agent.send(signal.SIGHUP)
    wait_for("more devices", lambda: len(cloud.api.get("/v2/devices")["devices"]) == 3)
    cloud.config(HOST, fake_driver={"devices": "many"})
    agent.send(signal.SIGHUP)
    wait_for("a refusal", lambda: "the old one stays" in agent.text())
    assert agent.alive()


def test_sigterm_lets_begun_requests_end(cloud: Deployment) -> None:
    """The API is told to stop while requests run: none of those it took fails."""
    cloud.conductor()
    cloud.agent(HOST)
    http = cloud.http()
    cloud.wait_for_device(HOST)
    api = cloud.api
    api.profile("one")
    seen: list[int | None] = []
    http_ended = False
    while not http_ended:
        seen.append(api.status("POST", "/v2/accelerator_requests", {"device_profile_name": "one"}))
        if len(seen) == 5:
            http.send(signal.SIGTERM)
        http_ended = not http.alive()
    assert seen[:5] == [201] * 5
    assert set(seen[5:]) <= {201, None}
    assert http.end() == 0


def _has_served(conductor: Process, times: int) -> bool:
    return conductor.text().count("conductor serves") >= times


def test_a_conductor_that_stops_loses_no_request(cloud: Deployment) -> None:
    """What it is sent until its connection ends is answered, by it or by the other one."""
    first = cloud.conductor("conductor-1")
    cloud.conductor("conductor-2"), cloud.agent(HOST), cloud.http(api={"rpc_timeout": 6})
    cloud.wait_for_device(HOST)
    cloud.api.profile("one")
    over = threading.Event()

    def ask(_number: int) -> Counter[int | None]:
        api, seen = Api(cloud.api.url), Counter[int | None]()
        while not over.is_set():
            seen[
                api.status("POST", "/v2/accelerator_requests", {"device_profile_name": "one"})
            ] += 1
        return seen

    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(ask, number) for number in range(12)]
        for starts in (2, 3):
            time.sleep(2)
            assert first.end() == 0
            first.start()
            wait_for("a conductor", partial(_has_served, first, starts))
        time.sleep(1)
        over.set()
    seen = sum((each.result() for each in asked), Counter())
    assert set(seen) == {201}, seen
