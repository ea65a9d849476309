"""Histories that are told one by one: the same world and the same conductor as in the random
ones, and after each step the same must hold."""

from __future__ import annotations

from cyborg.conductor.environment import Environment
from cyborg.domain.model import DeviceStatus
from cyborg.tests.functional.conductor.hardware_model import records
from cyborg.tests.functional.conductor.hardware_model.base import ONE, SLOTS, TWO
from cyborg.tests.functional.conductor.hardware_model.cards import Card, Design, Group, Host
from cyborg.tests.functional.conductor.hardware_model.drivers import Outcome
from cyborg.tests.functional.conductor.hardware_model.machine import HardwareMachine
from cyborg.tests.functional.conductor.hardware_model.sights import Scan, Sight


class Story:
    """One history. Slots are those of the first host where none is named."""

    def __init__(self, env: Environment, *designs: Design) -> None:
        """Begin with these cards in the first slots of the first host; nothing is reported."""
        self._machine = HardwareMachine(env)
        self._machine.begin([*designs, *[Design.PLAIN] * (6 - len(designs))])
        for host, count in ((self.host(ONE), len(designs)), (self.host(TWO), 0)):
            for slot in host.slots(full=True)[count:]:
                self._machine.world.pull(host, slot)

    def host(self, name: str = ONE) -> Host:
        """Return a host."""
        return self._machine.world.hosts[name]

    def card(self, slot: int, host: str = ONE) -> Card:
        """Return the card in a slot."""
        card = self.host(host).cards[slot]
        assert card is not None
        return card

    # Reports.

    def report(self, *sights: Sight, host: str = ONE, at_once: bool = False, **scan: bool) -> None:
        """Let a host report its slots as they are seen; what is not named is seen well."""
        if not at_once:
            self._machine.time_passes()
        rest = [Sight.WELL] * (SLOTS - len(sights))
        self._machine.tell(host, Scan([*sights, *rest], **scan))
        self._machine.all_is_well()

    # Hardware.

    def pull(self, slot: int, host: str = ONE) -> Card:
        """Take a card out."""
        return self._machine.world.pull(self.host(host), slot)

    def put(self, slot: int, card: Card, host: str = ONE) -> None:
        """Put it into a slot."""
        self._machine.world.put(self.host(host), slot, card)

    def move(self, slot: int, to: int) -> None:
        """Put a card into another slot."""
        self.put(to, self.pull(slot))

    def swap(self, one: int, other: int) -> None:
        """Let two cards change places."""
        first, second = self.pull(one), self.pull(other)
        self.put(one, second)
        self.put(other, first)

    def new(self, slot: int, design: Design) -> None:
        """Put a new card into a slot."""
        card = self._machine.new_card(design)
        self._machine.world.spares.append(card)
        self.put(slot, card)

    def cut(self, slot: int, *cut: Group) -> None:
        """Cut a card in another way."""
        self._machine.world.cut(self.card(slot), *cut)

    # Users, operators, agents.

    def bind(self, slot: int, suffix: str = "") -> str:
        """Bind a request to what a slot offers, which must be offered; return the request."""
        name = f"{ONE}_{self.host().addresses()[slot]}.0{suffix}"
        [offer] = [offer for offer in self._machine.offers() if offer.name == name]
        self._machine.boot(offer)
        self._machine.all_is_well()
        return list(self._machine.lives)[-1]

    def restart_servers(self) -> None:
        """Start all servers anew."""
        self._machine.servers_restart()

    def delete(self, request: str, outcome: Outcome = Outcome.WORKS) -> None:
        """Delete a request, and let the release go so."""
        self._machine.give_up(request)
        self._machine.all_is_well()
        self.work(outcome)

    def work(self, outcome: Outcome = Outcome.WORKS) -> None:
        """Let agents do all that they are given."""
        self._machine.conduct("leases")
        for row in records.jobs_under_way(self._machine.record):
            self._machine.do(row.uuid, row.generation, row.request, outcome)
            self._machine.all_is_well()

    def operate(self, card: Card, status: DeviceStatus) -> None:
        """Enable or disable a card."""
        [row] = [
            row for row in records.devices_of(self._machine.record) if row.identity == card.serial
        ]
        self._machine.set_status(row, status)
        self._machine.all_is_well()

    # What there is.

    def offers(self) -> dict[str, int]:
        """Return what is offered, without the name of the host."""
        return {each.name.removeprefix(f"{ONE}_"): each.units for each in self._machine.offers()}

    def end(self) -> None:
        """Let all come to rest: then what is offered is what is there."""
        self._machine.come_to_rest()
