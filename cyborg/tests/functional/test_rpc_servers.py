"""RPC servers over RabbitMQ: one that stops while it is called, and one that cannot answer."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import oslo_messaging
import pytest
from oslo_config import cfg
from oslo_messaging._metrics import client as metrics
from oslo_messaging._tracing import client as tracing

from cyborg.rpc import liveness, rabbit
from cyborg.rpc.server import Server
from cyborg.rpc.transport import API_DOOR, current_context, get_client, get_transport
from cyborg.tests.helpers import make_conf

kombu: Any = importlib.import_module("kombu")

CALLERS = 8
STOPS = 3
TIMEOUT = 8


class Endpoint:
    """Answers at once."""

    target = oslo_messaging.Target(version="1.0")

    def ping(self, _context: object) -> str:
        """Return a word."""
        return "pong"


@pytest.fixture
def conf(rabbit_url: str) -> cfg.ConfigOpts:
    """A configuration of the private RabbitMQ."""
    conf = make_conf("sqlite://")
    get_transport(conf).cleanup()  # registers its options, but for those that follow
    conf.register_opts(metrics.oslo_messaging_metrics, group="oslo_messaging_metrics")
    conf.register_opts(tracing.oslo_messaging_tracing, group="oslo_messaging_tracing")
    conf.set_override("transport_url", rabbit_url)
    return conf


@pytest.fixture
def transport(conf: cfg.ConfigOpts) -> Iterator[Callable[[], Any]]:
    """Make a transport, as each process has one of its own."""
    with ExitStack() as made:

        def make() -> Any:
            transport = get_transport(conf)
            made.callback(transport.cleanup)
            return transport

        yield make


@pytest.fixture
def other(transport: Callable[[], Any]) -> Iterator[Server]:
    """A server that goes on."""
    server = serving(transport(), "other")
    yield server
    stop(server)


def serving(transport: Any, name: str) -> Server:
    server = Server(transport, API_DOOR, name, Endpoint())
    server.start()
    assert server.wait_until_serving(30)
    return server


def stop(server: Server) -> None:
    server.begin_stop()
    server.join(30)


def test_what_a_stopping_server_was_sent_is_answered(
    transport: Callable[[], Any], other: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both sides are this process: where its machine stands still, callers would leave, rightly.
    monkeypatch.setattr(rabbit, "PATIENCE", TIMEOUT)
    monkeypatch.setattr(liveness, "SILENCE", TIMEOUT)
    client = get_client(transport(), API_DOOR).prepare(timeout=TIMEOUT)
    over = threading.Event()
    answers: list[str] = []

    def call() -> None:
        while not over.is_set():
            try:
                answers.append(client.call(current_context(), "ping"))
            except oslo_messaging.MessagingTimeout:
                answers.append("none")

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    for number in range(STOPS):
        first = serving(transport(), f"first-{number}")
        over.wait(0.5)
        stop(first)
    over.set()
    for caller in callers:
        caller.join()
    assert set(answers) == {"pong"}, f"{answers.count('none')} of {len(answers)} were lost"


class Deleting(Endpoint):
    """Answers when the queue of answers is gone."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.queue = ""

    def ping_without_queue(self, _context: object) -> str:
        """Delete the queue that is answered to, and return a word."""
        with kombu.Connection(self._url.replace("rabbit:", "amqp:")) as connection:
            connection.channel().queue_delete(self.queue)
        return "lost"


def test_who_had_no_queue_is_answered_when_it_has(
    conf: cfg.ConfigOpts, transport: Callable[[], Any], rabbit_url: str
) -> None:
    """After an outage of a minute everybody was without answers for another one."""
    conf.set_override("kombu_missing_consumer_retry_timeout", 0, group="oslo_messaging_rabbit")
    asking = transport()
    endpoint = Deleting(rabbit_url)
    server = Server(transport(), API_DOOR, "deleting", endpoint)
    server.start()
    assert server.wait_until_serving(30)
    client = get_client(asking, API_DOOR)
    assert client.prepare(timeout=TIMEOUT).call(current_context(), "ping") == "pong"
    endpoint.queue = asking._driver._reply_q
    with pytest.raises(oslo_messaging.MessagingTimeout):
        client.prepare(timeout=2).call(current_context(), "ping_without_queue")
    ends = time.monotonic() + 20
    while (answer := answered(client)) is None and time.monotonic() < ends:
        pass
    stop(server)
    assert answer == "pong"


def answered(client: Any) -> Any:
    try:
        return client.prepare(timeout=1).call(current_context(), "ping")
    except oslo_messaging.MessagingTimeout:
        return None
