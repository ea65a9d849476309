"""What surrounds each part of the pipeline that may fail: a request's id, its context for the
log, and answers to whatever is raised.

In a paste file's pipeline there may be several such parts, and filters of others between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from oslo_config import cfg
from oslo_middleware import request_id

from cyborg.api.context import ContextScope
from cyborg.api.errors import Faults


class RequestIds:
    """Middleware: gives a request an id, unless it has one from further out."""

    def __init__(self, application: Any, conf: cfg.ConfigOpts) -> None:
        self._application = application
        self._identified = request_id.RequestId(application, conf)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        known = request_id.ENV_REQUEST_ID in environ
        target = self._application if known else self._identified
        answer: Iterable[bytes] = target(environ, start_response)
        return answer


def enveloped(application: Any, conf: cfg.ConfigOpts) -> Any:
    """Return the application inside all three."""
    return RequestIds(ContextScope(Faults(application)), conf)
