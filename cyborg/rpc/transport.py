"""The transport, and the doors: where each side takes messages.

An exchange and the queues behind it are what RabbitMQ gives rights on, so each border between
processes has its own: see ``doc/source/admin/rabbitmq.rst``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_log import log
from oslo_messaging.rpc.server import RPCServer

from cyborg import threads
from cyborg.rpc import rabbit
from cyborg.rpc.context import MessageContext, answering
from cyborg.rpc.liveness import Calls

LOG = log.getLogger(__name__)

#: Sent with every message. It stays: a change that the other side need not know is an optional
#: argument, and any other one is another name.
API_VERSION = "1.0"

#: The conductor as the API sees it, in the exchange that ``control_exchange`` names.
API_DOOR = oslo_messaging.Target(topic="cyborg-conductor", version=API_VERSION)

#: The conductor as the agents see it. Whoever may declare an exchange may delete it; this one is
#: there in every broker, and nobody needs a right to declare it.
AGENTS_DOOR = oslo_messaging.Target(
    exchange="amq.topic", topic="cyborg-reports", version=API_VERSION
)

#: oslo.messaging makes a queue of this name, too, to which nothing is sent. No host's name ends
#: like this, so it is no other agent's.
AGENT_SERVER = "_agent"

#: When the caller leaves: see :class:`cyborg.rpc.context.MessageContext`. It is the message's
#: alone, and does not go along with what the work sends.
EXPIRES_AT = "expires_at"

_CONTEXT_FIELDS = ("request_id", "global_request_id", "user_id", "project_id")


def agent_door(host: str) -> Any:
    """Return where a host's agent takes work: an exchange and queues that only it may read."""
    name = f"cyborg-agent.{host}"
    return oslo_messaging.Target(exchange=name, topic=name, version=API_VERSION)


class ContextSerializer(oslo_messaging.NoOpSerializer):  # type: ignore[misc]  # untyped
    """Carries just enough of the request's context to follow it, and to know when to leave it."""

    def serialize_context(self, ctxt: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the fields that logs show, and when the caller leaves."""
        return {name: ctxt.get(name) for name in (*_CONTEXT_FIELDS, EXPIRES_AT)}

    def deserialize_context(self, ctxt: Mapping[str, Any]) -> MessageContext:
        """Make the caller's context this thread's, so that its log lines carry the id."""
        return MessageContext(**{name: ctxt.get(name) for name in (*_CONTEXT_FIELDS, EXPIRES_AT)})


def current_context() -> dict[str, Any]:
    """Return this thread's context as messages carry it."""
    current = oslo_context.get_current()
    return {name: getattr(current, name, None) for name in _CONTEXT_FIELDS}


def get_transport(conf: cfg.ConfigOpts) -> Any:
    """Return the transport that ``transport_url`` names; connects at first use."""
    transport = oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=[])
    rabbit.adapt(transport)
    return transport


def get_client(transport: Any, door: Any, keep: float | None = None) -> Any:
    """Return an RPC client. What no queue takes is refused at once, not waited for.

    :param keep: seconds after which a queue drops a message; by default as many as its answer is
        waited for.
    """
    return oslo_messaging.get_rpc_client(
        transport,
        door,
        transport_options=rabbit.Options(keep),
        serializer=ContextSerializer(),
    )


class _CallsOnly(RPCServer):  # type: ignore[misc]  # untyped
    """Drops what is no call, such as an answer whose asker named this queue for it.

    Left to oslo.messaging it would occupy a thread for a minute, in which nobody can be told that
    it was not understood. And tells callers that they are not forgotten, see
    :mod:`cyborg.rpc.liveness`.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._calls = Calls()

    def _create_listener(self) -> Any:
        listener = super()._create_listener()
        threads.serve("rpc-liveness", self._calls.run, self._has_ended, done=self._has_ended)
        return listener

    def _has_ended(self) -> bool:
        return not self._started

    def _on_incoming(self, incoming: Any) -> None:
        self._calls.take(incoming[0])
        super()._on_incoming(incoming)

    def _process_incoming(self, incoming: Any) -> None:
        [message] = incoming
        message.reply = partial(self._calls.answer, message, message.reply)
        try:
            if isinstance(message.message.get("method"), str):
                with answering(partial(self._calls.has_left, message)):
                    super()._process_incoming(incoming)
            else:
                LOG.warning("message dropped, it is no call topic=%s", self._target.topic)
        finally:
            self._calls.forget(message)


def get_server(transport: Any, door: Any, server: str, endpoint: object) -> Any:
    """Return an RPC server, not started. Starting it blocks until the queue is there."""
    return oslo_messaging.get_rpc_server(
        transport,
        door(server=server),
        [endpoint],
        serializer=ContextSerializer(),
        server_cls=_CallsOnly,
    )
