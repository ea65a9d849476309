"""What waits for an agent that is away: what is still wanted, and not each time that it was."""

from __future__ import annotations

import importlib
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.processes.harness import Deployment, deployed, wait_for

# It has no types.
amqp: Any = importlib.import_module("amqp")

HOST = "compute-1"

#: Seconds of a lease, and how many of them pass.
LEASE, LEASES = 1, 8


@pytest.fixture(params=[False, True], ids=["classic", "quorum"])
def cloud(
    request: pytest.FixtureRequest, tmp_path: Path, mariadb_url: str, rabbit_url: str
) -> Iterator[Deployment]:
    """A deployment with a schema and no processes, on either kind of queues."""
    groups = {
        "conductor": {"job_poll_interval": 0.2, "job_lease": LEASE},
        "oslo_messaging_rabbit": {"rabbit_quorum_queue": request.param},
    }
    with deployed(tmp_path, mariadb_url, rabbit_url, **groups) as deployment:
        deployment.dbsync()
        yield deployment


def waiting(url: str) -> int:
    """Return how many messages are in the agent's queue."""
    parts = urlsplit(url)
    connection = amqp.Connection(
        host=f"127.0.0.1:{parts.port}",
        userid=parts.username,
        password=parts.password,
        virtual_host=parts.path.removeprefix("/"),
    )
    connection.connect()
    with closing(connection):
        declared = connection.channel().queue_declare(f"cyborg-agent.{HOST}", passive=True)
        return int(declared.message_count)


def test_a_release_waits_once(cloud: Deployment, rabbit_url: str) -> None:
    """Finding 7: one message for each lease stayed in the queue."""
    conductor = cloud.conductor()
    agent = cloud.agent(HOST, fake_driver={"release_delay": 0.1})
    cloud.http()
    provider = cloud.wait_for_device(HOST)
    cloud.api.profile("one")
    instance = new_uuid()
    assert cloud.api.bind(cloud.api.arqs("one"), instance, HOST, provider).status_code == 202
    wait_for("the bind", lambda: cloud.api.of_instance(instance)[0]["state"] == "Bound")
    agent.end(signal.SIGKILL)
    answer = cloud.api.ask("DELETE", f"/v2/accelerator_requests?instance={instance}")
    assert answer.status_code == 204, answer.text
    seen = []
    for _ in range(2 * LEASES):
        time.sleep(LEASE / 2)
        seen.append(waiting(rabbit_url))
    assert max(seen) <= 2, seen
    assert any(seen)
    assert conductor.alive()
    again = cloud.agent(HOST)
    wait_for("the release", lambda: "work started" in again.text())
