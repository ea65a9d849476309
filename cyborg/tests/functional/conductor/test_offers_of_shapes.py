"""Random boots on a card that is offered in several shapes at once, beside a real Placement.

Placement cannot know that a card that is given out whole is not there in halves. So it must be
told: after every step, what it would still give away of any one provider can be bound. It is
not told before the answer of what a report has changed; until it has heard of that, a server may
be sent in vain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any, ClassVar

import pytest

from cyborg.conductor import inventory, providers
from cyborg.conductor.environment import Environment
from cyborg.db.database import Connection
from cyborg.db.tables import jobs
from cyborg.domain.errors import CyborgError
from cyborg.domain.model import ProviderJobKind
from cyborg.tests.functional.conductor.booting import Actions, Booting
from cyborg.tests.functional.conductor.hardware_model import records
from cyborg.tests.functional.conductor.hardware_model.cards import Card, Design, Group, Host
from cyborg.tests.functional.conductor.hardware_model.records import Offer
from cyborg.tests.functional.conductor.hardware_model.sights import Scan, Sight
from cyborg.tests.functional.conductor.hardware_model.world import check_holdings
from cyborg.tests.functional.conductor.harness import rows
from cyborg.tests.functional.conductor.racing import bindable
from cyborg.tests.functional.conductor.trials import Trials
from cyborg.tests.helpers import HOST, RecordingAgents, an_interval_later, placement_client
from cyborg.tests.servers import Placement

CLASSES = ("PGPU", "VGPU")
#: Of a round, at the end of which everything is given back.
STEPS = 20

ALL = (Group.WHOLE, Group.HALVES, Group.QUARTERS)
CUTS = (
    *[ALL] * 5,
    (Group.WHOLE, Group.QUARTERS),
    (Group.WHOLE, Group.HALVES),
    (Group.HALVES, Group.QUARTERS),
    (Group.WHOLE,),
    (Group.QUARTERS,),
)

#: How likely a card fails when something happens to one.
_FAILS = 0.4


class Shapes(Booting):
    """A card in shapes, and one beside it that has one shape."""

    answers: ClassVar[dict[str, int]] = {"works": 12, "fails": 1, "away": 5}

    def __init__(
        self,
        env: Environment,
        agents: RecordingAgents,
        placement: Placement,
        seed: int,
        *,
        needs_work: bool,
    ) -> None:
        super().__init__(env, agents, placement, seed, CLASSES)
        #: Agents prepare and release what is given out.
        self.needs_work = needs_work
        self.card = Card("in-shapes", Design.MEDIATED, ALL)
        self.cards = [self.card, Card("beside", Design.FUNCTIONS, (Group.FUNCTIONS,))]
        self.host = Host(HOST, ["3a", "4b"], list(self.cards))
        self.trials = Trials(env, CLASSES)
        self.kept = self.trials.requests
        #: By provider, how everything was when its offer was tried last.
        self.tried: dict[str, object] = {}
        self.report()
        while providers.sweep(env):
            pass

    def actions(self) -> Actions:
        return {**super().actions(), self.sweep: 10, self.report: 1, self.cut: 2, self.turn: 1}

    # Hardware

    def cut(self) -> bool:
        """The card is cut in another way, or as it came."""
        self.card.cut = self.random.choice(CUTS)
        self.history[-1] += f" {[str(group) for group in self.card.cut]}"
        return self.report()

    def turn(self) -> bool:
        """A card fails, or all work again."""
        for card in self.cards:
            card.condition = "healthy"
        if self.random.random() < _FAILS:
            self.random.choice(self.cards).condition = "failed"
        self.history[-1] += f" {[card.condition for card in self.cards]}"
        return self.report()

    def report(self) -> bool:
        an_interval_later(self.env)
        inventory.report(self.env, HOST, self.wire())
        self.unheard |= self.waiting()
        return True

    def shapes(self) -> list[str]:
        """Return the providers of the card as it came."""
        return [f"{HOST}_{self.host.addresses()[0]}.0_{group}" for group in ALL]

    def wire(self) -> dict[str, Any]:
        """Return the report of what there is."""
        wire = Scan([Sight.WELL] * 2).wire(self.host)
        if not self.needs_work:
            for device in wire["devices"]:
                for part in device["deployables"]:
                    part |= {"needs_prepare": False, "needs_release": False}
        return wire

    # What must hold

    def check(self, when: str) -> None:
        """See that what is offered can be bound, and that no two have the same."""
        handles = records.handles(self.env)
        check_holdings(records.holdings_of(handles))
        self.unheard &= self.waiting()
        can, places = bindable(self.env), records.places(handles)
        for offer in self.offers():
            if offer.uuid in self.unheard:
                continue
            most = can.get(offer.uuid, 0)
            assert offer.units <= most, f"{offer} and {most} are there {when}"
            picture = (offer, places[offer.uuid])
            if self.tried.get(offer.uuid) != picture:
                self.try_to_bind(offer, when)
                self.tried[offer.uuid] = picture

    def try_to_bind(self, offer: Offer, when: str) -> None:
        def look(connection: Connection, _uuids: Collection[str]) -> None:
            check_holdings(records.holdings(connection))

        try:
            self.trials.try_to_bind(self.env, offer, look)
        except CyborgError as error:
            raise AssertionError(f"{offer} cannot be bound {when}: {error}") from error

    def waiting(self) -> set[str]:
        """Return the providers of which Placement is still to be told something."""
        kinds = set(ProviderJobKind)
        return {row.subject.split("/")[1] for row in rows(self.env, jobs) if row.kind in kinds}

    def come_to_rest(self) -> None:
        """Give everything back: then all of the cards is offered in the shapes of the last
        report, as far as it is not quarantined."""
        for card in self.cards:
            card.condition = "healthy"
        self.report()
        self.sweep()
        super().come_to_rest()
        for _ in range(3):
            self.report()
            self.work_until_done()
        offered = {offer.uuid: offer.units for offer in self.offers()}
        assert offered == {uuid: units for uuid, units in bindable(self.env).items() if units}
        there = {
            part["name"]: part["num_accelerators"]
            for device in self.wire()["devices"]
            for part in device["deployables"]
        }
        if not records.quarantined(self.env):
            assert {offer.name: offer.units for offer in self.offers()} == there
        self.card.cut = ALL
        self.report()


@dataclasses.dataclass(frozen=True)
class History:
    """One that shows what is in its name."""

    seed: int
    #: On SQLite; the servers get one.
    rounds: int
    needs_work: bool = True


HISTORIES = {
    "cut anew": History(4, 1),
    "left unclean": History(6, 3),
    "clean at once": History(7, 1, needs_work=False),
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
def test_placement_never_offers_what_another_shape_has(
    env: Environment, agents: RecordingAgents, empty_placement: Placement, history: History
) -> None:
    empty_placement.make_root(HOST)
    env = dataclasses.replace(env, placement=placement_client(empty_placement.url))
    env.conf.set_override("release_attempts", 2, group="conductor")
    nova = Shapes(env, agents, empty_placement, history.seed, needs_work=history.needs_work)
    is_quick = env.database.engine.dialect.name == "sqlite"
    nova.live(STEPS, history.rounds if is_quick else 1)
    assert any(name in nova.booted for name in nova.shapes()), nova.booted
    # Whoever is sent where Placement has heard of everything gets it.
    assert nova.refused == 0, nova.history
