"""What anybody could know of a host: which card is at which address, as reports told it.

A service is told what is where by reports alone, and some confusions it cannot see through:

* what happened since the last report: a card that was pulled, or put where another was, is
  taken for what was there;
* a card without a readable serial number that came to where another card was last seen: it is
  taken for that one;
* what a card was given out for in another host: each host's record is its own;
* work that a driver did at an address, unable to read which card is there, while no report had
  told that it is another one.

At each of these the traces on the cards that are confused are forgotten here (:func:`_confuse`),
so nothing is asked of the conductor about them. Everything else it must see: in doubt, a card
is not clean.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from cyborg.domain.recorded import ABSENCES_UNTIL_GONE
from cyborg.tests.functional.conductor.hardware_model.cards import Card


@dataclass(frozen=True, slots=True)
class Seen:
    """A card in a report."""

    card: Card
    #: Under its serial number.
    named: bool
    #: Its pieces, where the report leaves no doubt which there are.
    pieces: frozenset[str] | None
    #: Its condition, where the report tells it.
    condition: str | None
    identity: str | None
    #: Two drivers report it, perhaps as two devices: one may be away while the other is not.
    doubled: bool = False
    #: It is reported under two identities, and either may be the one that counts.
    twice: bool = False


@dataclass(slots=True)
class Thought:
    """What is thought to be at an address."""

    card: Card
    #: Reports that lacked it, counted as absences are. Only those that do not excuse it.
    absences: int = 0
    #: Reports that lacked it, whatever the time between them, since it was last seen.
    lacking: int = 0
    pieces: frozenset[str] | None = None
    condition: str | None = None
    #: Under which it was reported last; None if it was not under its own.
    identity: str | None = None
    #: Reports until what a second driver saw of it is gone.
    doubled: int = 0


@dataclass(slots=True)
class Knowledge:
    """What reports of a host have told."""

    thoughts: dict[str, Thought] = field(default_factory=dict)
    #: Cards that are recorded under their serial numbers.
    known: set[Card] = field(default_factory=set)
    #: Under which serial number each card was last reported.
    serials: dict[Card, str | None] = field(default_factory=dict)

    def thinks(self, address: str, card: Card) -> bool:
        """Return whether a card is where it is thought to be."""
        thought = self.thoughts.get(address)
        return thought is not None and thought.card is card

    def places(self, card: Card | None) -> Iterator[str]:
        """Return where a card is thought to be."""
        return (at for at, each in self.thoughts.items() if each.card is card)

    def elsewhere(self, card: Card, address: str) -> Iterator[str]:
        """Return where else a card is thought to be."""
        return (at for at in self.places(card) if at != address)

    def report(
        self, seen: Mapping[str, Seen], excused: Collection[str], *, an_interval_later: bool
    ) -> None:
        """Take a report.

        :param seen: what it shows, by address.
        :param excused: addresses of which it does not tell that nothing is there.
        """
        named = {address: each for address, each in seen.items() if each.named}
        for address, each in named.items():
            self._doubt_named(address, each.card, seen, excused)
        for address, each in named.items():
            self._doubt_serial(address, each)
            self._think(address, each, an_interval_later, address in excused)
            self.known.add(each.card)
        for address, each in seen.items():
            if not each.named:
                self._doubt_nameless(address, each.card, seen, excused)
                self._think(address, each, an_interval_later, address in excused)
        for address, thought in self.thoughts.items():
            if address not in seen and address not in excused:
                self._lack(thought, an_interval_later)

    def _lack(self, thought: Thought, an_interval_later: bool) -> None:
        thought.lacking += 1
        if thought.absences == 0 or an_interval_later:
            thought.absences += 1
        if thought.absences >= 3:
            # It may be forgotten.
            self.known.discard(thought.card)

    def _think(self, address: str, each: Seen, an_interval_later: bool, excused: bool) -> None:
        for other in list(self.elsewhere(each.card, address)):
            del self.thoughts[other]
        before = self.thoughts.get(address)
        identity = each.identity
        if identity is None and before is not None and before.card is each.card and not each.twice:
            identity = before.identity
        counts = an_interval_later and not excused
        doubled = max(0, before.doubled - counts) if before is not None else 0
        if each.doubled or (doubled and not each.named):
            doubled = ABSENCES_UNTIL_GONE
        # A card that shows nothing does not tell that what could not be looked at is not there.
        is_doubtful = doubled or (excused and not each.pieces)
        self.thoughts[address] = Thought(
            each.card,
            pieces=None if is_doubtful else each.pieces,
            condition=each.condition,
            identity=identity,
            doubled=doubled,
        )
        for mark in each.card.marks.values():
            mark.unseen = False

    def _doubt_serial(self, address: str, each: Seen) -> None:
        before = self.serials.get(each.card, each.identity)
        if before != each.identity and not self.thinks(address, each.card):
            # It seems to be another card, and the one that it was is nowhere.
            _confuse(each.card)
        self.serials[each.card] = each.identity

    def _doubt_named(
        self, address: str, card: Card, seen: Mapping[str, Seen], excused: Collection[str]
    ) -> None:
        if card in self.known:
            return
        before = self.thoughts.get(address)
        if before is not None and before.card is not card and before.card not in self.known:
            # It seems to be the card that was there, whose serial number can be read at last.
            _confuse(before.card, card)
        for other in self.elsewhere(card, address):
            if other in excused or (other in seen and not self._is_known(seen[other])):
                _confuse(card)

    def _is_known(self, each: Seen) -> bool:
        return each.named and each.card in self.known

    def _doubt_nameless(
        self, address: str, card: Card, seen: Mapping[str, Seen], excused: Collection[str]
    ) -> None:
        before = self.thoughts.get(address)
        if before is not None and before.card is card:
            return
        if before is not None:
            _confuse(before.card)
            if not before.lacking:
                _confuse(card)
        for other in self.elsewhere(card, address):
            if other in seen or other in excused:
                _confuse(card)


def _confuse(*cards: Card) -> None:
    for card in cards:
        card.marks.clear()
