"""The agents as the conductor sees them."""

from __future__ import annotations

from typing import Any

from cyborg.domain.work import Work
from cyborg.rpc.transport import AGENT_TOPIC, Caller
from cyborg.rpc.wire import to_wire


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
