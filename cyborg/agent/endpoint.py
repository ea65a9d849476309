"""What an agent can be asked over RPC."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from oslo_log import log

from cyborg.domain.work import Work

LOG = log.getLogger(__name__)


def start(submit: Callable[[Work], None], work: Work) -> None:
    """Take a piece of work; what cannot be understood is dropped, since nobody waits."""
    try:
        uuid.UUID(work.job_uuid)
        if not work.steps:
            raise ValueError("the work has no steps")
    except ValueError as error:
        LOG.warning("work not understood reason=%s", error)
        return
    submit(work)


#: :class:`cyborg.rpc.agent.AgentClient`. None of them is answered.
WORK_USE_CASES: Mapping[str, Callable[..., Any]] = {"start": start}
