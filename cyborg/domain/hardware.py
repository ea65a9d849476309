"""Which piece of hardware a handle is, and how much of what it occupies.

Nova is given a handle's ``info``. What the promise "never given to two" is about is the
hardware behind it: its *key* here, one spelling for each piece, and the *shares* of counters
that it occupies. Both are made in this module alone, from what a driver reports.

A counter is a part of the host that can be given out up to its capacity: a PCI function, a
card's memory, an IOMMU group. Whoever is given a function whole has all of its counter; a
virtual function, a mediated device or a slice has a share. So one function reported twice, a
card and its parts, or two ways to cut one card never go beyond what there is.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

#: What Nova reads of a handle at a PCI function. In hexadecimal, without 0x.
PCI_ADDRESS = ("domain", "bus", "device", "function")

#: Characters of a key, and of a counter's name.
MAX_KEY = 255

#: Parts that a counter may have.
MAX_CAPACITY = 1 << 30

_HEX = {
    "domain": re.compile(r"[0-9a-fA-F]{1,8}\Z"),
    "bus": re.compile(r"[0-9a-fA-F]{1,2}\Z"),
    "device": re.compile(r"[01]?[0-9a-fA-F]\Z"),
    "function": re.compile(r"[0-7]\Z"),
}
_ADDRESS = re.compile(
    r"(?:[^:]*[^0-9a-fA-F:])?"
    r"(?P<domain>[0-9a-fA-F]{4,8}):(?P<bus>[0-9a-fA-F]{1,2}):"
    r"(?P<device>[01]?[0-9a-fA-F])\.(?P<function>[0-7])\Z"
)
_ASKED_TYPE = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")


def canonical(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a counter: ``amount`` of ``capacity`` parts. All of them is the whole."""

    counter: str
    amount: int = 1
    capacity: int = 1

    @property
    def fraction(self) -> Fraction:
        return Fraction(self.amount, self.capacity)


def address_of(info: Mapping[str, str]) -> str:
    """Return the canonical address of the PCI function that a handle's info names.

    :raises ValueError: the info is not what Nova and libvirt read; says what is wrong.
    """
    for name in PCI_ADDRESS:
        value = info.get(name)
        if value is None:
            raise ValueError(f"its info has no {name}")
        if not _HEX[name].match(value):
            raise ValueError(f"its {name} is {value[:40]!r}")
    domain, bus, device, function = (int(info[name], 16) for name in PCI_ADDRESS)
    return f"{domain:04x}:{bus:02x}:{device:02x}.{function:x}"


def canonical_info(type_: str, info: Mapping[str, str]) -> dict[str, str]:
    """Return the info of a handle as Nova is given it: padded, and in lower case.

    :raises ValueError: Nova or libvirt could not read it; says what is wrong.
    """
    if type_ not in ("PCI", "MDEV", "TEST_PCI"):
        return dict(info)
    address = address_of(info)
    if type_ == "MDEV" and not _ASKED_TYPE.match(info.get("asked_type", "")):
        raise ValueError("its info has no asked_type that names a type of mediated devices")
    if type_ == "TEST_PCI":
        # No hypervisor reads it; clients see the form that its driver chose.
        return {**info, **{name: info[name].lower() for name in PCI_ADDRESS}}
    domain, bus, rest = address.split(":")
    device, function = rest.split(".")
    parts = zip(PCI_ADDRESS, (domain, bus, device, function), strict=True)
    return {**info, **dict(parts)}


def key_of(type_: str, info: Mapping[str, str], declared: str = "") -> str:
    """Return the key of the hardware that a handle is: the same however it is spelt.

    :param info: in canonical form.
    :param declared: what the driver says; needed for handles of types that only it knows.
    :raises ValueError: the key is too long, or contradicts the info.
    """
    said = canonical_key(declared)
    if type_ in ("PCI", "TEST_PCI"):
        # Devices that do not exist are at no address of this host.
        key = address_of(info) if type_ == "PCI" else f"test/{address_of(info)}"
        if said and said != key:
            raise ValueError(f"it is said to be {said[:100]} and is at {key}")
    elif said:
        key = said
    elif type_ == "MDEV":
        marks = {k: v for k, v in info.items() if k not in (*PCI_ADDRESS, "asked_type")}
        key = f"{address_of(info)}/{info['asked_type']}/{canonical(marks) if marks else ''}"
    else:
        key = f"{type_}/{canonical(dict(info))}"
    # The agent sends the key that it has made, and it comes out here as it went in.
    key = canonical_key(key)
    if len(key) > MAX_KEY:
        raise ValueError(f"which hardware it is takes more than {MAX_KEY} characters")
    return key


def canonical_key(text: str) -> str:
    """Return a key or a counter's name in its one spelling."""
    address = _ADDRESS.match(text.strip())
    if address and address.start("domain") == 0:
        return address_of(address.groupdict())
    return text.strip().lower()


def is_address(identity: str) -> bool:
    """Return whether an identity says where a device is, and not which one it is."""
    return _ADDRESS.match(identity.strip()) is not None


def same_identity(identity: str) -> str:
    """Return what is equal for two spellings of one identity."""
    return canonical_key(identity)


def default_shares(
    type_: str, info: Mapping[str, str], key: str, alternatives: int
) -> tuple[Share, ...]:
    """Return what a handle occupies by its nature, whatever its driver says.

    :param info: in canonical form.
    :param alternatives: how many mediated devices of its type its parent is reported with.
    """
    if type_ == "MDEV":
        return (Share(address_of(info), 1, max(1, alternatives)),)
    return (Share(key),)


def mediated_alternatives(handles: Iterable[tuple[str, Mapping[str, str]]]) -> Counter[str]:
    """Return how many mediated devices there are of each type and parent; see ``parent_of``."""
    return Counter(parent_of(info) for type_, info in handles if type_ == "MDEV")


def parent_of(info: Mapping[str, str]) -> str:
    """Return the parent and the type of a mediated device."""
    return f"{address_of(info)}/{info['asked_type']}"


class Occupant(Protocol):
    """What of a handle its shares depend on."""

    @property
    def key(self) -> str:
        """Which hardware it is."""

    @property
    def shares(self) -> tuple[Share, ...]:
        """What it occupies."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """The counters that more is offered of than there is, and who occupies how much.

    Only these have to be looked at in a claim: the others cannot be exceeded.
    """

    #: Counter to its capacity.
    capacities: Mapping[str, int] = field(default_factory=dict)
    #: Key of a handle to the amounts that it takes of these counters.
    amounts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def sharing_of(handles: Collection[Occupant]) -> Sharing:
    """Return what handles of one host contend for."""
    sums: dict[str, Fraction] = {}
    parts: dict[str, list[int]] = {}
    for handle in handles:
        for share in handle.shares:
            sums[share.counter] = sums.get(share.counter, Fraction(0)) + share.fraction
            parts.setdefault(share.counter, []).append(share.capacity)
    capacities = {counter: _common(parts[counter]) for counter, total in sums.items() if total > 1}
    amounts: dict[str, dict[str, int]] = {}
    for handle in handles:
        for share in handle.shares:
            if share.counter in capacities:
                taken = math.ceil(share.fraction * capacities[share.counter])
                of_handle = amounts.setdefault(handle.key, {})
                of_handle[share.counter] = of_handle.get(share.counter, 0) + taken
    return Sharing(capacities, amounts)


def _common(capacities: Sequence[int]) -> int:
    """Return a capacity by which all of these can be expressed."""
    common = math.lcm(*set(capacities))
    # Rounding up beyond that: less is given out than could be, never more.
    return common if common <= MAX_CAPACITY else MAX_CAPACITY


def takeable(
    candidates: Iterable[tuple[int, Mapping[int, int]]],
    room: Mapping[int, int],
    wanted: int | None = None,
) -> tuple[list[int], dict[int, int]]:
    """Return which of these handles can be taken together, and what room is left then.

    The claim takes these, and Placement is told how many there are: both are the same.

    :param candidates: free handles, by id, with what each takes of counters, by id.
    :param room: counter to what is left of it; one that is missing cannot be exceeded.
    :param wanted: how many at most.
    """
    left = dict(room)
    taken: list[int] = []
    for handle_id, amounts in candidates:
        if wanted is not None and len(taken) >= wanted:
            break
        if all(left[counter] >= amount for counter, amount in amounts.items() if counter in left):
            taken.append(handle_id)
            for counter, amount in amounts.items():
                if counter in left:
                    left[counter] -= amount
    return taken, left
