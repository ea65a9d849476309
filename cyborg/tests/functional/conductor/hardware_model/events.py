"""What happens to hardware, and how hosts tell of it."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from cyborg.domain.recorded import ABSENCES_UNTIL_GONE
from cyborg.tests.functional.conductor.hardware_model.base import ONE, SLOTS, TWO, Base
from cyborg.tests.functional.conductor.hardware_model.cards import Card, Design, Host
from cyborg.tests.functional.conductor.hardware_model.sights import Scan, Sight

#: Where slots may be after a restart with other cards.
_BUSES = ["3a", "4b", "c8", "d9", "ef", "1f"]

_SIGHTS = st.lists(st.sampled_from([Sight.WELL] * 8 + list(Sight)), min_size=SLOTS, max_size=SLOTS)
_SELDOM = st.sampled_from([False] * 5 + [True])
_HOSTS = st.sampled_from([ONE, ONE, TWO])


def _has_card(machine: Base) -> bool:
    return any(host.slots(full=True) for host in machine.world.hosts.values())


def _has_room(machine: Base) -> bool:
    return any(host.slots(full=False) for host in machine.world.hosts.values())


class Events(Base):
    """Reports, and what happens between them."""

    @rule(host=_HOSTS)
    def good_report(self, host: str) -> None:
        """A host reports all that it has, an interval after the last time."""
        self.time_passes()
        self.tell(host, Scan([Sight.WELL] * SLOTS))

    @rule(host=_HOSTS, sights=_SIGHTS, at_once=_SELDOM, old=_SELDOM, failed=_SELDOM)
    def report(
        self, host: str, sights: list[Sight], at_once: bool, old: bool, failed: bool
    ) -> None:
        """A host reports what its drivers see."""
        if not at_once:
            self.time_passes()
        self.tell(host, Scan(sights, old, failed))

    @precondition(_has_card)
    @rule(data=st.data())
    def pull(self, data: st.DataObject) -> None:
        """A card is taken out."""
        self.world.pull(*self._slot(data, full=True))

    @precondition(lambda self: _has_room(self) and self.world.spares)
    @rule(data=st.data())
    def put(self, data: st.DataObject) -> None:
        """A card that is in no slot is put into one."""
        card = data.draw(st.sampled_from(self.world.spares), "card")
        self.world.put(*self._slot(data, full=False), card)

    @precondition(_has_card)
    @rule(data=st.data())
    def take_out_for_a_while(self, data: st.DataObject) -> None:
        """A card is put back where it was after its host has missed it for long enough."""
        host, slot = self._slot(data, full=True)
        card = self.world.pull(host, slot)
        for _ in range(ABSENCES_UNTIL_GONE):
            self.good_report(host.name)
        self.world.put(host, slot, card)

    @precondition(_has_card)
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        """A card is put into another slot of its host."""
        host, slot = self._slot(data, full=True)
        free = host.slots(full=False)
        if free:
            card = self.world.pull(host, slot)
            self.world.put(host, data.draw(st.sampled_from(free), "to"), card)

    @precondition(_has_card)
    @rule(data=st.data())
    def swap(self, data: st.DataObject) -> None:
        """Two cards change places."""
        host, one = self._slot(data, full=True)
        other = data.draw(st.sampled_from(host.slots(full=True)), "with")
        if other != one:
            first, second = self.world.pull(host, one), self.world.pull(host, other)
            self.world.put(host, one, second)
            self.world.put(host, other, first)

    @precondition(_has_card)
    @rule(data=st.data(), design=st.sampled_from(Design))
    def replace(self, data: st.DataObject, design: Design) -> None:
        """A card is replaced by a new one."""
        host, slot = self._slot(data, full=True)
        self.world.pull(host, slot)
        card = self.new_card(design)
        self.world.spares.append(card)
        self.world.put(host, slot, card)

    @rule(data=st.data(), host=_HOSTS, bus=st.sampled_from(_BUSES))
    def renumber(self, data: st.DataObject, host: str, bus: str) -> None:
        """A slot gets another address."""
        renumbered = self.world.hosts[host]
        slot = data.draw(st.integers(0, len(renumbered.buses) - 1), "slot")
        if bus not in renumbered.buses:
            self.world.renumber(renumbered, slot, bus)

    @precondition(_has_card)
    @rule(data=st.data(), condition=st.sampled_from(["failed", "healthy", "degraded"]))
    def turn(self, data: st.DataObject, condition: str) -> None:
        """A card breaks, or works again."""
        card = self._card(data)
        if self.drivers.lets_turn(card, condition):
            self.world.turn(card, condition)

    @precondition(_has_card)
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        """A card is cut in another way."""
        card = self._card(data)
        cut = data.draw(st.sampled_from(self.drivers.cuts(card.design)), "cut")
        if self.drivers.lets_cut(card):
            self.world.cut(card, *cut)

    def _slot(self, data: st.DataObject, *, full: bool) -> tuple[Host, int]:
        found = [
            (name, slot)
            for name, host in self.world.hosts.items()
            for slot in host.slots(full=full)
        ]
        name, slot = data.draw(st.sampled_from(found), "slot")
        return self.world.hosts[name], slot

    def _card(self, data: st.DataObject) -> Card:
        host, slot = self._slot(data, full=True)
        card = host.cards[slot]
        assert card is not None
        return card
