"""The conductor as the agents see it.

Every call may raise ``RemoteError`` (the conductor's refusal, with code and status) or
``ServiceUnavailable``.
A method has the signature of its use case: see ``cyborg.conductor.endpoint``.
"""

from __future__ import annotations

from cyborg.domain.inventory import Snapshot
from cyborg.rpc.caller import Client
from cyborg.rpc.transport import AGENTS_DOOR


class AgentsDoorClient(Client):
    """What an agent may ask for, and nothing else."""

    door = AGENTS_DOOR

    def heartbeat(self, host: str, digest: str) -> bool:
        """Say that a host lives; return False when its whole report is wanted."""
        return bool(self._call("heartbeat", host=host, digest=digest))

    def report(self, host: str, snapshot: Snapshot) -> None:
        """Apply what a host found. What breaks the schema is refused and changes nothing."""
        self._call("report", host=host, snapshot=snapshot.to_wire())

    def begin_work(self, host: str, uuid: str, generation: int, step: int) -> bool:
        """Say that a job is about to touch its hardware; return whether it still may.

        :param step: the number of the job's step that begins.
        """
        return bool(
            self._call("begin_work", host=host, uuid=uuid, generation=generation, step=step)
        )

    def finish_job(self, host: str, uuid: str, generation: int, error: str | None) -> None:
        """Report how a job ended: ``error`` is None, or says why it failed.

        What is not about the newest attempt, or is another host's, has no effect.
        """
        self._call("finish_job", host=host, uuid=uuid, generation=generation, error=error)
