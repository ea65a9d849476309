"""The rights of the page on RabbitMQ: with them everything works, and an agent may do no more."""

from __future__ import annotations

import importlib
import json
import secrets
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import ReleaseMismatch
from cyborg.tests.functional.processes.harness import Deployment, Process, deployed, wait_for
from cyborg.tests.servers import MariaDB, RabbitMQ

# It has no types.
amqp: Any = importlib.import_module("amqp")

PAGE = Path(__file__).parents[4] / "doc" / "source" / "admin" / "rabbitmq.rst"
FAKE_DRIVER = {"handles": 1, "prepare_delay": 0.1, "release_delay": 0.1}


def rights_on_the_page(user: str, host: str = "") -> list[str]:
    """Return what the page lets a user configure, write and read."""
    commands = [
        shlex.split(line) for line in PAGE.read_text().splitlines() if "rabbitmqctl" in line
    ]
    [rights] = [
        command[5:]
        for command in commands
        if command[:2] == ["rabbitmqctl", "set_permissions"] and command[4] == user
    ]
    assert len(rights) == 3
    return [pattern.replace("HOST", host.replace(".", r"\.")) for pattern in rights]


@dataclass
class World:
    """A service whose processes have the rights of the page, and no others."""

    rabbitmq: RabbitMQ
    url: str
    deployment: Deployment
    #: The victim's name begins with the other's, so that a sloppy expression would fit both.
    hostile: str = field(default_factory=lambda: f"compute-{secrets.token_hex(4)}")
    users: list[str] = field(default_factory=list)

    @property
    def victim(self) -> str:
        return f"{self.hostile}.example.org"

    def user(self, name: str, rights: list[str]) -> str:
        url = self.rabbitmq.create_user(self.url, name, rights)
        self.users.append(name)
        return url

    def agent_user(self, host: str) -> str:
        """Make the user of a host's agent; return its transport URL."""
        return self.user(f"cyborg-{host}", rights_on_the_page("cyborg-HOST", host))

    def start_agent(self, host: str, transport_url: str, *, named: bool = True) -> Process:
        """Start a host's agent.

        :param named: its queue of answers has a name that the page's expressions know.
        """
        folder = self.deployment.folder / host
        return self.deployment.agent(
            host,
            DEFAULT={"transport_url": transport_url, "state_path": folder},
            oslo_messaging_rabbit={
                "use_queue_manager": named,
                "hostname": host,
                "processname": "cyborg-agent",
            },
            oslo_concurrency={"lock_path": folder},
            fake_driver=FAKE_DRIVER,
        )

    @contextmanager
    def channel(self, user: str) -> Iterator[Any]:
        """Yield a channel of a user, whose every refusal is an exception."""
        parts = urlsplit(self.url)
        connection = amqp.Connection(
            parts.netloc.rpartition("@")[2],
            user,
            user,
            virtual_host=parts.path.removeprefix("/"),
            confirm_publish=True,
        )
        with closing(connection):
            connection.connect()
            yield connection.channel()

    def life(self) -> None:
        """Bind twice what only one can have: the second one, when the first has been released."""
        api = self.deployment.api
        provider = self.deployment.wait_for_device(self.victim)
        for _ in range(2):
            instance = new_uuid()
            wait_for("a free handle", partial(self._bind, api.arqs("one"), instance, provider))
            wait_for("the end of the preparation", partial(self._is_bound, instance))
            answer = api.ask("DELETE", f"/v2/accelerator_requests?instance={instance}")
            assert answer.status_code == 204

    def _bind(self, uuids: list[str], instance: str, provider: str) -> bool:
        answer = self.deployment.api.bind(uuids, instance, self.victim, provider)
        return answer.status_code == 202

    def _is_bound(self, instance: str) -> bool:
        [arq] = self.deployment.api.of_instance(instance)
        return bool(arq["state"] == "Bound")


@pytest.fixture(scope="module")
def world(
    mariadb: MariaDB, rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    mariadb.start()
    rabbitmq.start()
    url = rabbitmq.create_vhost()
    folder = tmp_path_factory.mktemp("rights")
    service = rabbitmq.create_user(url, "cyborg", rights_on_the_page("cyborg"))
    with deployed(folder, mariadb.create_database(), service) as deployment:
        world = World(rabbitmq, url, deployment, users=["cyborg"])
        deployment.dbsync()
        deployment.conductor()
        for host in (world.hostile, world.victim):
            world.start_agent(host, world.agent_user(host))
        deployment.http()
        deployment.wait_for_device(world.hostile)
        deployment.api.profile("one")
        yield world
    for user in world.users:
        rabbitmq.delete_user(user)
    rabbitmq.delete_vhost(url)
    # Where oslo.messaging numbers the processes of a host.
    for counter in Path("/dev/shm").glob(f"{world.hostile}*"):
        counter.unlink()


def message(method: str = "ping", **fields: object) -> Any:
    """Return a message as oslo.messaging makes it."""
    content = {
        "method": method,
        "args": {},
        "version": "1.0",
        "_unique_id": secrets.token_hex(16),
        **fields,
    }
    body = json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(content)})
    return amqp.Message(body, content_type="application/json", content_encoding="utf-8")


def test_the_service_works(world: World) -> None:
    """Reports, a preparation and a release go through."""
    world.life()
    for process in world.deployment.processes:
        assert "ACCESS_REFUSED" not in process.text(), process.text()


#: What an agent may not, by what it would be good for. Each gets a channel, the name of what is
#: its own, and that of what is another agent's.
ATTEMPTS: dict[str, Callable[[Any, str, str], object]] = {
    "call the API's door": lambda channel, own, other: channel.basic_publish(
        message(), "openstack", "cyborg-conductor", mandatory=True
    ),
    "call one conductor": lambda channel, own, other: channel.basic_publish(
        message(), "openstack", "cyborg-conductor.conductor", mandatory=True
    ),
    "call all conductors": lambda channel, own, other: channel.basic_publish(
        message(), "cyborg-conductor_fanout", ""
    ),
    "call the API's queue": lambda channel, own, other: channel.basic_publish(
        message(), "", "cyborg-conductor", mandatory=True
    ),
    "let dead letters call": lambda channel, own, other: channel.queue_declare(
        f"{own}_fanout_letters", arguments={"x-dead-letter-exchange": "openstack"}
    ),
    "let dead letters call the queue": lambda channel, own, other: channel.queue_declare(
        f"{own}_fanout_letters_too", arguments={"x-dead-letter-exchange": ""}
    ),
    "let what has no queue call": lambda channel, own, other: channel.exchange_declare(
        f"{own}_fanout_x", "fanout", arguments={"alternate-exchange": "openstack"}
    ),
    "let a bound exchange call": lambda channel, own, other: channel.exchange_bind(
        "openstack", own, "never"
    ),
    "read the API's calls": lambda channel, own, other: channel.basic_get("cyborg-conductor"),
    "copy the API's calls": lambda channel, own, other: channel.queue_bind(
        own, "openstack", "never"
    ),
    "read the agents' calls": lambda channel, own, other: channel.basic_get("cyborg-reports"),
    "copy the agents' calls": lambda channel, own, other: channel.queue_bind(
        own, "amq.topic", "never"
    ),
    "copy the agents' calls twice": lambda channel, own, other: channel.exchange_bind(
        own, "amq.topic", "never"
    ),
    "send another agent work": lambda channel, own, other: channel.basic_publish(
        message(), other, other, mandatory=True
    ),
    "send another agent's queue work": lambda channel, own, other: channel.basic_publish(
        message(), "", other, mandatory=True
    ),
    "send another agent's fanout work": lambda channel, own, other: channel.basic_publish(
        message(), f"{other}_fanout", ""
    ),
    "let a bound exchange send work": lambda channel, own, other: channel.exchange_bind(
        other, own, "never"
    ),
    "let the queue of another have one's work": lambda channel, own, other: channel.queue_bind(
        other, own, "never"
    ),
    "get another's work": lambda channel, own, other: channel.basic_get(other),
    "consume another's work": lambda channel, own, other: channel.basic_consume(other),
    "copy another's work": lambda channel, own, other: channel.queue_bind(own, other, "never"),
    "copy another's work twice": lambda channel, own, other: channel.exchange_bind(
        own, other, "never"
    ),
    "get another's answers": lambda channel, own, other: channel.basic_get(
        f"reply_{other.removeprefix('cyborg-agent.')}:cyborg-agent:1"
    ),
    "empty another's queue": lambda channel, own, other: channel.queue_purge(other),
    "delete another's queue": lambda channel, own, other: channel.queue_delete(
        other, if_unused=True
    ),
    "delete another's exchange": lambda channel, own, other: channel.exchange_delete(
        other, if_unused=True
    ),
    "delete the API's door": lambda channel, own, other: channel.exchange_delete(
        "openstack", if_unused=True
    ),
    "delete the agents' door": lambda channel, own, other: channel.queue_delete(
        "cyborg-reports", if_unused=True
    ),
}


@pytest.mark.parametrize("purpose", ATTEMPTS)
def test_an_agent_may_not(world: World, purpose: str) -> None:
    """The service may: what it is refused is wrong in another way, which is told later."""
    names = (f"cyborg-agent.{world.hostile}", f"cyborg-agent.{world.victim}")
    with world.channel(f"cyborg-{world.hostile}") as channel:
        with pytest.raises(amqp.AccessRefused):
            ATTEMPTS[purpose](channel, *names)
    with world.channel("cyborg") as channel:
        try:
            ATTEMPTS[purpose](channel, *names)
        except amqp.PreconditionFailed as error:
            assert "in use" in str(error)


def knock(world: World, method: str, arguments: Mapping[str, object]) -> dict[str, Any]:
    """Call the agents' door with an agent's credentials; return the envelope."""
    answers = f"reply_{world.hostile}:cyborg-agent:{secrets.randbelow(10**9)}"
    with world.channel(f"cyborg-{world.hostile}") as channel:
        channel.queue_declare(answers, auto_delete=False)
        channel.basic_publish(
            message(method, args=arguments, _msg_id="1", _reply_q=answers),
            "amq.topic",
            "cyborg-reports",
            mandatory=True,
        )
        answer = wait_for("an answer", lambda: channel.basic_get(answers, no_ack=True))
        channel.queue_delete(answers)
    content = json.loads(json.loads(answer.body)["oslo.message"])
    envelope: dict[str, Any] = content["result"]
    return envelope


def test_what_the_api_calls_is_not_at_the_agents_door(world: World) -> None:
    """With the same message the agents' own calls go through."""
    assert knock(world, "heartbeat", {"host": "nobody", "digest": ""}) == {"v": 1, "result": False}
    for method, arguments in (
        ("delete_accelerator_requests_of", {"instance_uuid": new_uuid()}),
        ("delete_device_profiles", {"uuids": []}),
    ):
        assert knock(world, method, arguments)["error"]["code"] == ReleaseMismatch.code


def test_an_answer_that_is_sent_astray_does_nothing(world: World) -> None:
    """A conductor answers to whichever queue a caller names."""
    [conductor] = [p for p in world.deployment.processes if p.command == "cyborg-conductor"]
    [victim] = [p for p in world.deployment.processes if p.log.name == f"{world.victim}.log"]
    with world.channel(f"cyborg-{world.hostile}") as channel:
        for queue in (f"cyborg-agent.{world.victim}", "cyborg-conductor", "cyborg-reports"):
            channel.basic_publish(
                message("heartbeat", args={"host": "x", "digest": ""}, _msg_id="1", _reply_q=queue),
                "amq.topic",
                "cyborg-reports",
                mandatory=True,
            )
    dropped = "message dropped, it is no call"
    wait_for("the conductor's look at it", lambda: conductor.text().count(dropped) == 2)
    wait_for("the agent's look at it", lambda: dropped in victim.text())
    world.life()
    assert "Traceback" not in conductor.text() + victim.text()


def _says(process: Process, line: str) -> bool:
    return line in process.text()


def test_a_right_that_comes_late_needs_no_restart(world: World) -> None:
    """Here with a random name for the queue of answers, as the page has it, too."""
    host = f"{world.hostile}-late"
    agent = world.start_agent(host, world.user(f"cyborg-{host}", ["^$"] * 3), named=False)
    for line in ("message queue not reached topic=cyborg-reports", "message queue refuses"):
        wait_for(line, partial(_says, agent, line))
    assert "ACCESS_REFUSED" in agent.text()
    assert "Traceback" not in agent.text()
    rights = [
        pattern.replace(rf"reply_{host}:cyborg-agent:[0-9]+", "reply_[0-9a-f]{32}")
        for pattern in rights_on_the_page("cyborg-HOST", host)
    ]
    world.rabbitmq.set_rights(world.url, f"cyborg-{host}", rights)
    world.deployment.wait_for_device(host)
