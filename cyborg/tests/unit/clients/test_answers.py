"""Whatever another service answers is either understood or ServiceUnavailable."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from keystoneauth1.adapter import Adapter
from keystoneauth1.session import Session
from keystoneauth1.token_endpoint import Token
from oslo_context import context as oslo_context

from cyborg.clients import http
from cyborg.clients.nova import CellUnavailable, Nova, Server
from cyborg.clients.placement import (
    GenerationConflict,
    NameTaken,
    Placement,
    ProviderInUse,
    UnknownName,
)
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.model import EventStatus
from cyborg.rpc.context import working_for

UUID = "11111111-1111-4111-8111-111111111111"


class Network(requests.adapters.BaseAdapter):
    """The border of the process: gives one answer, or fails, and keeps what was sent."""

    def __init__(self, status: int = 200, body: object = None, error: Exception | None = None):
        super().__init__()
        self.status = status
        self.content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.error = error
        self.sent: list[requests.PreparedRequest] = []
        self.timeouts: list[Any] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        """Answer."""
        self.sent.append(request)
        self.timeouts.append(options.get("timeout"))
        if self.error is not None:
            raise self.error
        response = requests.Response()
        response.status_code = self.status
        response.reason = "Because"
        response.headers["Content-Type"] = "application/json"
        response._content = self.content
        response.raw = io.BytesIO(self.content)
        response.request = request
        response.url = str(request.url)
        return response

    def close(self) -> None:
        """Nothing to close."""


def adapter(network: Network, service_type: str) -> Adapter:
    session = requests.Session()
    session.mount("http://", network)
    auth = Token("http://there", "token")
    return Adapter(Session(auth=auth, session=session, timeout=7), service_type=service_type)


def placement(network: Network) -> Placement:
    return Placement(adapter(network, "placement"))


def nova(network: Network) -> Nova:
    return Nova(adapter(network, "compute"))


CALLS: list[Callable[[Network], object]] = [
    lambda network: placement(network).provider(UUID),
    lambda network: placement(network).provider_named("host"),
    lambda network: placement(network).tree(UUID),
    lambda network: placement(network).create_provider(UUID, "name", UUID),
    lambda network: placement(network).inventories(UUID),
    lambda network: placement(network).put_inventories(UUID, 1, {}),
    lambda network: placement(network).traits(UUID),
    lambda network: placement(network).put_traits(UUID, 1, ["A"]),
    lambda network: placement(network).existing_traits(["A"]),
    lambda network: placement(network).consumers(UUID),
    lambda network: nova(network).server(UUID),
    lambda network: nova(network).send_events(UUID, EventStatus.COMPLETED, [UUID]),
]


NONSENSE: list[object] = [b"", b"<html>", b"\xff\xfe", None, [], {}, "text", 7, {"servers": {}}]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "network",
    [
        *(Network(status) for status in (302, 401, 403, 406, 429, 500, 502, 503)),
        Network(error=requests.exceptions.ConnectionError("refused")),
        Network(error=requests.exceptions.ReadTimeout("late")),
        *(Network(200, body) for body in NONSENSE),
        Network(200, {"resource_providers": [{"uuid": 1}], "allocations": 3, "traits": None}),
    ],
)
def test_what_is_no_answer_is_unavailable(
    network: Network, call: Callable[[Network], object]
) -> None:
    with pytest.raises(ServiceUnavailable) as raised:
        call(network)
    assert str(raised.value).startswith(("Placement: ", "Nova: "))
    assert "\n" not in str(raised.value)


def test_an_answer_that_is_too_large_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER", 10)
    with pytest.raises(ServiceUnavailable, match="too large"):
        placement(Network(200, {"resource_providers": []})).provider_named("host")


def conflict(code: str) -> Network:
    return Network(409, {"errors": [{"status": 409, "code": code}]})


@pytest.mark.parametrize(
    ("network", "error"),
    [
        (conflict("placement.concurrent_update"), GenerationConflict),
        (conflict("placement.inventory.inuse"), ProviderInUse),
        (Network(409, b"no JSON"), GenerationConflict),
        (Network(404), GenerationConflict),
        (Network(400, {"errors": []}), UnknownName),
    ],
)
def test_what_a_put_can_meet(network: Network, error: type[Exception]) -> None:
    with pytest.raises(error):
        placement(network).put_inventories(UUID, 1, {})


def test_what_the_others_can_meet() -> None:
    with pytest.raises(NameTaken):
        placement(Network(409)).create_provider(UUID, "name", UUID)
    with pytest.raises(ProviderInUse):
        placement(Network(409)).delete_provider(UUID)
    placement(Network(404)).delete_provider(UUID)
    for nothing in ("provider", "inventories", "traits", "consumers"):
        assert getattr(placement(Network(404)), nothing)(UUID) is None
    assert nova(Network(404)).server(UUID) is None


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_refusal_of_all_events_is_one_of_each(status: int) -> None:
    codes = nova(Network(status)).send_events(UUID, EventStatus.FAILED, ["a", "b"])
    assert codes == {"a": status, "b": status}


def test_a_server_without_its_cell_is_not_known() -> None:
    partial = {"id": UUID, "tenant_id": "p", "status": "UNKNOWN"}
    with pytest.raises(CellUnavailable):
        nova(Network(200, {"server": partial})).server(UUID)
    whole = {
        **partial,
        "OS-EXT-STS:task_state": None,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": "host",
    }
    assert nova(Network(200, {"server": whole})).server(UUID) == Server("p", None, "host")


def test_what_is_sent() -> None:
    network = Network(200, {"resource_providers": []})
    with working_for("req-1", None):
        placement(network).provider_named("a b&c")
    with working_for("req-1", "req-2"):
        placement(network).tree(UUID, "OWNER_CYBORG")
    placement(network).provider_named("x")
    first, second, third = network.sent
    assert first.url == "http://there/resource_providers?name=a+b%26c"
    assert first.headers["OpenStack-API-Version"] == "placement 1.26"
    assert first.headers["X-Auth-Token"] == "token"
    assert first.headers["X-OpenStack-Request-ID"] == "req-1"
    assert second.headers["X-OpenStack-Request-ID"] == "req-2"
    assert "X-OpenStack-Request-ID" not in third.headers
    assert network.timeouts == [7, 7, 7]


def test_a_call_can_be_given_less_time() -> None:
    network = Network(404)
    placement(network).inventories(UUID, 1.5)
    assert network.timeouts == [1.5]


def test_a_clock_that_is_put_back_delays_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter limits its rate by the wall clock, and slept for an hour."""
    slept: list[float] = []
    there = adapter(Network(200, {"traits": []}), "placement")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    monkeypatch.setattr(time, "sleep", slept.append)
    assert there.get("/traits").status_code == 200
    assert slept.pop() > 3500, "keystoneauth has changed"
    service = http.Service("Placement", there)
    assert service.ask("GET", "/traits").status == 200
    with service.stream("/traits") as parts:
        assert b"".join(parts)
    assert slept == []


def test_a_thread_works_for_nobody_afterwards() -> None:
    seen = [current_id()]
    with working_for("req-1", None):
        with working_for("req-2", None):
            seen.append(current_id())
        seen.append(current_id())
    assert [*seen, current_id()] == [None, "req-2", "req-1", None]


def current_id() -> str | None:
    return getattr(oslo_context.get_current(), "request_id", None)
