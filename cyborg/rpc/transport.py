"""The transport, and the doors: where each side takes messages.

An exchange and the queues behind it are what RabbitMQ gives rights on, so each border between
processes has its own: see ``doc/source/admin/rabbitmq.rst``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_log import log
from oslo_messaging.rpc.server import RPCServer

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

_CONTEXT_FIELDS = ("request_id", "global_request_id", "user_id", "project_id")


def agent_door(host: str) -> Any:
    """Return where a host's agent takes work: an exchange and queues that only it may read."""
    name = f"cyborg-agent.{host}"
    return oslo_messaging.Target(exchange=name, topic=name, version=API_VERSION)


class ContextSerializer(oslo_messaging.NoOpSerializer):  # type: ignore[misc]  # untyped
    """Carries just enough of the request's context to follow it through every log."""

    def serialize_context(self, ctxt: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the fields that logs show."""
        return {name: ctxt.get(name) for name in _CONTEXT_FIELDS}

    def deserialize_context(self, ctxt: Mapping[str, Any]) -> oslo_context.RequestContext:
        """Make the caller's context this thread's, so that its log lines carry the id."""
        fields: dict[str, Any] = {name: ctxt.get(name) for name in _CONTEXT_FIELDS}
        return oslo_context.RequestContext(overwrite=True, **fields)


def current_context() -> dict[str, Any]:
    """Return this thread's context as messages carry it."""
    current = oslo_context.get_current()
    return {name: getattr(current, name, None) for name in _CONTEXT_FIELDS}


def get_transport(conf: cfg.ConfigOpts) -> Any:
    """Return the transport that ``transport_url`` names; connects at first use."""
    return oslo_messaging.get_rpc_transport(conf, allowed_remote_exmods=[])


def get_client(transport: Any, door: Any) -> Any:
    """Return an RPC client. What no queue takes is refused at once, not waited for."""
    return oslo_messaging.get_rpc_client(
        transport,
        door,
        transport_options=oslo_messaging.TransportOptions(at_least_once=True),
        serializer=ContextSerializer(),
    )


class _CallsOnly(RPCServer):  # type: ignore[misc]  # untyped
    """Drops what is no call, such as an answer whose asker named this queue for it.

    Left to oslo.messaging it would occupy a thread for a minute, in which nobody can be told that
    it was not understood.
    """

    def _process_incoming(self, incoming: Any) -> None:
        if isinstance(incoming[0].message.get("method"), str):
            super()._process_incoming(incoming)
        else:
            LOG.warning("message dropped, it is no call topic=%s", self._target.topic)


def get_server(transport: Any, door: Any, server: str, endpoint: object) -> Any:
    """Return an RPC server, not started. Starting it blocks until the queue is there."""
    return oslo_messaging.get_rpc_server(
        transport,
        door(server=server),
        [endpoint],
        serializer=ContextSerializer(),
        server_cls=_CallsOnly,
    )
