"""The ways from our processes to the servers, in a process of their own.

The proxies would otherwise share an interpreter with the load and with the stand-ins, and what
takes long would be measured of the tool.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from proxy import Proxy

_STOP_SECONDS = 5


class Way:
    """Our way to one server. Its methods are those of a proxy."""

    def __init__(self, ways: Ways, name: str, port: int) -> None:
        self._ways = ways
        self._name = name
        self.port = port

    def mend(self) -> None:
        """Let everything through again."""
        self._ways.tell(self._name, "mend")

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        self._ways.tell(self._name, "cut")

    def delay(self, seconds: float) -> None:
        """Let everything that is sent to the server be late."""
        self._ways.tell(self._name, "delay", seconds)

    def hold(self) -> None:
        """Keep connections, and let nothing through."""
        self._ways.tell(self._name, "hold")

    def answer(self, status: int, body: str = "", methods: tuple[str, ...] = ()) -> None:
        """Answer HTTP requests in the server's place."""
        self._ways.tell(self._name, "answer", status, body, methods)

    def answered(self) -> int:
        """Return how many requests were answered in the server's place, from the start on."""
        return int(self._ways.tell(self._name, "answered"))


class Ways:
    """All of them. One thread at a time may change them."""

    def __init__(self, targets: Mapping[str, tuple[str, int]]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, dict(targets)), daemon=True)
        self._process.start()
        other.close()
        ports: dict[str, int] = self._pipe.recv()
        self._ways = {name: Way(self, name, port) for name, port in ports.items()}

    def __getitem__(self, name: str) -> Way:
        return self._ways[name]

    def mend(self) -> None:
        """Mend all of them."""
        for way in self._ways.values():
            way.mend()

    def tell(self, name: str, action: str, *arguments: object) -> Any:
        """Have a proxy do something, or return what it says."""
        self._pipe.send((name, action, arguments))
        return self._pipe.recv()

    def close(self) -> None:
        """End them."""
        self._pipe.close()
        self._process.join(_STOP_SECONDS)
        self._process.kill()


def _serve(pipe: Connection, targets: Mapping[str, tuple[str, int]]) -> None:
    """Be the process of the proxies, until nobody holds the other end any more."""
    proxies = {name: Proxy(*address) for name, address in targets.items()}
    pipe.send({name: proxy.port for name, proxy in proxies.items()})
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            name, action, arguments = pipe.recv()
            found = getattr(proxies[name], action)
            pipe.send(found(*arguments) if callable(found) else found)
