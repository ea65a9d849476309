"""What else is owned of a host's hardware, for drivers whose cards are reset together."""

from __future__ import annotations

from cyborg.conductor.environment import Environment
from cyborg.db import jobs as rows
from cyborg.db.attach_handles import owned_handles
from cyborg.domain.work import OwnedHandle


def company(env: Environment, host: str, uuid: str, generation: int) -> list[OwnedHandle]:
    """Return all handles that somebody has of the driver that a job is for, its own among them.

    None at all if that is not the newest attempt at a job of the host's.
    """
    with env.database.reader() as connection:
        job = rows.peek(connection, uuid, generation)
        if job is None or job.host != host:
            return []
        return owned_handles(connection, host, job.work.driver)
