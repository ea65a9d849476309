"""Fields of the wire: declared once with WSME, for reading bodies and for writing objects.

WSME's own output costs 17 µs an item, so a :class:`View` writes objects and collections
alike, straight from the declaration.
"""

from __future__ import annotations

import datetime
import operator
import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import wsme.exc
from wsme import types as wtypes
from wsme.rest import json as wsme_json

from cyborg.domain.errors import InvalidInput

_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\Z")
_MAX_ECHO = 300

R = TypeVar("R")
D = TypeVar("D", bound="Declaration")


def canonical_uuid(text: str) -> str | None:
    """Return a uuid in lower case with dashes, None if the text is none."""
    lowered = text.lower()
    if not _UUID.match(lowered):
        return None
    digits = lowered.replace("-", "")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def require_uuid(text: object, what: str) -> str:
    """Return a uuid in lower case with dashes.

    :raises InvalidInput: it is none.
    """
    uuid = canonical_uuid(text) if isinstance(text, str) else None
    if uuid is None:
        raise InvalidInput(f"{what} must be a uuid, not '{str(text)[:_MAX_ECHO]}'.")
    return uuid


class Declaration(wtypes.Base):  # type: ignore[misc]  # wsme has no types
    """Base of all declarations: the wire's fields, never a record's."""


class Json(wtypes.UserType):  # type: ignore[misc]  # as above
    """Any JSON value; who uses it checks it."""

    name = "json"


class Link(Declaration):
    """Where an object is."""

    href = wtypes.text
    rel = wtypes.text


def self_link(resource: str) -> Callable[[Any, str], object]:
    """Return what makes the ``links`` of a resource's objects."""
    return lambda record, base: [{"href": f"{base}/v2/{resource}/{record.uuid}", "rel": "self"}]


def read(declared: type[D], data: object) -> D:
    """Return a body's fields. Those that are not declared are ignored, as clients send some.

    :raises InvalidInput: not an object, a mandatory field is missing, or one is wrong.
    """
    if not isinstance(data, dict):
        raise InvalidInput("The body must be a JSON object.")
    names = {attribute.name for attribute in wtypes.list_attributes(declared)}
    known = {name: value for name, value in data.items() if name in names}
    try:
        body: D = wsme_json.fromjson(declared, known)
    except wsme.exc.ClientSideError as error:
        raise InvalidInput(error.faultstring[:_MAX_ECHO]) from error
    return body


def given(value: R) -> R | None:
    """Return a field's value, None if it was not sent."""
    return None if value is wtypes.Unset else value


class View(Generic[R]):
    """How a record looks on the wire: each declared field, in the order of declaration.

    A field's value is the record's of the same name, unless a function derives it from the
    record and the base URL.
    """

    def __init__(self, declared: type[Declaration], **derived: Callable[[R, str], object]) -> None:
        attributes = wtypes.list_attributes(declared)
        self._fields = tuple(
            (field.name, derived.get(field.name) or _reader(field.name, field.datatype))
            for field in attributes
        )
        unknown = set(derived) - {field.name for field in attributes}
        if unknown:
            raise TypeError(f"not declared: {', '.join(sorted(unknown))}")

    def __call__(self, record: R, base: str) -> dict[str, object]:
        """Return the record as plain JSON data."""
        return {name: value(record, base) for name, value in self._fields}


def _reader(name: str, datatype: object) -> Callable[[Any, str], object]:
    get = operator.attrgetter(name)
    if datatype is datetime.datetime:
        return lambda record, _base: _time(get(record))
    return lambda record, _base: get(record)


def _time(value: datetime.datetime | None) -> str | None:
    return None if value is None else value.isoformat(timespec="microseconds")
