"""What an agent can be asked over RPC."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import cattrs
import oslo_messaging
from oslo_log import log

from cyborg.domain.work import Work
from cyborg.rpc.transport import API_VERSION
from cyborg.rpc.wire import answer, from_wire

LOG = log.getLogger(__name__)


class AgentEndpoint:
    """The methods' names and arguments are the protocol: see :mod:`cyborg.rpc.agent`."""

    target = oslo_messaging.Target(version=API_VERSION)

    def __init__(self, submit: Callable[[Work], None]) -> None:
        self._submit = submit

    def ping(self, ctxt: object) -> dict[str, Any]:
        """Answer, so that the caller knows that the queue and the agent are there."""
        return answer(lambda: None)

    def start(self, ctxt: object, work: object) -> None:
        """Take a piece of work; what cannot be understood is dropped, since nobody waits."""
        try:
            record = from_wire(Work, work)
            uuid.UUID(record.job_uuid)
            if not record.steps:
                raise ValueError("the work has no steps")
        except (cattrs.BaseValidationError, TypeError, ValueError) as error:
            LOG.warning("work not understood reason=%s", _innermost(error))
            return
        self._submit(record)


def _innermost(error: BaseException) -> str:
    """Return what is wrong with which field, without what the message held beside it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    notes = " ".join(getattr(error, "__notes__", ()))
    return f"{type(error).__name__}: {error} {notes}".strip()[:300]
