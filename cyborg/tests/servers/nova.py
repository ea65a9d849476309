"""A stand-in for Nova: a real HTTP server in the test process that behaves as Nova does."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import webob
from cheroot import wsgi
from keystonemiddleware import auth_token
from oslo_config import cfg

from cyborg.tests.servers import nova_answers, system
from cyborg.tests.servers.keystone import Keystone
from cyborg.tests.servers.nova_answers import Fault, StandInServer, Version

_VERSION_PATHS = ("/v2.1", "/v2.1/")
_EVENTS_PATH = "/v2.1/os-server-external-events"
_SERVER_PATH = re.compile(r"/v2\.1/servers/([^/]+)")
_LOOK_SECONDS = 0.05
_THREADS = 20
_BACKLOG = 128

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


@dataclass(frozen=True)
class _Mode:
    delay: float = 0.0
    status: int | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class NovaStandIn:
    """Answers as Nova 34 does to what this service asks of it.

    Without a Keystone any token is an administrator's. With one, tokens are validated by it, and
    roles and projects count as with Nova's own policies. Several threads may tell it what to do,
    one at a time may take it up and down.
    """

    def __init__(self, keystone: Keystone | None = None) -> None:
        #: By uuid; tests change it at will.
        self.servers: dict[str, StandInServer] = {}
        self._port: system.Port | None = None
        self._server: wsgi.Server | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._mode = _Mode()
        self._received: list[EventsRequest] = []
        self._requests: Counter[tuple[str, str]] = Counter()
        self._authenticated = self._served if keystone is None else _behind(self._served, keystone)
        self._open = keystone is None

    @property
    def port(self) -> int:
        """The port, which stays while Nova is down."""
        return self._port.number if self._port else 0

    @property
    def url(self) -> str:
        """The URL that the catalogue names."""
        return f"http://127.0.0.1:{self.port}/v2.1"

    @property
    def received(self) -> list[EventsRequest]:
        """The requests of events, oldest first, also those that were refused."""
        with self._lock:
            return list(self._received)

    @property
    def requests(self) -> Counter[tuple[str, str]]:
        """How many requests there were, by method and path."""
        with self._lock:
            return self._requests.copy()

    def count(self, method: str, path: str) -> int:
        """Return how many requests there were of a method and path."""
        return self.requests[method, path]

    def forget(self) -> None:
        """Let :attr:`received` and :attr:`requests` begin anew."""
        with self._lock:
            self._received.clear()
            self._requests.clear()

    def normal(self) -> None:
        """Answer at once, as Nova does."""
        self._change(_Mode())

    def slow(self, seconds: float) -> None:
        """Do what is asked at once, and answer late; at once, when the mode changes."""
        self._change(_Mode(delay=seconds))

    def failing(self, status: int) -> None:
        """Answer everything with an error, and do nothing."""
        self._change(_Mode(status=status))

    def down(self) -> None:
        """Refuse connections, once what is under way is answered. The port stays ours."""
        if self._server and self._thread:
            mode = self._mode
            self._change(_Mode(status=mode.status))  # a slow answer would be waited for
            self._server.stop()
            self._thread.join()
            self._server = self._thread = None
            self._change(_Mode(mode.delay, mode.status))

    def up(self) -> None:
        """Take connections again, on the same port and in the same mode."""
        if self._server is None:
            server = wsgi.Server(
                ("127.0.0.1", self.port),
                self._application,
                numthreads=_THREADS,
                request_queue_size=_BACKLOG,
            )
            server.expiration_interval = _LOOK_SECONDS  # so long it may take to end
            server.prepare()  # listens from here on
            self._thread = threading.Thread(target=server.serve, name="nova", daemon=True)
            self._thread.start()
            self._server = server

    def start(self) -> None:
        """Take a port and serve."""
        self._port = self._port or system.Port()
        self.up()

    def stop(self) -> None:
        """End it, and let others have the port. May be called twice."""
        self.down()
        if self._port:
            self._port.release()
            self._port = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _change(self, mode: _Mode) -> None:
        with self._lock:
            before, self._mode = self._mode, mode
        before.ended.set()

    def _application(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = webob.Request(environ)
        with self._lock:
            self._requests[request.method, request.path] += 1
            mode = self._mode
        response = self._response(request, mode)
        if (request.method, request.path) == ("POST", _EVENTS_PATH):
            self._note(request, response)
        response.headers.update(nova_answers.request_id_headers())
        mode.ended.wait(mode.delay)
        answer: Iterable[bytes] = response(environ, start_response)
        return answer

    def _response(self, request: webob.Request, mode: _Mode) -> webob.Response:
        if mode.status is not None:
            return _json(Fault(mode.status, "The stand-in was told to fail.").body, mode.status)
        if request.method == "GET" and request.path in _VERSION_PATHS:
            return _json(nova_answers.version_document(self.url), 200)
        return request.get_response(self._authenticated)

    def _served(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve a request that has been authenticated, unless everybody may ask."""
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
        if (match := _SERVER_PATH.fullmatch(request.path)) and request.method == "GET":
            self._require(request, "reader", "servers:show")
            project = None if self._has(request, "admin") else request.headers["X-Project-Id"]
            server = self.servers.get(match[1])
            return 200, nova_answers.server_document(match[1], server, version, self.url, project)
        raise Fault(404, "The resource could not be found.")

    def _has(self, request: webob.Request, role: str) -> bool:
        return self._open or role in request.headers.get("X-Roles", "").split(",")

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


def _behind(application: Any, keystone: Keystone) -> Any:
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    options = keystone.credentials("nova") | {
        "www_authenticate_uri": keystone.url,
        "service_token_roles_required": "true",
        "oslo_config_config": conf,
    }
    return auth_token.AuthProtocol(application, options)


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
