"""Serving a door, in the background, as soon as the message queue lets us."""

from __future__ import annotations

import threading
from typing import Any

from oslo_log import log

from cyborg import threads
from cyborg.rpc.transport import get_server

LOG = log.getLogger(__name__)

#: Seconds between two tries to serve, where the queue refuses.
RETRY_INTERVAL = 2.0


class Server:
    """An RPC server, whose start and stop block while RabbitMQ is not there."""

    def __init__(self, transport: Any, door: Any, name: str, endpoint: object) -> None:
        self._transport = transport
        self._door = door
        self._name = name
        self._endpoint = endpoint
        self._serving = threading.Event()
        self._stop_wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to serve, as soon as the queue is there."""
        self._thread = threads.serve("rpc-server", self._serve, done=self._stop_wanted.is_set)

    def wait_until_serving(self, timeout: float | None = None) -> bool:
        """Wait until messages are taken; return False if that did not come in time."""
        return self._serving.wait(timeout)

    def begin_stop(self) -> None:
        """Take no more messages. Returns at once."""
        self._stop_wanted.set()

    def join(self, timeout: float) -> None:
        """Wait until no message is being handled, but no longer than ``timeout``."""
        if self._thread is not None:
            self._thread.join(max(0.0, timeout))

    def _serve(self) -> None:
        server = self._started()
        if server is None:
            return
        self._serving.set()
        self._stop_wanted.wait()
        try:
            server.stop()
            _take_what_was_sent(server)
            server.wait()
        except Exception:  # a thread's outermost loop
            LOG.exception("RPC server not stopped topic=%s", self._door.topic)

    def _started(self) -> Any:
        """Return a server that runs, or None when it is not wanted any more."""
        while not self._stop_wanted.is_set():
            # One that failed to start cannot be started again.
            server = get_server(self._transport, self._door, self._name, self._endpoint)
            try:
                server.start()
                return server
            except Exception as error:  # a thread's outermost loop: nobody else would try again
                LOG.error(
                    "message queue refuses to be served from topic=%s, trying again: %s: %s",
                    self._door.topic,
                    type(error).__name__,
                    error,
                )
            self._stop_wanted.wait(RETRY_INTERVAL)
        return None


def _take_what_was_sent(server: Any) -> None:
    """Have RabbitMQ send nothing more to a stopped server, and serve what it has sent by then.

    oslo.messaging goes on being sent messages until it closes its connection, and what comes while
    that waits for the broker is acknowledged and thrown away: requests that nobody answers.
    """
    listener = getattr(getattr(server, "listener", None), "_poll_style_listener", None)
    consumers = getattr(getattr(listener, "conn", None), "_consumers", None)
    if listener is None or not consumers:
        return  # not RabbitMQ
    try:
        # The thread that took messages has ended, so the connection is this one's.
        for consumer, tag in list(consumers.items()):
            consumer.cancel(tag)
    except Exception as error:  # whatever the driver's libraries raise, the queue is away
        LOG.warning("message queue not told of the stop: %s: %s", type(error).__name__, error)
    while listener.incoming:
        server._on_incoming([listener.incoming.pop(0)])
