"""What Keystone and Placement have in common: their virtual environment, HTTP, their requests."""

import json
import shlex
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from requests import Response, Session

from cyborg.tests.servers import serve
from cyborg.tests.servers.base import Server
from cyborg.tests.servers.installed import programs_in

SERVICES = "CYBORG_TEST_SERVICES"
#: The name of our own helpers, whose requests no test wants to count.
AGENT = "cyborg-test-helper"
TIMEOUT_SECONDS = 30
SERVER_ERROR = 500


@dataclass(frozen=True)
class ServedRequest:
    """A request that a service has answered."""

    method: str
    path: str  # with the query
    status: int
    request_id: str | None  # that the caller sent
    version: str | None  # the header OpenStack-API-Version that the caller sent
    authenticated: bool  # there was a token, of whatever worth


class WsgiService(Server):
    """An OpenStack service from the services' virtual environment, on SQLite.

    Its folder is named by CYBORG_TEST_SERVICES, by default ``.venv-services`` of the checkout.
    Runs with our own rights, as root too: only we may be able to read our Python, and it gives
    nobody more than its API. It answers one request after the other.
    """

    user = None
    remedy = "make .venv-services/.made"
    program: ClassVar[str]  # in the virtual environment, tells that the service is installed

    def __init__(self) -> None:
        super().__init__()
        self._seen = 0
        self._http = Session()
        self._http.trust_env = False
        self._http.headers["User-Agent"] = AGENT

    @classmethod
    def binaries(cls) -> dict[str, str | None]:
        """Return the path of each program that is needed, None where it cannot be found."""
        return programs_in(".venv-services", SERVICES, (cls.program, "python"))

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL that clients are given."""

    def requests(self) -> list[ServedRequest]:
        """Return what was answered since the start or :meth:`forget_requests`, oldest first.

        The requests of our own helpers are left out.
        """
        try:
            lines = self._requests_file().read_bytes()[self._seen :].splitlines()
        except FileNotFoundError:
            return []
        noted = [json.loads(line) for line in lines]
        return [ServedRequest(**one) for one in noted if one.pop("agent") != AGENT]

    def forget_requests(self) -> None:
        """Let :meth:`requests` begin anew."""
        self._seen = self._requests_file().stat().st_size

    def stop(self) -> None:
        """End the server, its processes and its folder. May be called twice.

        :raises ServerError: its keeper does not end.
        """
        super().stop()
        self._http.close()

    def _prepare(self) -> None:
        super()._prepare()
        self._seen = 0

    def _requests_file(self) -> Path:
        return self.folder / serve.REQUESTS

    def _request(self, method: str, url: str, **options: Any) -> Response:
        return self._http.request(method, url, timeout=TIMEOUT_SECONDS, **options)

    def _check(self) -> None:
        answer = self._http.get(f"http://127.0.0.1:{self.port}/", timeout=TIMEOUT_SECONDS)
        if answer.status_code >= SERVER_ERROR:
            raise ConnectionError(answer.text)

    def _script(self) -> str:
        program = [self.binary("python"), "-I", "-W", "ignore", serve.__file__]
        return f"exec {shlex.join([*program, self.name, str(self.port)])}"
