"""The message queue left out: a client of the conductor that calls its endpoint."""

from __future__ import annotations

import json
from typing import Any

from cyborg.conductor.endpoint import ConductorEndpoint
from cyborg.rpc.transport import Caller
from cyborg.rpc.wire import open_answer


class InProcess(Caller):
    """Calls the endpoint as the message queue would."""

    def __init__(self, endpoint: ConductorEndpoint) -> None:
        self._endpoint = endpoint
        self.calls: list[str] = []

    def call(
        self, method: str, *, timeout: float, server: str | None = None, **arguments: Any
    ) -> Any:
        self.calls.append(method)
        sent = json.loads(json.dumps(arguments))
        answer = getattr(self._endpoint, method)({}, **sent)
        return open_answer(json.loads(json.dumps(answer)))
