"""A way to the database, or to the message queue, that can be cut.

Both are the machine's, and others use them: so it is not they that go away, but our way there.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

_CHUNK = 65536


def address_in(url: str, port: int) -> tuple[str, int]:
    """Return the host and port of a URL, which may leave out its standard port."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or port


def through(url: str, port: int) -> str:
    """Return a URL that leads to a port of 127.0.0.1 instead."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()


class Proxy:
    """Forwards a port of its own on 127.0.0.1 to an address. Open from the start."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._open = True
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def cut(self) -> None:
        """End all connections, and refuse new ones as soon as they are made."""
        with self._lock:
            self._open = False
            sockets, self._sockets = self._sockets, set()
        for one in sockets:
            _end(one)

    def mend(self) -> None:
        """Let connections through again."""
        with self._lock:
            self._open = True

    def close(self) -> None:
        """End it for good."""
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            if not self._open:
                raise OSError("cut")
            server = socket.create_connection(self._target, timeout=10)
            server.settimeout(None)
        except OSError:
            _end(client)
            return
        with self._lock:
            if not self._open:
                _end(client)
                _end(server)
                return
            self._sockets |= {client, server}
        for pair in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                sink.sendall(data)
        for one in (source, sink):
            _end(one)
        with self._lock:
            self._sockets -= {source, sink}


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
