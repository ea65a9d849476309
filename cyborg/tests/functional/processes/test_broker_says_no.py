"""A broker that says no, at the start or later, is waited for like one that is down."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.processes.harness import Deployment, Process, deployed, wait_for
from cyborg.tests.servers.rabbitmq import RabbitMQ

HOST, USER = "compute-1", "cyborg-user"
ALL = [".*"] * 3

#: Seconds for which it says no.
NO = 6

#: Connections that an agent has: to take work, to take answers, to send, and one that it keeps.
CONNECTIONS = 4


@dataclass(frozen=True)
class Trouble:
    """What the broker has against us, and what ends that."""

    begin: Callable[[RabbitMQ, str], object]
    end: Callable[[RabbitMQ, str], object]


TROUBLES = {
    "virtual host": Trouble(
        lambda rabbit, url: rabbit.delete_vhost(url),
        lambda rabbit, url: rabbit.add_vhost(url, [USER]),
    ),
    "password": Trouble(
        lambda rabbit, url: rabbit.set_password(USER, "another"),
        lambda rabbit, url: rabbit.set_password(USER, USER),
    ),
    "user": Trouble(
        lambda rabbit, url: rabbit.delete_user(USER),
        lambda rabbit, url: rabbit.create_user(url, USER, ALL),
    ),
}


@pytest.fixture
def cloud(
    tmp_path: Path, mariadb_url: str, rabbitmq: RabbitMQ, rabbit_url: str
) -> Iterator[Deployment]:
    """A deployment with a schema and no processes, and a user of the broker's for it."""
    url = rabbitmq.create_user(rabbit_url, USER, ALL)
    with deployed(tmp_path, mariadb_url, url) as deployment:
        deployment.dbsync()
        yield deployment
    rabbitmq.delete_user(USER)


def start(cloud: Deployment) -> list[Process]:
    return [cloud.conductor(), cloud.agent(HOST), cloud.http()]


def check_lines(process: Process, since: int) -> None:
    """Check that an attempt at the broker is a line, with what the broker says, and no more."""
    text = process.text()[since:]
    assert "Traceback" not in text
    about = [
        line
        for line in text.splitlines()
        if re.search(r"NOT_ALLOWED|ACCESS_REFUSED|AMQP server on", line)
    ]
    # Reports say that they were not taken, once more.
    seconds = Counter(line[:19] for line in about if "report not taken" not in line)
    assert about
    assert sum(seconds.values()) <= CONNECTIONS * (NO + 4), seconds


def works(cloud: Deployment) -> bool:
    answer = cloud.api.ask("POST", "/v2/accelerator_requests", {"device_profile_name": "one"})
    return answer.status_code == 201


@pytest.mark.parametrize("name", TROUBLES)
def test_at_the_start(cloud: Deployment, rabbitmq: RabbitMQ, rabbit_url: str, name: str) -> None:
    TROUBLES[name].begin(rabbitmq, rabbit_url)
    processes = start(cloud)
    wait_for("the API", lambda: cloud.api.status("GET", "/v2/devices") == 200)
    time.sleep(NO)
    assert all(process.alive() for process in processes)
    for process in processes:
        check_lines(process, 0)
    TROUBLES[name].end(rabbitmq, rabbit_url)
    cloud.wait_for_device(HOST)
    body = [{"name": "one", "groups": [{"resources:FPGA": "1"}]}]
    wait_for("a change", lambda: cloud.api.status("POST", "/v2/device_profiles", body) == 201)
    assert works(cloud)


def test_later(cloud: Deployment, rabbitmq: RabbitMQ, rabbit_url: str) -> None:
    processes = start(cloud)
    provider = cloud.wait_for_device(HOST)
    cloud.api.profile("one")
    assert works(cloud)
    for trouble in TROUBLES.values():
        since = [len(process.text()) for process in processes]
        trouble.begin(rabbitmq, rabbit_url)
        rabbitmq.close_connections()
        time.sleep(NO)
        assert not works(cloud)
        assert all(process.alive() for process in processes)
        for process, begin in zip(processes, since, strict=True):
            check_lines(process, begin)
        trouble.end(rabbitmq, rabbit_url)
        wait_for("changes", lambda: works(cloud))
        # The agent's door is open again as well.
        arqs, instance = cloud.api.arqs("one"), new_uuid()
        wait_for("a bind", partial(bound, cloud, arqs, instance, provider))
        wait_for("its end", partial(is_bound, cloud, instance))
        assert all(process.alive() for process in processes)


def bound(cloud: Deployment, arqs: list[str], instance: str, provider: str) -> bool:
    return cloud.api.bind(arqs, instance, HOST, provider).status_code == 202


def is_bound(cloud: Deployment, instance: str) -> bool:
    return {arq["state"] for arq in cloud.api.of_instance(instance)} == {"Bound"}
