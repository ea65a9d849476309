"""The API on top of a conductor, and agents, in this process.

Only the message queue between them is left out: what crosses it is turned into JSON and
back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import sqlalchemy as sa
import webob

from cyborg.api.app import build_application
from cyborg.conductor.endpoint import API_USE_CASES
from cyborg.conductor.environment import Environment
from cyborg.db.database import ReadDatabase
from cyborg.db.tables import metadata
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.rpc.caller import Caller
from cyborg.rpc.conductor import ConductorClient
from cyborg.rpc.table import TableEndpoint
from cyborg.rpc.wire import open_answer
from cyborg.tests.helpers import HOST, counted_statements

NAME = f"{HOST}_FakeDevice"
PROVIDER = provider_uuid(NAME)
ARQS = "/v2/accelerator_requests"


class InProcess(Caller):
    """Calls what the API may call, or an agent, as the message queue would."""

    def __init__(
        self, env: Environment, use_cases: Mapping[str, Callable[..., Any]] = API_USE_CASES
    ) -> None:
        self._endpoint = TableEndpoint(use_cases, env)
        self.calls: list[str] = []

    def call(self, method: str, *, timeout: float, **arguments: Any) -> Any:
        self.calls.append(method)
        sent = json.loads(json.dumps(arguments))
        answer = getattr(self._endpoint, method)({}, **sent)
        return open_answer(json.loads(json.dumps(answer)))


class Service:
    """The API on top of a conductor."""

    def __init__(self, env: Environment) -> None:
        env.conf.set_override("auth_strategy", "noauth")
        self.env = env
        self.queue = InProcess(env)
        client = ConductorClient(None, lambda: 1.0, self.queue)
        self.database = ReadDatabase(env.conf)
        self.application = build_application(env.conf, self.database, client)

    def ask(
        self, method: str, path: str, body: object = None, raw: bytes | None = None, **headers: str
    ) -> webob.Response:
        request = webob.Request.blank(path, {"REMOTE_ADDR": "127.0.0.1"}, method=method)
        if raw is None and body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            request.body = raw
            request.content_type = "application/json"
        request.headers["OpenStack-API-Version"] = "accelerator latest"
        request.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
        return request.get_response(self.application)

    def make(self, profile: str = "one") -> list[str]:
        answer = self.ask("POST", ARQS, {"device_profile_name": profile})
        assert answer.status_int == 201, answer.text
        return [arq["uuid"] for arq in answer.json["arqs"]]

    def bind(self, uuids: list[str], **values: str) -> webob.Response:
        values = {
            "hostname": HOST,
            "device_rp_uuid": PROVIDER,
            "instance_uuid": new_uuid(),
            **values,
        }
        patch = [{"op": "add", "path": f"/{key}", "value": value} for key, value in values.items()]
        return self.ask("PATCH", ARQS, dict.fromkeys(uuids, patch))

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        """Collect the statements of both, and count the messages."""
        with ExitStack() as stack:
            of_api = stack.enter_context(counted_statements(self.database.engine))
            of_conductor = stack.enter_context(counted_statements(self.env.database.engine))
            both: list[str] = []
            yield both
            both += [*of_api, *of_conductor]

    def rows(self) -> dict[str, list[Any]]:
        """Return everything that is in the database."""
        with self.env.database.reader() as connection:
            return {
                table.name: [tuple(row) for row in connection.execute(sa.select(table))]
                for table in metadata.sorted_tables
            }
