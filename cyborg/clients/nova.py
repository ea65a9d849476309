"""Nova: events about accelerator requests, and what it knows of a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keystoneauth1.adapter import Adapter
from oslo_config import cfg

from cyborg.clients.http import BadAnswer, Service, load_adapter
from cyborg.domain.model import EventStatus

#: The first one that knows the event.
_VERSION = "2.82"
_EVENT = "accelerator-request-bound"


class CellUnavailable(BadAnswer):
    """Nova knows the server, and cannot reach the cell that knows more of it."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server as Nova describes it now."""

    project_id: str
    #: What Nova is doing with it: None when nothing is.
    task_state: str | None
    #: Name of the compute node's provider; None while it is on none.
    hostname: str | None


def load_nova(conf: cfg.ConfigOpts) -> Nova | None:
    """Return Nova as ``[nova]`` says, None if it says nothing.

    :raises ConfigurationError: it says something that cannot be used.
    """
    adapter = load_adapter(conf, "nova")
    return None if adapter is None else Nova(adapter)


class Nova:
    """Every method may raise ``ServiceUnavailable``."""

    def __init__(self, adapter: Adapter) -> None:
        self._service = Service("Nova", adapter)

    def send_events(
        self,
        instance_uuid: str,
        status: EventStatus,
        request_uuids: Sequence[str],
        timeout: float | None = None,
    ) -> dict[str, int]:
        """Tell how the binds of an instance's ARQs ended.

        :param timeout: seconds, before the option's.
        :returns: ARQ uuid to Nova's code: 200 taken, 404 no such server, 422 the server has
            no host yet, 400 refused.
        """
        events = [
            {
                "name": _EVENT,
                "server_uuid": instance_uuid,
                "tag": uuid,
                "status": status.value,
            }
            for uuid in request_uuids
        ]
        answer = self._service.ask(
            "POST",
            "/os-server-external-events",
            version=_VERSION,
            body={"events": events},
            timeout=timeout,
        )
        if answer.status in (400, 404, 422):
            return dict.fromkeys(request_uuids, answer.status)
        if answer.status not in (200, 207):
            raise self._service.unexpected(answer)
        return self._service.read(answer, _codes)

    def server(self, uuid: str) -> Server | None:
        """Return a server, None if Nova does not know it.

        :raises CellUnavailable: its cell does not answer.
        """
        answer = self._service.ask("GET", f"/servers/{uuid}", version=_VERSION)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._service.unexpected(answer)
        return self._service.read(answer, _server)


def _codes(body: Any) -> dict[str, int]:
    return {str(event["tag"]): int(event["code"]) for event in body["events"]}


def _server(body: Any) -> Server:
    server = body["server"]
    if server["status"] == "UNKNOWN" and "OS-EXT-STS:task_state" not in server:
        raise CellUnavailable(f"Nova: the cell of server {server['id']} does not answer")
    return Server(
        project_id=str(server["tenant_id"]),
        task_state=server["OS-EXT-STS:task_state"],
        hostname=server["OS-EXT-SRV-ATTR:hypervisor_hostname"],
    )
