"""Records and errors as plain JSON data, which is all that crosses a process border.

An answer is an envelope ``{"v": 1, "result": …}`` or ``{"v": 1, "error": {…}}``. Fields
that the other side does not know are ignored, so that neighbouring versions understand
each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from cattrs.preconf.json import make_converter

from cyborg.domain.errors import CyborgError, RemoteError

VERSION = 1

T = TypeVar("T")

_converter = make_converter()


def to_wire(record: object) -> Any:
    """Return a record (or list of them) as plain data."""
    return _converter.unstructure(record)


def from_wire(kind: type[T], data: object) -> T:
    """Return the record that plain data stands for."""
    return _converter.structure(data, kind)


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
