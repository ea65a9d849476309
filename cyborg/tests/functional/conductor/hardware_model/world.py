"""The world that the conductor lives in: hosts, cards, what is known of them, and their owners.

What happens to hardware happens here, and here it is looked at whether it may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

from cyborg.domain.work import Handle
from cyborg.tests.functional.conductor.hardware_model.cards import (
    Card,
    Group,
    Host,
    Mark,
    fraction,
    located,
    overlap,
)
from cyborg.tests.functional.conductor.hardware_model.knowledge import Knowledge, Seen, Thought
from cyborg.tests.functional.conductor.hardware_model.sights import (
    HIDDEN,
    NAMED,
    PLAIN,
    Scan,
    Sight,
)


@dataclass(frozen=True, slots=True)
class Holding:
    """A handle that somebody has, as Nova knows it."""

    request: str
    host: str
    type: str
    info: dict[str, str]

    @property
    def place(self) -> tuple[str, str]:
        """Return the host and the address of the card that it leads to."""
        return self.host, located(self.type, self.info)[0]

    @property
    def piece(self) -> str:
        """Return the piece that it leads to."""
        return located(self.type, self.info)[1]


@dataclass(slots=True)
class World:
    """Everything that is not the conductor's."""

    hosts: dict[str, Host]
    spares: list[Card]
    knowledge: dict[str, Knowledge] = field(default_factory=dict)
    #: Hosts and serial numbers, as they are reported, of what an operator has disabled.
    disabled: set[tuple[str, str]] = field(default_factory=set)
    #: Hosts of which no report has come since an interval passed.
    waiting: set[str] = field(default_factory=set)
    #: Called after each event of hardware.
    happened: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.knowledge = {name: Knowledge() for name in self.hosts}
        self.waiting = set(self.hosts)

    def cards(self) -> Iterator[tuple[Host | None, str | None, Card]]:
        """Return all cards, and where they are."""
        for host in self.hosts.values():
            for address, card in zip(host.addresses(), host.cards, strict=True):
                if card is not None:
                    yield host, address, card
        for card in self.spares:
            yield None, None, card

    def picture(self, host: str, address: str) -> object:
        """Return all on which it depends what may be had at an address."""
        card = self.hosts[host].at(address)
        marks = (
            {at: (mark.owner, frozenset(mark.cleaned)) for at, mark in card.marks.items()}
            if card
            else None
        )
        thought = self.knowledge[host].thoughts.get(address)
        return card, marks, thought and replace(thought), frozenset(self.disabled)

    # Hardware events.

    def pull(self, host: Host, slot: int) -> Card:
        """Take a card out; it is a spare one then."""
        card = host.cards[slot]
        assert card is not None
        host.cards[slot] = None
        card.leave()
        self.spares.append(card)
        self.happened()
        return card

    def put(self, host: Host, slot: int, card: Card) -> None:
        """Put a spare card into a free slot."""
        assert host.cards[slot] is None
        self.spares.remove(card)
        host.cards[slot] = card
        self.happened()

    def renumber(self, host: Host, slot: int, bus: str) -> None:
        """Give a slot another address."""
        card = host.cards[slot]
        if card is not None:
            card.leave()
        host.buses[slot] = bus
        self.happened()

    def turn(self, card: Card, condition: str) -> None:
        """Let a card break, or work again."""
        card.condition = condition
        self.happened()

    def cut(self, card: Card, *cut: Group) -> None:
        """Cut a card in another way."""
        card.cut = cut
        self.happened()

    # What owners and agents do.

    def may_be_given(self, given: Holding, owner: str) -> None:
        """See that a piece may be somebody's, as far as anybody could know."""
        (host, address), name = given.place, given.piece
        card = self.hosts[host].at(address)
        thought = self.knowledge[host].thoughts.get(address)
        if thought is None:
            return
        where = f"{name} of {thought.card} at {address}"
        self._may_be_thought_of(host, thought, name, where)
        self._is_clean(card, thought, name, owner, where)

    def must_be_clean(self, given: Holding, owner: str) -> None:
        """See that a piece holds nothing of others', as far as anybody could know."""
        (host, address), name = given.place, given.piece
        thought = self.knowledge[host].thoughts.get(address)
        if thought is not None:
            card = self.hosts[host].at(address)
            self._is_clean(card, thought, name, owner, f"{name} of {card} at {address}")

    def _is_clean(
        self, card: Card | None, thought: Thought, name: str, owner: str, where: str
    ) -> None:
        if card is thought.card and card.has(name):
            others = [each for each in card.seen_by(name) if each != owner]
            assert not others, f"{owner} gets {where} with what {others} left on it"

    def _may_be_thought_of(self, host: str, thought: Thought, name: str, where: str) -> None:
        assert thought.condition != "failed", f"{where} has failed"
        assert thought.absences < 3, f"{where} is missing"
        assert (host, thought.identity) not in self.disabled, f"{where} is disabled"
        if thought.pieces is not None:
            assert name in thought.pieces, f"there is no {where}"

    def give(self, given: Holding, owner: str) -> None:
        """Let somebody have what a handle leads to, as a hypervisor does."""
        (host, address), name = given.place, given.piece
        card = self.hosts[host].at(address)
        if card is not None and card.has(name):
            unseen = not self.knowledge[host].thinks(address, card)
            card.use(name, Mark(owner, unseen))

    def there(self, given: Holding, device: str) -> bool:
        """Return whether the card that a driver was told of is there, as far as it can tell."""
        host, address = given.place
        card = self.hosts[host].at(address)
        return card is not None and _may_be(card, device)

    def clean(self, host: str, handle: Handle, *, readable: bool, owner: str | None) -> bool:
        """Clean what a handle leads to, as a driver does; return False if the card is not there.

        :param readable: the driver can read which card is there.
        """
        address, name = located(handle.type, handle.info)
        card = self.hosts[host].at(address)
        if card is None:
            return False
        if readable and not _may_be(card, handle.device):
            return False
        card.clean(name)
        self.taken_for_clean(host, handle, owner)
        return True

    def taken_for_clean(self, host: str, handle: Handle, owner: str | None) -> None:
        """Forget the traces on a card that nobody could know not to have been cleaned."""
        address, name = located(handle.type, handle.info)
        thought = self.knowledge[host].thoughts.get(address)
        if thought is None or thought.lacking:
            return
        if self.hosts[host].at(address) is thought.card and _may_be(thought.card, handle.device):
            return
        if thought.identity is not None and not _may_be(thought.card, handle.device):
            # It was told of under its own name.
            return
        if owner is None:
            thought.card.clean(name)
        else:
            marks = thought.card.marks
            thought.card.marks = {at: m for at, m in marks.items() if m.owner != owner}

    # What reports tell.

    def tell(self, host: Host, scan: Scan, busy: set[str]) -> None:
        """Take note of what a report tells.

        :param busy: addresses at which agents are at work.
        """
        knowledge = self.knowledge[host.name]
        seen = {}
        excused = set(busy)
        # What is there keeps its last report, whatever else is.
        kept = set(busy)
        for slot in host.slots(full=True):
            sight, address = scan.sight(host, slot), host.addresses()[slot]
            if sight in (Sight.UNSEEN, Sight.UNSEEN_ADDRESS):
                excused.add(address)
            if sight is Sight.UNSEEN:
                kept.update(knowledge.places(host.cards[slot]))
            if sight not in HIDDEN:
                seen[address] = _seen(host, slot, scan)
        for address in kept & seen.keys():
            seen[address] = replace(seen[address], pieces=None)
        for each in seen.values():
            # What it brings from another host nobody there knows.
            if each.card.host not in (None, host.name):
                each.card.marks.clear()
            each.card.host = host.name
        if scan.failed:
            excused |= set(knowledge.thoughts)
        knowledge.report(seen, excused, an_interval_later=host.name in self.waiting)
        self.waiting.discard(host.name)


def _may_be(card: Card, identity: str) -> bool:
    """Return whether a card may be the one of an identity, by what a driver can read of it."""
    by_address = ":" in identity
    return by_address or not card.has_serial or card.serial in identity.lower()


def _seen(host: Host, slot: int, scan: Scan) -> Seen:
    card, sight = host.cards[slot], scan.sight(host, slot)
    assert card is not None
    named = sight in NAMED
    plain = sight in PLAIN or (not card.has_serial and sight is Sight.BY_ADDRESS)
    serial = card.serial if card.has_serial else None
    return Seen(
        card,
        named=named,
        pieces=frozenset(name for _, name in scan.pieces(host, slot)) if plain else None,
        condition=card.condition if plain and not scan.old else None,
        identity=f"other-{serial}" if sight is Sight.ALIAS else serial if named else None,
        doubled=sight is Sight.TWO_DRIVERS,
        twice=sight in (Sight.TWO_DRIVERS, Sight.TWO_IDENTITIES),
    )


def check_holdings(holdings: list[Holding]) -> None:
    """See that no two have one piece of hardware, or together more than there is of a card."""
    by_place: dict[tuple[str, str], list[Holding]] = {}
    for holding in holdings:
        by_place.setdefault(holding.place, []).append(holding)
    for place, there in by_place.items():
        for number, one in enumerate(there):
            for other in there[number + 1 :]:
                assert not overlap(one.piece, other.piece), f"{one} and {other} are one"
        total = sum((fraction(each.piece) for each in there), Fraction(0))
        assert total <= 1, f"more than there is of the card at {place}: {there}"


def check_work(host: str, handle: Handle, request: str | None, holdings: list[Holding]) -> None:
    """See that what an agent is about to touch is nobody else's."""
    address, name = located(handle.type, handle.info)
    for each in holdings:
        if each.place == (host, address) and each.request != request:
            assert not overlap(name, each.piece), f"it wipes {name} at {address} under {each}"
