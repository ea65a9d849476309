"""Whose request a thread works for: carried to wherever the work goes on, shown in every log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from oslo_context import context as oslo_context


@contextmanager
def working_for(request_id: str | None, global_request_id: str | None) -> Iterator[None]:
    """Let this thread's log lines and messages carry the ids of the request that began the work.

    Work that nobody asked for gets an id of its own.
    """
    before = oslo_context.get_current()
    oslo_context.RequestContext(
        request_id=request_id, global_request_id=global_request_id, overwrite=True
    )
    try:
        yield
    finally:
        if before is None:
            forget()
        else:
            before.update_store()


def forget() -> None:
    """Let this thread work for nobody: it serves somebody else next."""
    # oslo.context has no other way to forget.
    oslo_context._request_store.__dict__.pop("context", None)
