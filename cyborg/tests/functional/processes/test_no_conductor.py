"""Nobody there to answer, nobody awake, nobody free: three things that the API tells apart."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import requests

from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.processes.harness import (
    Deployment,
    Process,
    deployed,
    fault,
    wait_for,
)

HOST = "compute-1"

#: Seconds in which the API says that no conductor is there.
PROMISED = 2.0

#: Seconds that a slow call takes.
SLOW = 5

#: A conductor whose calls about the profile "slow" take a while.
SLOW_CONDUCTOR = f"""
import time
from cyborg.conductor import creating, endpoint
def create(env, device_profile_name: str, project_id: str | None, by_service: bool = False):
    if device_profile_name == "slow":
        time.sleep({SLOW})
    return creating.create(env, device_profile_name, project_id, by_service)
endpoint.API_USE_CASES["create_accelerator_requests"] = create
from cyborg.cmd.conductor import main
main()
"""


@pytest.fixture
def cloud(
    request: pytest.FixtureRequest, tmp_path: Path, mariadb_url: str, rabbit_url: str
) -> Iterator[Deployment]:
    """A deployment with a schema and no processes; on quorum queues if that is asked for."""
    quorum = getattr(request, "param", False)
    rabbit = {"rabbit_retry_backoff": 1, "rabbit_quorum_queue": quorum}
    with deployed(tmp_path, mariadb_url, rabbit_url, oslo_messaging_rabbit=rabbit) as deployment:
        deployment.dbsync()
        yield deployment


def refused(cloud: Deployment, method: str, path: str, body: object = None) -> None:
    """Check that a change is answered 503, in time."""
    began = time.monotonic()
    answer = cloud.api.ask(method, path, body)
    took = time.monotonic() - began
    assert answer.status_code == 503, answer.text
    assert took < PROMISED
    assert int(answer.headers["Retry-After"]) <= 5


def made(cloud: Deployment, profile: str) -> requests.Response:
    return cloud.api.ask("POST", "/v2/accelerator_requests", {"device_profile_name": profile})


def arqs(cloud: Deployment) -> list[str]:
    return [arq["uuid"] for arq in cloud.api.get("/v2/accelerator_requests")["arqs"]]


@pytest.mark.parametrize("cloud", [False, True], ids=["classic", "quorum"], indirect=True)
def test_no_conductor_is_said_in_two_seconds(cloud: Deployment) -> None:
    """Its queue is still there. Nothing of what was asked for meanwhile is done later."""
    conductor, _ = cloud.conductor(), cloud.http()
    wait_for("the conductor", lambda: "conductor serves" in conductor.text())
    wait_for("the API", lambda: cloud.api.status("GET", "/v2/devices") == 200)
    cloud.api.profile("one")
    for number in (signal.SIGSTOP, signal.SIGKILL):
        conductor.send(number)
        for _ in range(2):
            refused(cloud, "POST", "/v2/accelerator_requests", {"device_profile_name": "one"})
    conductor.end()
    another = cloud.conductor("conductor-2")
    wait_for("the other", lambda: "conductor serves" in another.text())
    assert made(cloud, "one").status_code == 201
    assert len(arqs(cloud)) == 1


def test_a_conductor_that_is_busy_is_waited_for(cloud: Deployment) -> None:
    """It has one thread: the second call waits for it, and takes long itself."""
    config = cloud.config("conductor", DEFAULT={"executor_thread_pool_size": 1})
    conductor = Process(
        "python", ["-c", SLOW_CONDUCTOR, "--config-file", config], cloud.folder / "c"
    )
    cloud.processes.append(conductor.start())
    cloud.http()
    wait_for("the API", lambda: cloud.api.status("GET", "/v2/devices") == 200)
    wait_for("the conductor", lambda: "conductor serves" in conductor.text())
    cloud.api.profile("slow")
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda profile: made(cloud, profile), ["slow", "slow"]))
    assert time.monotonic() - began > 2 * SLOW
    assert [answer.status_code for answer in answers] == [201, 201], answers[0].text
    assert "WARNING oslo" not in conductor.text()


def test_a_frozen_conductor_does_nothing_for_who_has_left(cloud: Deployment) -> None:
    """Finding 5, and more: it wakes up after another conductor has done what was asked for."""
    first = cloud.conductor("conductor-1")
    cloud.agent(HOST)
    cloud.http()
    provider = cloud.wait_for_device(HOST)
    api = cloud.api
    api.profile("one")
    instance = new_uuid()
    old = api.arqs("one")
    assert api.bind(old, instance, HOST, provider).status_code == 202
    first.send(signal.SIGSTOP)
    refused(cloud, "DELETE", f"/v2/accelerator_requests?instance={instance}")
    refused(cloud, "POST", "/v2/accelerator_requests", {"device_profile_name": "one"})
    refused(cloud, "POST", "/v2/device_profiles", [{"name": "two", "groups": [{"a": "b"}]}])

    second = cloud.conductor("conductor-2")
    wait_for("the other", lambda: "conductor serves" in second.text())
    new = wait_for("new ones", lambda: new_arqs(cloud))
    wait_for("their bind", lambda: api.bind(new, instance, HOST, provider).status_code == 202)
    first.send(signal.SIGCONT)
    wait_for("its word", lambda: "too late, nothing is done" in first.text())
    # It is awake, and takes messages again.
    for n in range(4):
        wait_for("a profile", partial(profile, cloud, f"p{n}"))
    assert sorted(arqs(cloud)) == sorted([*old, *new])
    assert {arq["state"] for arq in api.of_instance(instance)} == {"Bound"}
    answer = api.ask("GET", "/v2/device_profiles/two")
    assert answer.status_code == 404, fault(answer)


def new_arqs(cloud: Deployment) -> list[str]:
    answer = made(cloud, "one")
    return [arq["uuid"] for arq in answer.json()["arqs"]] if answer.status_code == 201 else []


def profile(cloud: Deployment, name: str) -> bool:
    body = [{"name": name, "groups": [{"resources:FPGA": "1"}]}]
    return cloud.api.status("POST", "/v2/device_profiles", body) in (201, 409)
