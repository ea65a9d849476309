"""The main job over real RabbitMQ: API, two conductors and two agents, each a process."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.processes.harness import (
    Api,
    Deployment,
    deployed,
    fault,
    quorum_queues,
    wait_for,
)

HOST = "compute-1"


@pytest.fixture(params=["mariadb", "postgresql", "mariadb quorum"])
def cloud(request: pytest.FixtureRequest, tmp_path: Path, rabbit_url: str) -> Iterator[Deployment]:
    """API, two conductors, two agents; on classic queues, and on quorum queues."""
    database, *quorum = request.param.split()
    url = request.getfixturevalue(f"{database}_url")
    with ExitStack() as stack:
        settings = stack.enter_context(quorum_queues(tmp_path)) if quorum else {}
        deployment = stack.enter_context(deployed(tmp_path, url, rabbit_url, **settings))
        deployment.dbsync()
        deployment.conductor("conductor-1")
        deployment.conductor("conductor-2")
        deployment.agent(HOST)
        deployment.agent("compute-2", fake_driver={"prepare_delay": 1, "release_delay": 0.5})
        deployment.http()
        yield deployment


def test_ask_bind_read_and_give_back(cloud: Deployment) -> None:
    provider = cloud.wait_for_device(HOST)
    slow_provider = cloud.wait_for_device("compute-2")
    api = cloud.api
    api.profile("two", {"resources:FPGA": "2"})
    instance = new_uuid()
    uuids = api.arqs("two")
    assert api.bind(uuids, instance, HOST, provider).status_code == 202
    arqs = api.of_instance(instance)
    assert [arq["state"] for arq in arqs] == ["Bound", "Bound"]
    assert len({arq["attach_handle_uuid"] for arq in arqs}) == 2
    assert {arq["attach_handle_type"] for arq in arqs} == {"TEST_PCI"}
    answer = api.ask("DELETE", f"/v2/accelerator_requests?instance={instance}")
    assert answer.status_code == 204
    assert api.of_instance(instance) == []

    uuids = api.arqs("two")
    assert api.bind(uuids, instance, "compute-2", slow_provider).status_code == 202
    assert {arq["state"] for arq in api.of_instance(instance)} == {"BindStarted"}
    waiting = api.ask("GET", f"/v2/accelerator_requests?instance={instance}&bind_state=resolved")
    assert waiting.status_code == 423
    wait_for(
        "the agent's work",
        lambda: {arq["state"] for arq in api.of_instance(instance)} == {"Bound"},
    )
    with ThreadPoolExecutor() as pool:
        statuses = list(pool.map(lambda process: process.end(signal.SIGTERM), cloud.processes))
    for process, status in zip(cloud.processes, statuses, strict=True):
        assert status == 0, process.text()[-3000:]
        assert "Traceback" not in process.text(), process.text()[-3000:]


def test_thirty_two_binds_on_sixteen_handles(cloud: Deployment) -> None:
    """Twenty times over: exactly sixteen get one each, sixteen are refused."""
    provider = cloud.wait_for_device(HOST)
    api = cloud.api
    api.profile("one")

    def bind(uuid: str) -> requests.Response:
        instance = new_uuid()
        return patiently(lambda: Api(api.url).bind([uuid], instance, HOST, provider))

    with ThreadPoolExecutor(32) as pool:
        for _ in range(20):
            uuids = [uuid for made in pool.map(lambda _: api_arqs(api), range(32)) for uuid in made]
            answers = list(pool.map(bind, uuids))
            assert Counter(answer.status_code for answer in answers) == {202: 16, 409: 16}
            refused = next(answer for answer in answers if answer.status_code == 409)
            assert "free" in fault(refused)
            arqs = {arq["uuid"]: arq for arq in api.get("/v2/accelerator_requests")["arqs"]}
            bound = [arq for arq in arqs.values() if arq["state"] == "Bound"]
            assert len({arq["attach_handle_uuid"] for arq in bound}) == len(bound) == 16
            assert {arq["uuid"] for arq in bound} == {
                uuid
                for uuid, answer in zip(uuids, answers, strict=True)
                if answer.status_code == 202
            }
            deleted = api.ask("DELETE", f"/v2/accelerator_requests?arqs={','.join(uuids)}")
            assert deleted.status_code == 204, deleted.text
            assert api.get("/v2/accelerator_requests")["arqs"] == []


def patiently(ask: Callable[[], requests.Response]) -> requests.Response:
    """Ask, and again where no conductor answered in time, as clients do."""
    for _ in range(5):
        answer = ask()
        if answer.status_code != 503:
            break
        time.sleep(float(answer.headers["Retry-After"]))
    return answer


def api_arqs(api: Api) -> list[str]:
    """Make one ARQ over a connection of its own."""
    return Api(api.url).arqs("one")
