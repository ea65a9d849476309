"""Query parameters: declared once, for reading them and for the API's description."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cyborg.api.fields import require_uuid
from cyborg.api.microversions import MINIMUM, Version
from cyborg.domain.errors import InvalidInput

#: What an integer column takes.
MAX_INTEGER = 2**31 - 1

#: What the column of an id takes.
MAX_ID = 2**63 - 1

_NUMBER = re.compile(r"[0-9]{1,19}\Z")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a parameter's text must be, and what becomes of it."""

    schema: Mapping[str, Any]
    #: The parameter's name and text to its value; raises InvalidInput.
    parse: Callable[[str, str], Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter."""

    name: str
    kind: Kind
    meaning: str
    since: Version = MINIMUM
    until: Version | None = None
    required: bool = False

    def is_in(self, version: Version) -> bool:
        """Return whether it is known in a version."""
        return self.since <= version and (self.until is None or version < self.until)


def parse(
    pairs: Iterable[tuple[str, str]], known: Sequence[Parameter], version: Version
) -> dict[str, Any]:
    """Return the values of a query.

    :raises InvalidInput: a parameter is not known in this version, given twice, missing or
        wrong.
    """
    pairs = list(pairs)
    parameters = {parameter.name: parameter for parameter in known if parameter.is_in(version)}
    unknown = dict.fromkeys(name for name, _ in pairs if name not in parameters)
    if unknown:
        names = f" (known: {', '.join(parameters)})" if parameters else ""
        raise InvalidInput(f'Unknown argument: "{", ".join(unknown)[:300]}"{names}')
    values = dict(pairs)
    if len(values) != len(pairs):
        raise InvalidInput("A query parameter is given twice.")
    missing = [p.name for p in parameters.values() if p.required and not values.get(p.name)]
    if missing:
        raise InvalidInput(f"Missing argument: {', '.join(missing)}.")
    return {name: parameters[name].kind.parse(name, text) for name, text in values.items()}


def _text(name: str, text: str) -> str | None:
    return text or None


def _segment(name: str, text: str) -> str:
    return text


#: Part of a path.
SEGMENT = Kind({"type": "string", "minLength": 1}, _segment)
#: Compared exactly. An empty one says nothing.
TEXT = Kind({"type": "string"}, _text)
UUID = Kind(
    {"type": "string", "format": "uuid"}, lambda name, text: require_uuid(text, f"'{name}'")
)


def number(least: int, most: int = MAX_INTEGER) -> Kind:
    """Return the kind of whole numbers in a range."""

    def parse_number(name: str, text: str) -> int:
        if not _NUMBER.match(text) or not least <= int(text) <= most:
            raise InvalidInput(f"'{name}' must be a whole number from {least} to {most}.")
        return int(text)

    return Kind({"type": "integer", "minimum": least, "maximum": most}, parse_number)


def choice(values: type[StrEnum] | Sequence[str]) -> Kind:
    """Return the kind of texts that are one of a few."""
    allowed = [str(value) for value in values]

    def parse_choice(name: str, text: str) -> str:
        if text not in allowed:
            raise InvalidInput(f"'{name}' can only be one of: {', '.join(allowed)}.")
        return text

    return Kind({"type": "string", "enum": allowed}, parse_choice)


def matching(pattern: str, what: str) -> Kind:
    """Return the kind of texts that match a pattern as a whole."""
    compiled = re.compile(rf"(?:{pattern})\Z")

    def parse_matching(name: str, text: str) -> str:
        if not compiled.match(text):
            raise InvalidInput(f"'{name}' must be {what}.")
        return text

    return Kind({"type": "string", "pattern": f"^(?:{pattern})$"}, parse_matching)


#: A comma list; the order says nothing, and neither does what is there twice.
NAMES = Kind(
    {"type": "string"},
    lambda name, text: list(dict.fromkeys(member for member in text.split(",") if member)),
)
