"""The agents as the conductor sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cyborg.domain.work import Work
from cyborg.rpc.caller import cast
from cyborg.rpc.transport import agent_door
from cyborg.rpc.wire import to_wire


class AgentClient:
    """Sends work, and waits for no answer: an agent calls ``finish_job`` when it is done.

    An answer to a message goes to the queue that the message names, and who may write there may
    write to every queue. So agents answer none.
    """

    def __init__(self, transport: Any, keep: Callable[[], float] | None = None) -> None:
        """Make a client.

        :param keep: seconds for which work waits in the queue of an agent that is away; what is
            still wanted then is sent again. By default it waits for ever.
        """
        self._transport = transport
        self._keep = keep

    def start(self, host: str, work: Work) -> None:
        """Send one piece of work to a host's agent. May be lost: the job's lease sees to it.

        :raises ServiceUnavailable: the queue, or the agent, is not there.
        """
        keep = self._keep() if self._keep is not None else None
        cast(self._transport, agent_door(host), "start", keep=keep, work=to_wire(work))
