"""Fields of the wire: declared once with WSME, for reading bodies, for writing objects, and
for the API's description.

WSME's own output costs 17 µs an item, so a :class:`View` writes objects and collections
alike, straight from the declaration.
"""

from __future__ import annotations

import datetime
import functools
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import wsme.exc
from wsme import types as wtypes
from wsme.rest import json as wsme_json

from cyborg.api.microversions import MINIMUM, V2_4, Version
from cyborg.domain.errors import InvalidInput

_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\Z")
_MAX_ECHO = 300

R = TypeVar("R")
D = TypeVar("D", bound="Declaration")

#: What a writer gets: the record and the base URL.
Derivation = Callable[[R, str], object]


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


class Field(wtypes.wsattr):  # type: ignore[misc]  # wsme has no types
    """A field: its type, its meaning in a sentence, and in which versions it is there.

    :param until: the first version without it.
    :param values: all that a string can be.
    """

    def __init__(
        self,
        datatype: Any,
        meaning: str,
        *,
        mandatory: bool = False,
        nullable: bool = False,
        since: Version = MINIMUM,
        until: Version | None = None,
        values: tuple[str, ...] = (),
    ) -> None:
        super().__init__(datatype, mandatory=mandatory)
        self.meaning = meaning
        self.nullable = nullable
        self.since = since
        self.until = until
        self.values = values

    def is_in(self, version: Version) -> bool:
        """Return whether objects have it in this version."""
        return self.since <= version and (self.until is None or version < self.until)


class Declaration(wtypes.Base):  # type: ignore[misc]  # as above
    """Base of all declarations: the wire's fields, never a record's."""


class Json(wtypes.UserType):  # type: ignore[misc]  # as above
    """Any JSON value; who uses it checks it, and says here what it may be."""

    name = "json"

    def __init__(self, schema: Mapping[str, object] | None = None) -> None:
        self.schema = dict(schema or {})


class Uuid(wtypes.UuidType):  # type: ignore[misc]  # as above
    """A uuid as the rest of the API takes one. WSME's takes braces and any digits, too."""

    @staticmethod
    def validate(value: object) -> str:
        """Return the uuid in lower case with dashes; ValueError if it is none."""
        uuid = canonical_uuid(value) if isinstance(value, str) else None
        if uuid is None:
            raise ValueError("Value should be a uuid.")
        return uuid


class Link(Declaration):
    """Where an object is."""

    href = Field(Json({"type": "string", "format": "uri"}), "A URL.")
    rel = Field(wtypes.text, "What is there.")


def links_field() -> Field:
    """Return the field that tells where an object is."""
    return Field(wtypes.ArrayType(Link), "Where the object is.")


def times() -> tuple[Field, Field]:
    """Return the fields ``created_at`` and ``updated_at``."""
    return (
        Field(datetime.datetime, "When it was made."),
        Field(datetime.datetime, "When it was last changed.", nullable=True),
    )


def self_link(resource: str) -> Callable[[Any, str], object]:
    """Return what makes the ``links`` of a resource's objects."""
    return lambda record, base: [{"href": f"{base}/v2/{resource}/{record.uuid}", "rel": "self"}]


def fields_of(declared: type[Declaration], version: Version) -> list[Field]:
    """Return the fields that a declaration has in a version, in their order."""
    return [field for field in wtypes.list_attributes(declared) if field.is_in(version)]


def read(declared: type[D], data: object, version: Version) -> D:
    """Return a body's fields.

    Others are ignored before microversion 2.4, as deployed clients send some.

    :raises InvalidInput: not an object, a mandatory field is missing, one is wrong, or one
        is unknown.
    """
    if not isinstance(data, dict):
        raise InvalidInput("The body must be a JSON object.")
    names = [field.name for field in fields_of(declared, version)]
    unknown = sorted(set(data) - set(names))
    if unknown and version >= V2_4:
        raise InvalidInput(
            f"Unknown field: {', '.join(unknown)[:_MAX_ECHO]}. Known: {', '.join(names)}."
        )
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

    def __init__(self, declared: type[Declaration], **derived: Derivation[R]) -> None:
        self.declared = declared
        self._derived = derived
        unknown = set(derived) - {field.name for field in wtypes.list_attributes(declared)}
        if unknown:
            raise TypeError(f"not declared: {', '.join(sorted(unknown))}")
        self._fields = functools.cache(self._fields_in)

    def writer(self, version: Version, base: str) -> Callable[[R], dict[str, object]]:
        """Return what makes plain JSON data of a record, for answers in a version."""
        fields = self._fields(version)
        return lambda record: {name: value(record, base) for name, value in fields}

    def _fields_in(self, version: Version) -> tuple[tuple[str, Derivation[R]], ...]:
        return tuple(
            (field.name, self._derived.get(field.name) or _reader(field.name, field.datatype))
            for field in fields_of(self.declared, version)
        )


def _reader(name: str, datatype: object) -> Derivation[Any]:
    get = operator.attrgetter(name)
    if datatype is datetime.datetime:
        return lambda record, _base: _time(get(record))
    return lambda record, _base: get(record)


def _time(value: datetime.datetime | None) -> str | None:
    return None if value is None else value.isoformat(timespec="microseconds")
