"""A release whose steps take long: seen from outside, and with an agent that is killed in one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.processes.harness import Deployment, deployed, wait_for

HOST = "compute-1"


@pytest.fixture
def cloud(tmp_path: Path, postgresql_url: str, rabbit_url: str) -> Iterator[Deployment]:
    """A service without hosts."""
    with ExitStack() as stack:
        deployment = stack.enter_context(
            deployed(tmp_path, postgresql_url, rabbit_url, conductor={"job_lease": 5})
        )
        deployment.dbsync()
        deployment.conductor("conductor-1")
        deployment.http()
        yield deployment


def test_the_work_is_seen_and_goes_on_where_it_was(cloud: Deployment) -> None:
    options = {"handles": 1, "release_delay": 2, "test_delay": 3, "clean_steps": "release,test"}
    agent = cloud.agent(HOST, fake_driver=options)
    provider = cloud.wait_for_device(HOST)
    api = cloud.api
    api.profile("one")
    uuids = api.arqs("one")
    instance = new_uuid()
    assert api.bind(uuids, instance, HOST, provider).status_code == 202
    [device] = api.get("/v2/devices")["devices"]

    def work() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = api.get(f"/v2/devices/{device['uuid']}")["work"]
        return found

    def at(step: str) -> bool:
        return any(each["step"] == step for each in work())

    assert work() == []
    answer = api.ask("DELETE", f"/v2/accelerator_requests?instance={instance}")
    assert answer.status_code == 204
    wait_for("the first step", lambda: at("release") and (work() or [{}])[0].get("percent"))
    wait_for("the second step", lambda: at("test"))
    [shown] = work()
    assert (shown["kind"], shown["step"]) == ("release", "test")
    assert device["created_at"] < shown["since"]

    agent.end(signal.SIGKILL)
    begun = agent.text().count("part=release")
    assert begun == 1
    assert agent.text().count("part=test") == 1
    agent.start()
    wait_for(
        "the end of the work", lambda: api.get(f"/v2/devices/{device['uuid']}")["usage"]["free"]
    )
    assert agent.text().count("part=release") == 1, "what was done was done again"
    assert agent.text().count("part=test") == 2
    assert work() == []
