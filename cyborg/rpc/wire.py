"""Records and errors as plain JSON data, which is all that crosses a process border.

An answer is an envelope ``{"v": 1, "result": …}`` or ``{"v": 1, "error": {…}}``. Fields
that the other side does not know are ignored, so that neighbouring versions understand
each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cyborg.domain.errors import CyborgError, RemoteError
from cyborg.domain.plain import from_plain as from_wire
from cyborg.domain.plain import to_plain as to_wire

__all__ = ["VERSION", "answer", "from_wire", "open_answer", "to_wire"]

VERSION = 1


def answer(work: Callable[[], Any]) -> dict[str, Any]:
    """Run ``work`` and put its result, or the error that a caller may see, in an envelope."""
    try:
        return {"v": VERSION, "result": to_wire(work())}
    except CyborgError as error:
        return {
            "v": VERSION,
            "error": {
                "code": error.code,
                "http_status": error.http_status,
                "detail": error.detail,
            },
        }


def open_answer(envelope: Mapping[str, Any]) -> Any:
    """Return an envelope's result.

    :raises RemoteError: it holds an error.
    """
    error = envelope.get("error")
    if error is not None:
        raise RemoteError(error["detail"], error["code"], error["http_status"])
    return envelope["result"]
