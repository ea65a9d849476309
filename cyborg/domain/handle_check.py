"""Attach handles as they cross, checked and brought into canonical form.

By hand, where the rest of a report is held to a schema: a host may have thousands of them, and
``jsonschema`` would take longer for these than everything else does for a report.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from cyborg.domain.hardware import (
    MAX_CAPACITY,
    MAX_KEY,
    Share,
    canonical,
    canonical_info,
    canonical_key,
    default_shares,
    key_of,
    mediated_alternatives,
    parent_of,
)
from cyborg.domain.inventory import DeployableReport, HandleReport
from cyborg.domain.text import is_plain

#: Characters of a handle's info, as JSON.
MAX_INFO = 4096

#: Keys of a handle's info, and counters of which it has shares.
_MAX_FACTS = 64
_MAX_SHARES = 16

_MAX_VALUE = 255
_TYPE = re.compile(r"[A-Z0-9_]{1,16}\Z")


def sound_handle(wire: object, device_type: str) -> HandleReport:
    """Return a handle in canonical form, with those shares that its driver declares.

    :param wire: plain JSON data; fields that are not known are ignored.
    :raises ValueError: it cannot be recorded or given to Nova; says what is wrong.
    """
    if not isinstance(wire, Mapping):
        raise ValueError("it is no object")
    kind = wire.get("type")
    if not isinstance(kind, str) or not _TYPE.match(kind):
        raise ValueError("its type is not 1 to 16 capitals, digits or underscores")
    info = canonical_info(kind, _info(wire.get("info")))
    if kind == "PCI" and device_type == "NIC" and not info.get("physical_network"):
        raise ValueError("its info has no physical_network, which Nova needs of a NIC")
    if len(canonical(info)) > MAX_INFO:
        raise ValueError(f"its info is longer than {MAX_INFO} characters as JSON")
    declared = wire.get("key", "")
    if not isinstance(declared, str) or len(declared) > MAX_KEY or not is_plain(declared):
        raise ValueError(f"its key is no text of at most {MAX_KEY} characters")
    return HandleReport(kind, info, key_of(kind, info, declared), _shares(wire.get("shares", [])))


def with_natural_shares(parts: Iterable[DeployableReport]) -> tuple[DeployableReport, ...]:
    """Return the deployables of a device, whose handles occupy at least what they are."""
    parts = tuple(parts)
    alternatives = mediated_alternatives(
        (handle.type, handle.info) for part in parts for handle in part.handles
    )
    return tuple(
        replace(part, handles=tuple(_with_shares(handle, alternatives) for handle in part.handles))
        for part in parts
    )


def _info(wire: object) -> Mapping[str, str]:
    if not isinstance(wire, Mapping) or len(wire) > _MAX_FACTS:
        raise ValueError(f"its info is no object of at most {_MAX_FACTS} keys")
    for name, value in wire.items():
        if not isinstance(value, str) or len(value) > _MAX_VALUE:
            raise ValueError(f"a value of its info is no text of at most {_MAX_VALUE} characters")
        if not is_plain(name) or not is_plain(value):
            raise ValueError("its info has characters that are no text")
    return wire


def _shares(wire: object) -> tuple[Share, ...]:
    if not isinstance(wire, list) or len(wire) > _MAX_SHARES:
        raise ValueError(f"its shares are no list of at most {_MAX_SHARES}")
    shares: dict[str, Share] = {}
    for each in wire:
        share = _share(each)
        if share.counter in shares:
            raise ValueError(f"it has two shares of {share.counter}")
        shares[share.counter] = share
    return tuple(shares.values())


def _share(wire: Any) -> Share:
    found = wire if isinstance(wire, Mapping) else {}
    counter = canonical_key(found["counter"]) if isinstance(found.get("counter"), str) else ""
    # Some letters are longer when they are small.
    if not 1 <= len(counter) <= MAX_KEY or not is_plain(counter):
        raise ValueError(f"a counter of its shares is no text of at most {MAX_KEY} characters")
    amount, capacity = found.get("amount"), found.get("capacity")
    # In Python true is 1.
    if type(amount) is not int or type(capacity) is not int:
        raise ValueError("the amount or capacity of a share is no whole number")
    if not 1 <= amount <= capacity <= MAX_CAPACITY:
        raise ValueError("its shares are more than there is")
    return Share(counter, amount, capacity)


def _with_shares(handle: HandleReport, alternatives: Mapping[str, int]) -> HandleReport:
    number = alternatives[parent_of(handle.info)] if handle.type == "MDEV" else 1
    natural = default_shares(handle.type, handle.info, handle.key, number)
    if not handle.shares:
        return replace(handle, shares=natural)
    shares = {share.counter: share for share in natural}
    if handle.type in ("PCI", "TEST_PCI"):
        # A function is always given whole.
        shares = {**{share.counter: share for share in handle.shares}, **shares}
    else:
        shares.update({share.counter: share for share in handle.shares})
    return replace(handle, shares=tuple(shares[name] for name in sorted(shares)))
