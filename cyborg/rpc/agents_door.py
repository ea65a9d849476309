"""The conductor as the agents see it.

Every call may raise ``RemoteError`` (the conductor's refusal, with code and status) or
``ServiceUnavailable``.
A method has the signature of its use case: see ``cyborg.conductor.endpoint``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cyborg.domain.inventory import Snapshot
from cyborg.domain.work import OwnedHandle, Work
from cyborg.rpc.caller import Client
from cyborg.rpc.transport import AGENTS_DOOR
from cyborg.rpc.wire import from_wire


class AgentsDoorClient(Client):
    """What an agent may ask for, and nothing else."""

    door = AGENTS_DOOR
    listens = True

    def resume(self, host: str, *, agent: Mapping[str, Any] | None = None) -> list[Work]:
        """Say that an agent begins; return what it must do before it reports.

        :param agent: who it is, as plain data.
        """
        return from_wire(list[Work], self._call("resume", host=host, agent=agent))

    def heartbeat(self, host: str, digest: str, *, agent: Mapping[str, Any] | None = None) -> bool:
        """Say that a host lives; return False when its whole report is wanted.

        :param agent: who says so, as plain data; see
            :class:`cyborg.domain.agents.AgentIdentity`.
        """
        return bool(self._call("heartbeat", host=host, digest=digest, agent=agent))

    def report(
        self, host: str, snapshot: Snapshot, *, agent: Mapping[str, Any] | None = None
    ) -> None:
        """Apply what a host found. What breaks the schema is refused and changes nothing.

        :param agent: who says so.
        """
        self._call("report", host=host, snapshot=snapshot.to_wire(), agent=agent)

    def begin_work(
        self,
        host: str,
        uuid: str,
        generation: int,
        step: int,
        *,
        agent: Mapping[str, Any] | None = None,
    ) -> bool:
        """Say that a job is about to touch its hardware; return whether it still may.

        :param step: the number of the job's step that begins.
        :param agent: who is about to; of it only the boot counts.
        """
        return bool(
            self._call(
                "begin_work",
                host=host,
                uuid=uuid,
                generation=generation,
                step=step,
                agent=agent,
            )
        )

    def company(self, host: str, uuid: str, generation: int) -> list[OwnedHandle]:
        """Return all handles that somebody has of the driver that a job is for.

        None at all if that is not the newest attempt at a job of the host's.
        """
        return from_wire(
            list[OwnedHandle], self._call("company", host=host, uuid=uuid, generation=generation)
        )

    def tell_progress(self, host: str, works: Sequence[Mapping[str, Any]]) -> None:
        """Tell what a host's agent is at.

        :param works: each a :class:`cyborg.domain.work.WorkProgress` as plain data.
        """
        self._call("tell_progress", host=host, works=works)

    def finish_job(
        self,
        host: str,
        uuid: str,
        generation: int,
        error: str | None,
        *,
        away: bool = False,
        not_begun: bool = False,
    ) -> None:
        """Report how a job ended: ``error`` is None, or says why it failed.

        What is not about the newest attempt, or is another host's, has no effect.

        :param away: it failed because the device is not there. A conductor of the release
            before does not know that and refuses the answer, as it refuses none without: the
            job goes on, and is answered when there is one that does.
        :param not_begun: it was refused before the hardware was touched. The same holds: to an
            earlier conductor nothing is told, and so nothing is a failure there.
        """
        flags = {"away": away, "not_begun": not_begun}
        said = {name: True for name, is_so in flags.items() if is_so}
        self._call("finish_job", host=host, uuid=uuid, generation=generation, error=error, **said)
