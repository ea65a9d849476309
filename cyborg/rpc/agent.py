"""The agents as the conductor sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cyborg.domain.model import JobKind
from cyborg.rpc.transport import AGENT_TOPIC, Caller
from cyborg.rpc.wire import to_wire


@dataclass(frozen=True, slots=True)
class Work:
    """One attempt at a job, as an agent gets it. The same work again has no second effect."""

    job_uuid: str
    #: The newest attempt has the highest; an agent answers with the one it was given.
    generation: int
    kind: JobKind
    #: Entry point name of the driver.
    driver: str
    #: Identity of the device: work on the same one is done one after the other.
    device: str
    deployable: str
    handle_uuid: str
    handle_type: str
    handle_info: Mapping[str, str]
    #: The device profile's group, so that a driver finds its ``accel:`` keys.
    group: Mapping[str, str]
    #: What follows is of a programming only; it has no handle and no group. How the device
    #: is addressed.
    control_path: Mapping[str, str] = field(default_factory=dict)
    image_uuid: str | None = None
    #: Who must be allowed to use the image.
    project_id: str | None = None


class AgentClient:
    """Sends work; the agent reports its end through the conductor's ``finish_job``."""

    def __init__(self, transport: Any) -> None:
        self._caller = Caller(transport, AGENT_TOPIC)
        self.connect = self._caller.connect

    def start(self, host: str, work: Work) -> None:
        """Send one piece of work to a host's agent. May be lost: the job's lease sees to it.

        :raises ServiceUnavailable: the queue is not there.
        """
        self._caller.cast("start", server=host, work=to_wire(work))
