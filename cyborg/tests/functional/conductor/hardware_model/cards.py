"""The hardware itself: cards in slots, the pieces of a card, and the traces that owners leave.

Nothing here knows of rows, keys or reports. A piece is found as a hypervisor finds it: by the
address in a handle's info, whatever card is at that address then.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

#: A piece by what it is called: all of a card, a virtual function, a mediated device.
WHOLE = "whole"


class Group(enum.StrEnum):
    """Pieces of a card that are offered together."""

    WHOLE = "whole"
    FUNCTIONS = "functions"
    HALVES = "halves"
    QUARTERS = "quarters"


#: How many pieces of a group there are.
PIECES = {Group.WHOLE: 1, Group.FUNCTIONS: 2, Group.HALVES: 2, Group.QUARTERS: 4}


class Design(enum.StrEnum):
    """What a card can be: its board."""

    PLAIN = "plain"
    FUNCTIONS = "with functions"
    MEDIATED = "mediated"
    NAMELESS = "nameless"
    #: Nothing of whoever had it stays on it.
    STATELESS = "stateless"


#: The ways to cut a card: which groups it offers side by side. The first is how it comes.
CUTS: Mapping[Design, tuple[tuple[Group, ...], ...]] = {
    Design.PLAIN: ((Group.WHOLE,),),
    Design.FUNCTIONS: (
        (Group.WHOLE,),
        (Group.FUNCTIONS,),
        (Group.WHOLE, Group.FUNCTIONS),
    ),
    Design.MEDIATED: (
        (Group.WHOLE,),
        (Group.HALVES,),
        (Group.WHOLE, Group.HALVES, Group.QUARTERS),
        (Group.QUARTERS,),
    ),
    Design.NAMELESS: ((Group.WHOLE,),),
    Design.STATELESS: ((Group.WHOLE,),),
}


def piece(group: Group, number: int) -> str:
    """Return what a piece is called."""
    return WHOLE if group is Group.WHOLE else f"{group} {number}"


def fraction(name: str) -> Fraction:
    """Return how much of its card a piece is."""
    return Fraction(1, PIECES[Group(name.split(maxsplit=1)[0])])


def overlap(one: str, other: str) -> bool:
    """Return whether two pieces of one card are never two owners' at the same time."""
    return WHOLE in (one, other) or one == other


def located(type_: str, info: Mapping[str, str]) -> tuple[str, str]:
    """Return the address of the card, and the piece, that a handle's info leads to."""
    bus = f"{int(info['domain'], 16):04x}:{int(info['bus'], 16):02x}"
    address = f"{bus}:{int(info['device'], 16):02x}"
    number = int(info["function"], 16)
    if type_ == "MDEV":
        return address, f"{info['asked_type']} {info['number']}"
    return address, piece(Group.FUNCTIONS, number) if number else WHOLE


@dataclass(slots=True)
class Mark:
    """What an owner has left on a piece."""

    owner: str
    #: It came to a card of which nobody could know that it was there.
    unseen: bool = False
    #: Pieces of what it is on that have been cleaned since, each by itself.
    cleaned: set[str] = field(default_factory=set)


@dataclass(eq=False, slots=True)
class Card:
    """A card, wherever it is."""

    serial: str
    design: Design
    cut: tuple[Group, ...]
    #: Whether its serial number can be read.
    has_serial: bool = True
    condition: str = "healthy"
    #: The host that has reported it last.
    host: str | None = None
    #: By piece.
    marks: dict[str, Mark] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{self.serial}, {self.design}>"

    @property
    def keeps_marks(self) -> bool:
        """Return whether anything of an owner stays on it until it is cleaned."""
        return self.design is not Design.STATELESS

    def pieces(self) -> Iterator[tuple[Group, str]]:
        """Return what it offers."""
        for group in self.cut:
            for number in range(1, PIECES[group] + 1):
                yield group, piece(group, number)

    def has(self, name: str) -> bool:
        """Return whether there is such a piece. All of a card is there however it is cut."""
        return name == WHOLE or any(name == each for _, each in self.pieces())

    def use(self, name: str, mark: Mark) -> None:
        """Let somebody have a piece."""
        if self.keeps_marks:
            self.marks[name] = mark

    def clean(self, name: str) -> None:
        """Clean a piece. Who cleans all of a card cleans every piece of it, and who cleans all
        pieces that there are of a kind cleans the card."""
        if name == WHOLE:
            self.marks.clear()
        self.marks.pop(name, None)
        if WHOLE in self.marks:
            cleaned = self.marks[WHOLE].cleaned
            cleaned.add(name)
            for group, number in PIECES.items():
                if cleaned.issuperset(piece(group, n) for n in range(1, number + 1)):
                    self.marks.pop(WHOLE, None)

    def seen_by(self, name: str) -> list[str]:
        """Return whose marks somebody sees who gets a piece."""
        return [
            mark.owner
            for at, mark in self.marks.items()
            if overlap(at, name) and name not in mark.cleaned
        ]

    def leave(self) -> None:
        """Come out of a slot. What nobody could know then, nobody will."""
        self.marks = {at: mark for at, mark in self.marks.items() if not mark.unseen}


@dataclass(slots=True)
class Host:
    """A machine with slots. The bus of a slot is its address, and may change."""

    name: str
    buses: list[str]
    cards: list[Card | None]

    def addresses(self) -> list[str]:
        """Return the addresses of the slots, in their order."""
        return [f"0000:{bus}:00" for bus in self.buses]

    def at(self, address: str) -> Card | None:
        """Return the card at an address."""
        return dict(zip(self.addresses(), self.cards, strict=True)).get(address)

    def slots(self, *, full: bool) -> list[int]:
        """Return the slots that have a card, or have none."""
        return [n for n, card in enumerate(self.cards) if (card is not None) is full]
