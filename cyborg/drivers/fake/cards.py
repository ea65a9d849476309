"""Which cards are in this machine, as ``[fake_driver]`` says."""

from __future__ import annotations

from dataclasses import dataclass

from oslo_config import cfg

_FIRST_BUS = 0x0C
_BUSES = 256
_FUNCTIONS = 8
_FUNCTIONS_ON_A_BUS = 32 * _FUNCTIONS


@dataclass(frozen=True, slots=True)
class Card:
    """A card, and where it is."""

    #: Of its place in the machine: names and addresses depend on it.
    number: int
    #: Which card is there.
    identity: str
    #: It has taken the place of the one that was there first.
    is_replacement: bool = False


def cards_in(options: cfg.ConfigOpts.GroupAttr) -> list[Card]:
    """Return the cards that are in the machine."""
    places = (number for number in range(options.devices) if number not in options.away)
    return [_card(number, number in options.replaced) for number in places]


def card_of(options: cfg.ConfigOpts.GroupAttr, identity: str) -> Card | None:
    """Return a card by its identity; None if it is not in the machine."""
    return next((card for card in cards_in(options) if card.identity == identity), None)


def _card(number: int, is_replacement: bool) -> Card:
    suffix = "-b" if is_replacement else ""
    return Card(number, f"fake-{number}{suffix}", is_replacement)


def address(card: Card, function: int, handles: int) -> dict[str, str]:
    """Return the address of a card's function; no two are the same.

    Each card begins on a bus of its own and takes as many as its functions need.

    :param handles: how many handles each card has.
    """
    buses_of_each = handles // _FUNCTIONS_ON_A_BUS + 1
    in_card, function = divmod(function, _FUNCTIONS_ON_A_BUS)
    domain, bus = divmod(_FIRST_BUS + card.number * buses_of_each + in_card, _BUSES)
    slot, function = divmod(function, _FUNCTIONS)
    return {
        "domain": f"{domain:04x}",
        "bus": f"{bus:02x}",
        "device": f"{slot:x}",
        "function": f"{function:x}",
    }
