"""A stand-in for Nova: a real HTTP server in the test process that behaves as Nova does."""

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import webob

from cyborg.tests.servers import nova_answers
from cyborg.tests.servers.keystone import Keystone
from cyborg.tests.servers.nova_answers import Fault, StandInServer, Version
from cyborg.tests.servers.stand_in import Mode, StandIn

_VERSION_PATHS = ("/v2.1", "/v2.1/")
_EVENTS_PATH = "/v2.1/os-server-external-events"
_LIST_PATH = "/v2.1/servers/detail"
_SERVER_PATH = re.compile(r"/v2\.1/servers/([^/]+)")

__all__ = ["EventsRequest", "NovaStandIn", "StandInServer"]


@dataclass(frozen=True)
class EventsRequest:
    """A request of external events."""

    events: list[dict[str, Any]]  # as sent; empty where the body has none
    status: int  # of the answer
    codes: list[int]  # by event; empty when the request was refused as a whole
    headers: dict[str, str]  # by name in lower case
    request_id: str | None  # that the caller sent
    has_token: bool
    time: float  # as time.monotonic()


class NovaStandIn(StandIn):
    """Answers as Nova 34 does to what this service asks of it."""

    service = "nova"

    def __init__(self, keystone: Keystone | None = None) -> None:
        super().__init__(keystone)
        #: By uuid; tests change it at will.
        self.servers: dict[str, StandInServer] = {}
        self._received: list[EventsRequest] = []

    @property
    def url(self) -> str:
        """The URL that the catalogue names."""
        return f"http://127.0.0.1:{self.port}/v2.1"

    @property
    def received(self) -> list[EventsRequest]:
        """The requests of events, oldest first, also those that were refused."""
        with self._lock:
            return list(self._received)

    def forget(self) -> None:
        """Let :attr:`received` and :attr:`requests` begin anew."""
        super().forget()
        with self._lock:
            self._received.clear()

    def _response(self, request: webob.Request, mode: Mode) -> webob.Response:
        response = self._answer(request, mode)
        if (request.method, request.path) == ("POST", _EVENTS_PATH):
            self._note(request, response)
        response.headers.update(nova_answers.request_id_headers())
        return response

    def _answer(self, request: webob.Request, mode: Mode) -> webob.Response:
        if mode.status is not None:
            return _json(Fault(mode.status, "The stand-in was told to fail.").body, mode.status)
        if request.method == "GET" and request.path in _VERSION_PATHS:
            return _json(nova_answers.version_document(f"{request.host_url}/v2.1"), 200)
        return request.get_response(self._authenticated)

    def _served(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = webob.Request(environ)
        version: Version | None = None
        try:
            if not request.headers.get("X-Auth-Token"):
                raise Fault(401, "The request you have made requires authentication.")
            version = nova_answers.negotiated(request.headers)
            status, body = self._dispatch(request, version)
        except Fault as fault:
            status, body = fault.status, fault.body
        answer: Iterable[bytes] = _json(body, status, version)(environ, start_response)
        return answer

    def _dispatch(self, request: webob.Request, version: Version) -> tuple[int, dict[str, Any]]:
        if (request.method, request.path) == ("POST", _EVENTS_PATH):
            nova_answers.check_events(body := _body(request), version)  # first, as in Nova
            self._require(request, "service", "os-server-external-events:create")
            status, answers = nova_answers.answered(body["events"], dict(self.servers))
            return status, {"events": answers}
        if (request.method, request.path) == ("GET", _LIST_PATH):
            self._require(request, "reader", "servers:detail")
            return 200, self._listed(request, version)
        if (match := _SERVER_PATH.fullmatch(request.path)) and request.method == "GET":
            self._require(request, "reader", "servers:show")
            project = None if self._has(request, "admin") else request.headers["X-Project-Id"]
            server = self.servers.get(match[1])
            return 200, nova_answers.server_document(match[1], server, version, self.url, project)
        raise Fault(404, "The resource could not be found.")

    def _listed(self, request: webob.Request, version: Version) -> dict[str, Any]:
        admin = self._has(request, "admin")
        everywhere = admin and "all_tenants" in request.GET
        project = None if everywhere else request.headers.get("X-Project-Id")
        query, url = dict(request.GET), self.url
        return nova_answers.server_list(
            dict(self.servers), query, version, url, project_id=project, admin=admin
        )

    def _require(self, request: webob.Request, role: str, rule: str) -> None:
        if not (self._has(request, role) or self._has(request, "admin")):
            raise Fault(403, f"Policy doesn't allow os_compute_api:{rule} to be performed.")

    def _note(self, request: webob.Request, response: webob.Response) -> None:
        codes = []
        if response.status_int in (200, 207):
            codes = [event["code"] for event in response.json["events"]]
        headers = {name.lower(): value for name, value in request.headers.items()}
        noted = EventsRequest(
            events=_sent_events(request),
            status=response.status_int,
            codes=codes,
            headers=headers,
            request_id=headers.get("x-openstack-request-id"),
            has_token=bool(headers.get("x-auth-token")),
            time=time.monotonic(),
        )
        with self._lock:
            self._received.append(noted)


def _json(body: dict[str, Any], status: int, version: Version | None = None) -> webob.Response:
    response = webob.Response(json_body=body, status=status, content_type="application/json")
    if version is not None:
        response.headers.update(nova_answers.version_headers(version))
    return response


def _body(request: webob.Request) -> Any:
    if request.content_type not in ("application/json", "text/plain", ""):
        raise Fault(415, "Unsupported Content-Type")
    try:
        return json.loads(request.body) if request.body else None
    except ValueError as error:
        raise Fault(400, "Malformed request body") from error


def _sent_events(request: webob.Request) -> list[dict[str, Any]]:
    try:
        events = json.loads(request.body)["events"]
    except (ValueError, KeyError, TypeError):
        return []
    return events if isinstance(events, list) else []
