"""A way to a server that can be cut, slowed down, held up, and answered in the server's place.

What is not ours, or is used by others, does not go away: our way there does.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_CHUNK = 65536
_CONNECTION = re.compile(rb"(?im)^connection:.*\r\n")
_HEAD_END = b"\r\n\r\n"
_CONNECT_SECONDS = 10


def address_in(url: str, port: int) -> tuple[str, int]:
    """Return the host and port of a URL, which may leave out its standard port."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or port


def through(url: str, port: int) -> str:
    """Return a URL that leads to a port of 127.0.0.1 instead."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What is answered to requests instead of sending them on."""

    status: int
    body: str = ""
    #: Of the requests that are answered so; empty: of all. The others are sent on.
    methods: Collection[str] = ()

    def suits(self, head: bytes) -> bool:
        """Return whether it is for the request with this head."""
        return not self.methods or head.split(b" ", 1)[0].decode() in self.methods

    def encoded(self) -> bytes:
        """Return the bytes of the answer, after which the connection ends."""
        body = self.body.encode()
        head = (
            f"HTTP/1.1 {self.status} Told So\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body


@dataclass(frozen=True, slots=True)
class Mode:
    """How a proxy treats what goes through it."""

    is_cut: bool = False
    #: Seconds that each piece sent to the server is late.
    delay: float = 0.0
    #: Connections are taken and kept, and nothing goes through.
    is_held: bool = False
    answer: HttpAnswer | None = None
    #: Set when another mode begins.
    over: threading.Event = field(default_factory=threading.Event)


class Proxy:
    """Forwards a port of its own on 127.0.0.1 to an address. Open from the start."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._mode = Mode()
        self._answered = 0
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @property
    def answered(self) -> int:
        """How many requests were answered in the server's place."""
        with self._lock:
            return self._answered

    def cut(self) -> None:
        """End all connections, and refuse new ones as soon as they are made."""
        self._change(Mode(is_cut=True))
        self._end_all()

    def mend(self) -> None:
        """Let everything through again, at once; what was held up goes on."""
        answering = self._mode.answer is not None
        self._change(Mode())
        if answering:
            self._end_all()

    def delay(self, seconds: float) -> None:
        """Let every piece that is sent to the server be late."""
        self._change(Mode(delay=seconds))

    def hold(self) -> None:
        """Take connections and keep those there are, and let nothing through."""
        self._change(Mode(is_held=True))

    def answer(self, status: int, body: str = "", methods: Collection[str] = ()) -> None:
        """Answer HTTP requests in the server's place, each on a connection of its own."""
        self._change(Mode(answer=HttpAnswer(status, body, frozenset(methods))))
        self._end_all()

    def close(self) -> None:
        """End it for good."""
        self.cut()
        self._listener.close()

    def _change(self, mode: Mode) -> None:
        with self._lock:
            before, self._mode = self._mode, mode
        before.over.set()

    def _end_all(self) -> None:
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for one in sockets:
            _end(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._sockets.add(client)
        try:
            self._connect(client)
        except OSError:
            self._forget(client)

    def _connect(self, client: socket.socket) -> None:
        first = b""
        if (answer := self._mode.answer) is not None:
            first = _head(client)
            if answer.suits(first):
                with self._lock:
                    self._answered += 1
                client.sendall(answer.encoded())
                raise OSError("answered")
            # The next request is looked at, too.
            first = _CONNECTION.sub(b"", first).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        self._wait()
        server = socket.create_connection(self._target, timeout=_CONNECT_SECONDS)
        server.settimeout(None)
        with self._lock:
            self._sockets.add(server)
        if first:
            server.sendall(first)
        for source, sink in ((client, server), (server, client)):
            late = sink is server
            threading.Thread(target=self._pump, args=(source, sink, late), daemon=True).start()

    def _wait(self, *, is_late: bool = True) -> None:
        """Return when something may go on its way.

        :raises OSError: nothing may.
        """
        while (mode := self._mode).is_held:
            mode.over.wait()
        if mode.is_cut:
            raise OSError("cut")
        if mode.delay and is_late:
            mode.over.wait(mode.delay)

    def _pump(self, source: socket.socket, sink: socket.socket, is_late: bool) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                self._wait(is_late=is_late)
                sink.sendall(data)
        self._forget(source, sink)

    def _forget(self, *sockets: socket.socket) -> None:
        for one in sockets:
            _end(one)
        with self._lock:
            self._sockets.difference_update(sockets)


def _head(client: socket.socket) -> bytes:
    """Return what a client sends up to the end of a request's head, or a little more."""
    head = b""
    while _HEAD_END not in head:
        data = client.recv(_CHUNK)
        if not data:
            raise OSError("no request")
        head += data
    return head


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
