"""What the stand-ins for other services share: HTTP servers in the test process."""

import threading
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import webob
from cheroot import wsgi
from keystonemiddleware import auth_token
from oslo_config import cfg

from cyborg.tests.servers import system
from cyborg.tests.servers.keystone import Keystone
from cyborg.tests.servers.startable import Startable

_LOOK_SECONDS = 0.05
_THREADS = 20
_BACKLOG = 128


@dataclass(frozen=True)
class Mode:
    """How a stand-in answers."""

    delay: float = 0.0
    status: int | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class StandIn(Startable):
    """Answers as another service does. Several threads may tell it what to do, one at a time may
    take it up and down.

    Without a Keystone any token is an administrator's. With one, tokens are validated by it, and
    roles and projects count as with the service's own policies.
    """

    #: The service's user in Keystone, and its name here.
    service: str

    def __init__(self, keystone: Keystone | None = None) -> None:
        self._port: system.Port | None = None
        self._server: wsgi.Server | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._mode = Mode()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._authenticated = (
            self._served if keystone is None else _behind(self._served, keystone, self.service)
        )
        self._open = keystone is None

    @property
    def port(self) -> int:
        """The port, which stays while the service is down."""
        return self._port.number if self._port else 0

    @property
    def requests(self) -> Counter[tuple[str, str]]:
        """How many requests there were, by method and path."""
        with self._lock:
            return self._requests.copy()

    def count(self, method: str, path: str) -> int:
        """Return how many requests there were of a method and path."""
        return self.requests[method, path]

    def forget(self) -> None:
        """Let :attr:`requests` begin anew."""
        with self._lock:
            self._requests.clear()

    def normal(self) -> None:
        """Answer at once, as the service does."""
        self._change(Mode())

    def slow(self, seconds: float) -> None:
        """Do what is asked at once, and answer late; at once, when the mode changes."""
        self._change(Mode(delay=seconds))

    def failing(self, status: int) -> None:
        """Answer everything with an error, and do nothing."""
        self._change(Mode(status=status))

    def down(self) -> None:
        """Refuse connections, once what is under way is answered. The port stays ours."""
        if self._server and self._thread:
            mode = self._mode
            self._change(Mode(status=mode.status))  # a slow answer would be waited for
            self._server.stop()
            self._thread.join()
            self._server = self._thread = None
            self._change(Mode(mode.delay, mode.status))

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
            self._thread = threading.Thread(target=server.serve, name=self.service, daemon=True)
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

    def _change(self, mode: Mode) -> None:
        with self._lock:
            before, self._mode = self._mode, mode
        before.ended.set()

    def _application(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = webob.Request(environ)
        with self._lock:
            self._requests[request.method, request.path] += 1
            mode = self._mode
        response = self._response(request, mode)
        mode.ended.wait(mode.delay)
        answer: Iterable[bytes] = response(environ, start_response)
        return answer

    @abstractmethod
    def _response(self, request: webob.Request, mode: Mode) -> webob.Response:
        """Answer a request; what needs a token, by ``_authenticated``."""

    @abstractmethod
    def _served(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve a request that has been authenticated, unless everybody may ask."""

    def _has(self, request: webob.Request, role: str) -> bool:
        return self._open or role in request.headers.get("X-Roles", "").split(",")


def _behind(application: Any, keystone: Keystone, service: str) -> Any:
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    options = keystone.credentials(service) | {
        "www_authenticate_uri": keystone.url,
        "service_token_roles_required": "true",
        "oslo_config_config": conf,
    }
    return auth_token.AuthProtocol(application, options)
