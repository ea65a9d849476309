"""Calls and casts: what goes wrong on the way is one of two errors, and a line in the log."""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import oslo_messaging
import pytest
from kombu.exceptions import OperationalError
from oslo_config import cfg
from oslo_messaging._metrics import client as metrics
from oslo_messaging._tracing import client as tracing

from cyborg.domain.errors import ReleaseMismatch, RemoteError, ServiceUnavailable
from cyborg.rpc import caller, server
from cyborg.rpc.caller import Caller, cast
from cyborg.rpc.server import Server
from cyborg.rpc.table import TableEndpoint
from cyborg.rpc.transport import API_VERSION, get_server

PATIENCE = 10.0


@pytest.fixture
def transport() -> Iterator[Any]:
    conf = cfg.ConfigOpts()
    # oslo.messaging registers these on the global options only, and reads them from any.
    conf.register_opts(metrics.oslo_messaging_metrics, group="oslo_messaging_metrics")
    conf.register_opts(tracing.oslo_messaging_tracing, group="oslo_messaging_tracing")
    # Unlike fake://, it turns what a server raises into what crosses.
    url = f"kombu+memory://{uuid.uuid4().hex}/"
    transport = oslo_messaging.get_rpc_transport(conf, url=url, allowed_remote_exmods=[])
    yield transport
    transport.cleanup()


@pytest.fixture
def door() -> Any:
    return oslo_messaging.Target(topic=uuid.uuid4().hex, version=API_VERSION)


@pytest.fixture
def serve(transport: Any, door: Any) -> Iterator[Callable[[object], None]]:
    started = []

    def serve(endpoint: object) -> None:
        started.append(get_server(transport, door, "server", endpoint))
        started[-1].start()

    yield serve
    for each in started:
        each.stop()
        each.wait()


def reached(transport: Any, door: Any) -> Caller:
    made = Caller(transport, door)
    made._reached.set()
    return made


def echo(env: None, text: str) -> str:
    return text


class Another:
    """An endpoint of a release that does its own dispatch."""

    target = oslo_messaging.Target(version="2.0")

    def echo(self, ctxt: object, text: str) -> None:
        """Never called: its version is another one."""


@pytest.mark.parametrize(
    "endpoint", [TableEndpoint({}, None), object(), Another()], ids=["ours", "method", "version"]
)
def test_what_the_other_side_does_not_know_is_no_500(
    transport: Any,
    door: Any,
    serve: Callable[[object], None],
    caplog: pytest.LogCaptureFixture,
    endpoint: object,
) -> None:
    serve(endpoint)
    with pytest.raises(RemoteError, match="release") as refusal:
        reached(transport, door).call("echo", timeout=PATIENCE, text="a")
    assert (refusal.value.code, refusal.value.http_status) == (ReleaseMismatch.code, 503)
    (line,) = [r.getMessage() for r in caplog.records if r.name == caller.__name__]
    assert line.startswith(f"call not understood topic={door.topic}: ")
    assert "echo" in line or "2.0" in line or API_VERSION in line


def test_a_cast_needs_no_answer(transport: Any, door: Any, serve: Callable[[object], None]) -> None:
    taken: queue.Queue[str] = queue.Queue()
    serve(TableEndpoint({"put": lambda first, text: first.put(text)}, taken))
    cast(transport, door, "put", text="a")
    assert taken.get(timeout=PATIENCE) == "a"


class Scripted:
    """A client of oslo.messaging that raises what it is given, one after the other."""

    def __init__(self, *errors: Exception | None) -> None:
        self._errors = list(errors)

    def prepare(self, **_options: object) -> Scripted:
        return self

    def call(self, *_arguments: object, **_named: object) -> dict[str, Any]:
        error = self._errors.pop(0)
        if error is not None:
            raise error
        return {"v": 1, "result": None}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "RETRY_INTERVAL", 0.001)
    monkeypatch.setattr(server, "RETRY_INTERVAL", 0.001)


@pytest.mark.usefixtures("impatient")
def test_whatever_the_queue_refuses_is_tried_again(
    transport: Any, door: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread that ended here would leave every call refused for ever."""
    refusals = [
        OperationalError("nobody listens"),
        oslo_messaging.MessageDeliveryFailure("(403) ACCESS_REFUSED"),
        RuntimeError("what nobody thought of"),
    ]
    made: Any = Caller(transport, door)
    made._client = Scripted(*refusals, None)
    with pytest.raises(ServiceUnavailable):
        made.call("echo", timeout=1)
    made.connect()
    assert made.wait_until_reached(PATIENCE)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(refusals)
    for line, refusal in zip(lines, refusals, strict=True):
        assert line.startswith(f"message queue not reached topic={door.topic}")
        assert str(refusal) in line


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("nobody listens"),
        oslo_messaging.MessageDeliveryFailure("refused"),
        oslo_messaging.MessagingTimeout("late"),
        oslo_messaging.MessageUndeliverable(Exception(), "exchange", "key", "message"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_queue_that_is_not_there_is_one_error(transport: Any, door: Any, error: Any) -> None:
    made: Any = reached(transport, door)
    made._client = Scripted(error)
    with pytest.raises(ServiceUnavailable):
        made.call("echo", timeout=1)


class Refusing:
    """An RPC server that the queue refuses to start, as long as it is told to."""

    def __init__(self, allowed: threading.Event, steps: queue.Queue[str]) -> None:
        self._allowed = allowed
        self._steps = steps

    def start(self) -> None:
        if not self._allowed.is_set():
            raise oslo_messaging.MessageDeliveryFailure("(403) ACCESS_REFUSED")
        self._steps.put("started")

    def stop(self) -> None:
        self._steps.put("stopped")

    def wait(self) -> None:
        self._steps.put("ended")


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_refused_starts_as_soon_as_it_may(
    transport: Any, door: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    allowed, steps = threading.Event(), queue.Queue[str]()
    monkeypatch.setattr(server, "get_server", lambda *_arguments: Refusing(allowed, steps))
    made = Server(transport, door, "server", object())
    made.start()
    assert not made.wait_until_serving(0.01)
    assert steps.empty()
    allowed.set()
    assert made.wait_until_serving(PATIENCE)
    made.begin_stop()
    made.join(PATIENCE)
    assert [steps.get(timeout=PATIENCE) for _ in range(3)] == ["started", "stopped", "ended"]
    record = caplog.records[0]
    assert record.levelno == logging.ERROR
    assert "refuses" in record.getMessage()
    assert "ACCESS_REFUSED" in record.getMessage()
