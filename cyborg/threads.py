"""Threads that serve for as long as their process lives: a process that lost one ends.

It would look alive, and not do its part. A supervisor starts another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from oslo_log import log

LOG = log.getLogger(__name__)

#: Libraries whose threads serve as ours do; what they raise passes nobody else.
_LIBRARIES = ("cheroot", "oslo_messaging")

_when_lost: list[Callable[[str], None]] = []


def when_lost(end: Callable[[str], None]) -> None:
    """Say what ends this process: called with the thread's name, in that thread, at each loss.

    Until this is said, a loss is only logged.
    """
    _when_lost[:] = [end]
    threading.excepthook = _of_libraries


def serve(
    name: str, target: Callable[..., object], *arguments: object, done: Callable[[], bool]
) -> threading.Thread:
    """Start a thread that serves.

    :param done: whether it may end now: it was told to, or has come to its purpose.
    """
    thread = threading.Thread(
        target=_run, args=(name, target, arguments, done), name=name, daemon=True
    )
    thread.start()
    return thread


def _run(
    name: str,
    target: Callable[..., object],
    arguments: tuple[object, ...],
    done: Callable[[], bool],
) -> None:
    try:
        target(*arguments)
    except BaseException as error:  # a thread's outermost frame: whatever it is, it is lost
        _lose(name, error)
        return
    if not done():
        _lose(name, None)


def _lose(name: str, error: BaseException | None) -> None:
    LOG.critical("thread lost name=%s, the process ends", name, exc_info=error)
    for end in _when_lost:
        end(name)


def _of_libraries(failure: threading.ExceptHookArgs) -> None:
    """Lose the thread of a library that has failed; any other thread only says so."""
    name = failure.thread.name if failure.thread is not None else "unknown"
    if _outermost(failure.exc_traceback).partition(".")[0] in _LIBRARIES:
        _lose(name, failure.exc_value)
    else:
        LOG.error("thread failed name=%s", name, exc_info=failure.exc_value)


def _outermost(traceback: TracebackType | None) -> str:
    """Return the module in which a thread began."""
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module != threading.__name__:
            return module
        traceback = traceback.tb_next
    return ""
