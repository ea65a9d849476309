"""Whose request a thread works for: carried to wherever the work goes on, shown in every log.

And for how long: the caller who has left and asks again must not find that both was done.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from oslo_context import context as oslo_context

_thread = threading.local()


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


class MessageContext(oslo_context.RequestContext):
    """What a message says of its request."""

    def __init__(self, *, expires_at: object = None, **fields: Any) -> None:
        """Make it this thread's.

        :param expires_at: when its caller leaves, by the database's clock: a time with a zone in
            ISO format. What is none counts as if it were not there.
        """
        super().__init__(overwrite=True, **fields)
        self.expires_at = _time(expires_at)


def deadline() -> datetime.datetime | None:
    """Return when, by the database's clock, nobody waits any more for what this thread does.

    None: it is not known, or the work is nobody's.
    """
    current = oslo_context.get_current()
    return current.expires_at if isinstance(current, MessageContext) else None


def caller_has_left() -> bool:
    """Return whether whoever waits for what this thread does may have left before the deadline."""
    has_left: Callable[[], bool] | None = getattr(_thread, "has_left", None)
    return deadline() is not None and has_left is not None and has_left()


@contextmanager
def answering(has_left: Callable[[], bool]) -> Iterator[None]:
    """Let this thread answer a call.

    :param has_left: whether its caller may have left.
    """
    _thread.has_left = has_left
    try:
        yield
    finally:
        _thread.has_left = None


@contextmanager
def untimed() -> Iterator[None]:
    """Let this thread go on, whoever waits: it follows from what is done already."""
    current = oslo_context.get_current()
    if not isinstance(current, MessageContext):
        yield
        return
    before, current.expires_at = current.expires_at, None
    try:
        yield
    finally:
        current.expires_at = before


def _time(text: object) -> datetime.datetime | None:
    try:
        time = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def forget() -> None:
    """Let this thread work for nobody: it serves somebody else next."""
    # oslo.context has no other way to forget.
    oslo_context._request_store.__dict__.pop("context", None)
