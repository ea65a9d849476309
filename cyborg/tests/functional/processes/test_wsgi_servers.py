"""The API under WSGI servers that fork, with a conductor and an agent behind RabbitMQ."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.processes.harness import Api, Deployment, deployed, wait_for

APPLICATION = "cyborg.wsgi.api:application"
HOST = "compute-1"
CONNECTIONS = 8

#: Two processes of several threads each; what differs is when they fork.
SERVERS = {
    "import after the fork": ["gunicorn", "--workers=2", "--threads=4", APPLICATION],
    "fork after the import": ["gunicorn", "--preload", "--workers=2", "--threads=4", APPLICATION],
    "uwsgi": [
        "uwsgi",
        "--master",
        "--processes=2",
        "--threads=4",
        "--no-orphans",  # when the master is killed
        "--die-on-term",  # and not reload
        "--add-header=Connection: close",  # which it does, and by itself does not say
        f"--module={APPLICATION}",
    ],
}
BIND = {"gunicorn": "--bind=127.0.0.1:{}", "uwsgi": "--http-socket=127.0.0.1:{}"}


@pytest.fixture
def cloud(tmp_path: Path, mariadb_url: str, rabbit_url: str) -> Iterator[Deployment]:
    """A conductor and an agent."""
    with deployed(tmp_path, mariadb_url, rabbit_url) as deployment:
        deployment.dbsync()
        deployment.conductor()
        deployment.agent(HOST)
        yield deployment


@pytest.mark.parametrize("server", SERVERS)
def test_everything_works_at_once(cloud: Deployment, server: str) -> None:
    """From the first request on, whatever process and connection it comes to."""
    command, *arguments = SERVERS[server]
    arguments.append(BIND[command].format(cloud.port))
    first = cloud.wsgi(command, *arguments)
    provider = cloud.wait_for_device(HOST)
    cloud.api.profile("one")
    assert first.end(signal.SIGTERM) == 0
    cloud.processes.remove(first)

    second = cloud.wsgi(command, *arguments)
    wait_for("the API", lambda: Api(cloud.api.url).status("GET", "/"))

    def life(_number: int) -> None:
        api, instance = Api(cloud.api.url), new_uuid()
        (uuid,) = api.arqs("one")
        answer = api.bind([uuid], instance, HOST, provider)
        assert answer.status_code == 202, answer.text
        assert [arq["state"] for arq in api.of_instance(instance)] == ["Bound"]
        answer = api.ask("DELETE", f"/v2/accelerator_requests?arqs={uuid}")
        assert answer.status_code == 204, answer.text
        assert api.of_instance(instance) == []

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(life, range(CONNECTIONS * 4)))
    assert cloud.api.get("/v2/accelerator_requests")["arqs"] == []
    assert second.end(signal.SIGTERM) == 0
    assert "Traceback" not in second.text()
