"""Which addresses an entry of the whitelist means, read as Nova reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NAMES = ("domain", "bus", "slot", "function")
#: The greatest value of each, and how many digits the kernel writes at least.
_MOST = {"domain": 0xFFFFFFFF, "bus": 0xFF, "slot": 0x1F, "function": 0x7}
_DIGITS = {"domain": 4, "bus": 2, "slot": 2, "function": 1}
_ANY = "*"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A form that addresses have."""

    #: Of domain, bus, slot and function: each matches from its first character.
    fields: tuple[re.Pattern[str], ...]
    #: The one address that it means, if it means one.
    exact: str | None

    def matches(self, address: str) -> bool:
        """Return whether an address has this form.

        :param address: as the kernel has it.
        """
        parts = re.split("[:.]", address)
        return all(field.match(part) for field, part in zip(self.fields, parts, strict=True))


def pattern_of(value: str | Mapping[str, object]) -> Pattern:
    """Return the form that a glob, or an object of regular expressions, describes.

    :raises ValueError: it describes none; says why.
    """
    return _glob(value) if isinstance(value, str) else _expressions(value)


def _expressions(value: Mapping[str, object]) -> Pattern:
    unknown = sorted(set(value) - set(_NAMES))
    if unknown:
        raise ValueError(f"address: no field named {unknown[0]!r}; there are {', '.join(_NAMES)}")
    fields = []
    for name in _NAMES:
        text = value.get(name, ".*")
        if not isinstance(text, str):
            raise ValueError(f"address.{name}: {text!r} is no regular expression")
        try:
            fields.append(re.compile(text))
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"address.{name}: {text!r}: {error}") from error
    return Pattern(tuple(fields), None)


def _glob(text: str) -> Pattern:
    """``domain:bus:slot.function``; what is left out on the left, or a ``*``, is any."""
    before, _, function = text.partition(".")
    parts = before.split(":") if before else []
    if len(parts) > 3:
        raise ValueError(f"address: {text!r} has more than domain, bus and slot before the dot")
    given = [_ANY] * (3 - len(parts)) + [part.strip() or _ANY for part in parts]
    given.append(function.strip() or _ANY)
    values = [_value(text, name, each) for name, each in zip(_NAMES, given, strict=True)]
    fields = tuple(
        re.compile(".*" if value is None else re.escape(value) + r"\Z") for value in values
    )
    domain, bus, slot, last = values
    exact = None if None in values else f"{domain}:{bus}:{slot}.{last}"
    return Pattern(fields, exact)


def _value(text: str, name: str, part: str) -> str | None:
    """Return a field as the kernel writes it; None for any."""
    if part == _ANY:
        return None
    if not re.fullmatch(r"[0-9a-fA-F]{1,8}", part) or int(part, 16) > _MOST[name]:
        raise ValueError(f"address: {text!r} is no address: its {name} is {part!r}")
    return f"{int(part, 16):0{_DIGITS[name]}x}"
