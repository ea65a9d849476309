"""Servers, callers, and what to do while the message queue is not there."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_log import log

from cyborg.domain.errors import CyborgError, RemoteError, ServiceUnavailable
from cyborg.rpc.wire import open_answer

LOG = log.getLogger(__name__)

CONDUCTOR_TOPIC = "cyborg-conductor"
AGENT_TOPIC = "cyborg-agent"
API_VERSION = "1.0"

#: Seconds to wait for an answer to the first message; that none came is as good as one.
PING_TIMEOUT = 1

_CONTEXT_FIELDS = ("request_id", "global_request_id", "user_id", "project_id")


class ContextSerializer(oslo_messaging.NoOpSerializer):  # type: ignore[misc]  # untyped
    """Carries just enough of the request's context to follow it through every log."""

    def serialize_context(self, ctxt: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the fields that logs show."""
        return {name: ctxt.get(name) for name in _CONTEXT_FIELDS}

    def deserialize_context(self, ctxt: Mapping[str, Any]) -> oslo_context.RequestContext:
        """Make the caller's context this thread's, so that its log lines carry the id."""
        fields: dict[str, Any] = {name: ctxt.get(name) for name in _CONTEXT_FIELDS}
        return oslo_context.RequestContext(overwrite=True, **fields)


def get_transport(conf: cfg.ConfigOpts) -> Any:
    """Return the transport that ``transport_url`` names; connects at first use."""
    return oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=[])


def get_server(transport: Any, topic: str, server: str, endpoint: object) -> Any:
    """Return an RPC server, not started. Starting it blocks until the queue is there."""
    return oslo_messaging.get_rpc_server(
        transport,
        oslo_messaging.Target(topic=topic, server=server),
        [endpoint],
        serializer=ContextSerializer(),
    )


class Caller:
    """Calls a topic and opens the answers. Fails fast, never hangs.

    oslo.messaging blocks for ever, whatever timeout it is given, as long as the queue has
    never been reached. So until one call in the background has got through to the queue,
    every other one is refused at once.
    """

    def __init__(self, transport: Any, topic: str) -> None:
        self._client = oslo_messaging.get_rpc_client(
            transport,
            oslo_messaging.Target(topic=topic, version=API_VERSION),
            # What no queue takes is refused at once, not waited for.
            transport_options=oslo_messaging.TransportOptions(at_least_once=True),
            serializer=ContextSerializer(),
        )
        self._topic = topic
        self._reached = threading.Event()

    def connect(self) -> None:
        """Begin to reach the queue, in the background, for as long as it takes."""
        threading.Thread(target=self._reach, name="rpc-connect", daemon=True).start()

    def wait_until_reached(self, timeout: float) -> bool:
        """Wait until calls are worth making; return False if that did not come in time."""
        return self._reached.wait(timeout)

    def _reach(self) -> None:
        while not self._reached.is_set():
            try:
                self._client.prepare(timeout=PING_TIMEOUT).call({}, "ping")
            except (oslo_messaging.MessagingTimeout, oslo_messaging.MessageUndeliverable):
                LOG.info("message queue reached; nobody answers there yet")
            except oslo_messaging.MessageDeliveryFailure as error:
                LOG.warning("message queue not reached: %s", error)
                continue
            except oslo_messaging.RemoteError:
                LOG.info("message queue reached; somebody who does not know us answers there")
            self._reached.set()

    def call(
        self, method: str, *, timeout: float, server: str | None = None, **arguments: Any
    ) -> Any:
        """Call and return the result.

        :raises RemoteError: the other side refused, with its code and status.
        :raises ServiceUnavailable: the queue is not there, or no answer came in time.
        """
        with self._available():
            prepared = self._client.prepare(timeout=timeout, retry=0, server=server)
            return open_answer(prepared.call(_context(), method, **arguments))

    def cast(self, method: str, *, server: str, **arguments: Any) -> None:
        """Send without waiting; may be lost.

        :raises ServiceUnavailable: the queue, or the server, is not there.
        """
        with self._available():
            self._client.prepare(retry=0, server=server).cast(_context(), method, **arguments)

    @contextmanager
    def _available(self) -> Iterator[None]:
        if not self._reached.is_set():
            raise ServiceUnavailable("The message queue has not been reached yet; try again.")
        try:
            yield
        except oslo_messaging.MessageUndeliverable as error:
            raise ServiceUnavailable(f"No {self._topic} is there now; try again.") from error
        except oslo_messaging.MessageDeliveryFailure as error:
            raise ServiceUnavailable("The message queue is not available; try again.") from error
        except oslo_messaging.MessagingTimeout as error:
            raise ServiceUnavailable(f"No {self._topic} answered in time; try again.") from error
        except oslo_messaging.RemoteError as error:
            # Something that the other side did not expect either: its log has it.
            LOG.error("remote failure topic=%s: %s", self._topic, error)
            raise RemoteError(
                "An unexpected error happened.", CyborgError.code, CyborgError.http_status
            ) from error


def _context() -> dict[str, Any]:
    current = oslo_context.get_current()
    return {name: getattr(current, name, None) for name in _CONTEXT_FIELDS}
