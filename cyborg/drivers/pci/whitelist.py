"""``[pci] passthrough_whitelist``: which functions an operator allows, and as what."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema
import os_resource_classes
import os_traits

from cyborg.drivers.contract import ConfigurationError, plain
from cyborg.drivers.pci.addresses import Pattern, pattern_of

OPTION = "[pci] passthrough_whitelist"

DEFAULT_CLASS = "CUSTOM_PCI"

#: What Nova reads beside these, and means nothing here.
NOVA_ONLY = ("physical_network", "trusted", "managed", "live_migratable", "remote_managed")

_ID = {"type": "string", "pattern": r"^(\*|(0[xX])?[0-9a-fA-F]{1,4})\Z"}
_ALLOWED = {"const": "allowed"}
_ENTRY = jsonschema.Draft202012Validator(
    {
        "type": "object",
        "properties": {
            "vendor_id": _ID,
            "product_id": _ID,
            "address": {"type": ["string", "object"]},
            "devname": {"type": "string", "pattern": r"^[^\s/\x00]{1,15}\Z"},
            "resource_class": {"type": "string"},
            "traits": {"type": "array", "items": {"type": "string"}, "maxItems": 32},
            "no_reset": _ALLOWED,
            "keeps_data": _ALLOWED,
            **dict.fromkeys(NOVA_ONLY, True),
        },
        "additionalProperties": False,
        "not": {"required": ["address", "devname"]},
    }
)
_CUSTOM = re.compile(r"CUSTOM_[A-Z0-9_]{1,248}\Z")


@dataclass(frozen=True, slots=True)
class Entry:
    """What one object allows."""

    #: Its place in the list, from 1.
    number: int
    #: Four hexadecimal digits; None: any.
    vendor_id: str | None
    product_id: str | None
    address: Pattern | None
    #: Name of the port of which it is the function.
    devname: str | None
    resource_class: str
    traits: tuple[str, ...]
    no_reset: bool
    keeps_data: bool
    #: The keys of it that mean nothing here.
    ignored: tuple[str, ...]

    def offers_the_same(self, other: Entry) -> bool:
        """Return whether what both allow is the same thing by both."""
        return (self.resource_class, frozenset(self.traits)) == (
            other.resource_class,
            frozenset(other.traits),
        )


def parse(texts: Iterable[str]) -> tuple[Entry, ...]:
    """Return the entries of the option.

    :raises ConfigurationError: one is wrong: the option, the entry and why, in one line.
    """
    found: list[Entry] = []
    for text in texts:
        for item in _items(text, len(found) + 1):
            found.append(_entry(item, len(found) + 1))
    return tuple(found)


def _items(text: str, number: int) -> Sequence[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refused(number, f"no JSON: {error}") from error
    return value if isinstance(value, list) else [value]


def _entry(item: Any, number: int) -> Entry:
    error = jsonschema.exceptions.best_match(_ENTRY.iter_errors(item))
    if error is not None:
        raise refused(number, _said(error))
    try:
        address = pattern_of(item["address"]) if "address" in item else None
    except ValueError as why:
        raise refused(number, str(why)) from why
    return Entry(
        number=number,
        vendor_id=_id(item.get("vendor_id", "*")),
        product_id=_id(item.get("product_id", "*")),
        address=address,
        devname=item.get("devname"),
        resource_class=_resource_class(item.get("resource_class", DEFAULT_CLASS), number),
        traits=_traits(item.get("traits", []), number),
        no_reset="no_reset" in item,
        keeps_data="keeps_data" in item,
        ignored=tuple(name for name in NOVA_ONLY if name in item),
    )


def _id(text: str) -> str | None:
    return None if text == "*" else f"{int(text, 16):04x}"


def _resource_class(name: str, number: int) -> str:
    if _CUSTOM.match(name) or name in os_resource_classes.STANDARDS:
        return name
    raise refused(number, f"resource_class: {name!r} is no resource class of Placement")


def _traits(names: Sequence[str], number: int) -> tuple[str, ...]:
    known = set(os_traits.get_traits())
    for name in names:
        if not _CUSTOM.match(name) and name not in known:
            raise refused(number, f"traits: {name!r} is no trait of Placement")
    return tuple(dict.fromkeys(names))


def refused(number: int, why: str) -> ConfigurationError:
    """Return the error of an entry."""
    return ConfigurationError(plain(f"{OPTION}, entry {number}: {why}", 400))


def _said(error: jsonschema.ValidationError) -> str:
    if error.validator == "not":
        return "address and devname are two ways to say the same; give one of them"
    if error.validator == "additionalProperties":
        return str(error.message)
    where = ".".join(str(part) for part in error.absolute_path)
    return f"{where}: {error.message}" if where else error.message


def ignored_keys(entries: Iterable[Entry]) -> Mapping[str, list[int]]:
    """Return the keys that mean nothing here, to the numbers of the entries that have them."""
    found: dict[str, list[int]] = {}
    for entry in entries:
        for name in entry.ignored:
            found.setdefault(name, []).append(entry.number)
    return found
