"""JSON bodies: whatever a client sends is either data or a 4xx, never a 500."""

from __future__ import annotations

import json
import math
from typing import Any

import webob

from cyborg.api.errors import UnsupportedMediaType
from cyborg.domain.errors import InvalidInput

#: Far more than any body of ours has; far less than what a recursive reader can take.
MAX_DEPTH = 16


def read_json(request: webob.Request) -> object:
    """Return the body as plain data.

    :raises InvalidInput: empty, malformed, too deep, or with what no database can store.
    :raises UnsupportedMediaType: there is a body, and it is not declared to be JSON.
    """
    body: bytes = request.body
    if not body:
        raise InvalidInput("Missing argument: a JSON body is needed.")
    if request.content_type.lower() != "application/json":
        raise UnsupportedMediaType("The Content-Type must be application/json.")
    try:
        data: object = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidInput("The body is not UTF-8.") from error
    except RecursionError as error:
        raise InvalidInput("The body is nested too deeply.") from error
    except ValueError as error:
        raise InvalidInput(f"The body is not valid JSON: {str(error)[:200]}") from error
    _check(data)
    return data


def check_text(text: str, where: str) -> None:
    """Check that a string can be stored: PostgreSQL takes no NUL, UTF-8 no lone surrogate.

    :raises InvalidInput: it cannot.
    """
    if "\0" in text:
        raise InvalidInput(f"{where} contains a NUL character.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{where} contains half of a surrogate pair.") from error


def _check(data: object) -> None:
    waiting = [(data, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise InvalidInput("The body is nested too deeply.")
        if isinstance(value, str):
            check_text(value, "The body")
        elif isinstance(value, list):
            waiting.extend((item, depth + 1) for item in value)
        elif isinstance(value, dict):
            waiting.extend((item, depth + 1) for pair in value.items() for item in pair)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two equal keys the decoder would keep one in silence.
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is given twice")
    return result


def _constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_float)
