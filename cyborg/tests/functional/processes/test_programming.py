"""Programming over HTTP, with real processes, Keystone, and a Glance that obeys tests."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
import requests

from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.processes.harness import Deployment, Process, deployed, fault, wait_for
from cyborg.tests.servers import GlanceStandIn, Keystone
from cyborg.tests.servers.keystone import REGION

HOST = "compute-1"
#: Whom requests are of where nobody is authenticated.
NOBODY = str(UUID(int=0))
DATA = os.urandom(200_000)


@pytest.fixture
def cloud(
    tmp_path: Path,
    mariadb_url: str,
    rabbit_url: str,
    keystone: Keystone,
    keystone_glance: GlanceStandIn,
) -> Iterator[Deployment]:
    """A deployment with a schema, whose agents find Glance, and no processes."""
    credentials = {**keystone.credentials("cyborg"), "region_name": REGION}
    with deployed(tmp_path, mariadb_url, rabbit_url, glance=credentials) as deployment:
        deployment.dbsync()
        yield deployment


def serve(cloud: Deployment, **fake_driver: object) -> tuple[Process, str]:
    """Start what is missing; return the agent, and the deployable's uuid."""
    names = [process.command for process in cloud.processes]
    if "cyborg-conductor" not in names:
        cloud.conductor()
    if "cyborg-api" not in names:
        cloud.http()
    agent = cloud.agent(HOST, fake_driver=fake_driver)
    uuid = cloud.wait_for_device(HOST)
    cloud.api.profile("one")
    return agent, uuid


def held(cloud: Deployment, uuid: str) -> str | None:
    image: str | None = cloud.api.get(f"/v2/deployables/{uuid}")["bitstream_id"]
    return image


def bind(cloud: Deployment, uuid: str) -> int:
    """Try to bind a new ARQ to the deployable; return the status."""
    [arq] = cloud.api.arqs("one")
    return cloud.api.bind([arq], new_uuid(), HOST, uuid).status_code


class Asking(threading.Thread):
    """A request that programs, and waits for its end."""

    def __init__(self, cloud: Deployment, uuid: str, image: str) -> None:
        super().__init__(daemon=True)
        self._cloud, self._uuid, self._image = cloud, uuid, image
        self._answer: list[requests.Response] = []
        self.start()

    def run(self) -> None:
        # A session is for one thread.
        api = type(self._cloud.api)(self._cloud.api.url)
        self._answer.append(api.program(self._uuid, self._image))

    def answer(self) -> requests.Response:
        self.join(60)
        [answer] = self._answer
        return answer


def test_success_refusals_and_what_is_shown(
    cloud: Deployment, keystone_glance: GlanceStandIn
) -> None:
    agent, uuid = serve(cloud)
    image = keystone_glance.add(DATA, visibility="public")
    answer = cloud.api.program(uuid, image)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["uuid"], answer.json()["bitstream_id"]) == (uuid, image)

    private = keystone_glance.add(DATA, owner="1" * 32)
    for unknown in (private, new_uuid()):
        answer = cloud.api.program(uuid, unknown)
        assert answer.status_code == 409
        assert f"Image {unknown} could not be found." in fault(answer)
    for_others = keystone_glance.add(DATA, NOBODY, properties={"vendor": "0x8086"})
    answer = cloud.api.program(uuid, for_others)
    assert (answer.status_code, "vendor 0x8086" in fault(answer)) == (409, True)
    assert held(cloud, uuid) == image
    assert bind(cloud, uuid) == 202

    agent.end()
    cloud.agent(HOST)
    wait_for("a report", lambda: cloud.processes[-1].text().count("inventory reported"))
    assert held(cloud, uuid) == image


@pytest.mark.parametrize("during", ["download", "programming"])
def test_an_agent_that_is_killed_goes_on_after_its_restart(
    cloud: Deployment, keystone_glance: GlanceStandIn, during: str
) -> None:
    slow = {"program_delay": 2}
    agent, uuid = serve(cloud, **slow)
    image = keystone_glance.add(DATA, NOBODY)
    if during == "download":
        keystone_glance.slow(30)
    asking = Asking(cloud, uuid, image)
    if during == "download":
        wait_for("a question", lambda: keystone_glance.count("GET", f"/v2/images/{image}"))
    else:
        wait_for("work", lambda: "work started" in agent.text())
    agent.end(signal.SIGKILL)
    assert held(cloud, uuid) is None
    assert bind(cloud, uuid) == 409
    keystone_glance.normal()
    cloud.agent(HOST, fake_driver=slow)
    answer = asking.answer()
    assert (answer.status_code, answer.json().get("bitstream_id")) == (200, image)
    assert bind(cloud, uuid) == 202
    kept = list((cloud.folder / HOST / "agent" / "bitstreams").iterdir())
    assert [path.read_bytes() for path in kept] == [DATA]


def test_a_conductor_that_is_killed_is_taken_over(
    cloud: Deployment, keystone_glance: GlanceStandIn
) -> None:
    first = cloud.conductor()
    agent, uuid = serve(cloud, program_delay=2)
    image = keystone_glance.add(DATA, NOBODY)
    asking = Asking(cloud, uuid, image)
    wait_for("work", lambda: "may begin=True" in first.text())
    first.end(signal.SIGKILL)
    cloud.conductor("conductor-2")
    assert asking.answer().json()["bitstream_id"] == image
    assert agent.text().count("work started") == 1


def test_a_failure_half_way(cloud: Deployment, keystone_glance: GlanceStandIn) -> None:
    first, uuid = serve(cloud, program_failures=-1)
    image = keystone_glance.add(DATA, NOBODY)
    answer = cloud.api.program(uuid, image)
    assert (answer.status_code, "half way" in fault(answer)) == (502, True)
    assert first.text().count("work started") == 2
    assert held(cloud, uuid) is None
    assert bind(cloud, uuid) == 409
    first.end()
    cloud.agent(HOST)
    answer = cloud.api.program(uuid, image)
    assert (answer.status_code, answer.json()["bitstream_id"]) == (200, image)
    assert bind(cloud, uuid) == 202


def test_an_agent_that_comes_back_too_late_touches_nothing(
    cloud: Deployment, keystone_glance: GlanceStandIn
) -> None:
    """The command waits in the queue while the agent is away, and its job ends meanwhile."""
    cloud.conductor(conductor={"program_timeout": 6})
    agent, uuid = serve(cloud)
    image = keystone_glance.add(DATA, NOBODY)
    agent.end(signal.SIGKILL)
    answer = cloud.api.program(uuid, image)
    assert (answer.status_code, "as it was" in fault(answer)) == (409, True)
    again = cloud.agent(HOST)
    wait_for("a report", lambda: "inventory reported" in again.text())
    other = keystone_glance.add(DATA[1:], NOBODY)
    assert cloud.api.program(uuid, other).json()["bitstream_id"] == other
    assert again.text().count("work finished") == 1
    assert held(cloud, uuid) == other


def test_the_api_does_not_wait_longer_than_it_is_told(
    cloud: Deployment, keystone_glance: GlanceStandIn
) -> None:
    cloud.http(api={"program_wait": 1})
    _, uuid = serve(cloud, program_delay=4)
    image = keystone_glance.add(DATA, NOBODY)
    answer = cloud.api.program(uuid, image)
    assert (answer.status_code, answer.json()["bitstream_id"]) == (200, None)
    assert cloud.api.program(uuid, new_uuid()).status_code == 409
    wait_for("the end", lambda: held(cloud, uuid) == image)
