"""What a machine of hosts, cards and one conductor begins with."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from cyborg.conductor import finishing
from cyborg.conductor.environment import Environment
from cyborg.db.tables import device_profiles, metadata
from cyborg.domain.work import Work
from cyborg.tests.functional.conductor.dying import Died, Mortal, MortalAgents
from cyborg.tests.functional.conductor.hardware_model import records
from cyborg.tests.functional.conductor.hardware_model.cards import Card, Design, Host
from cyborg.tests.functional.conductor.hardware_model.drivers import Answer, Drivers
from cyborg.tests.functional.conductor.hardware_model.records import Offer
from cyborg.tests.functional.conductor.hardware_model.sights import Scan
from cyborg.tests.functional.conductor.hardware_model.world import World
from cyborg.tests.functional.conductor.trials import Trials, asking_for
from cyborg.tests.helpers import an_interval_later

T = TypeVar("T")

ONE, TWO = "compute-1", "compute-2"
BUSES = {ONE: ("3a", "4b", "c8", "d9"), TWO: ("3a", "ef")}
SLOTS = 4

CLASSES = ("PGPU", "VGPU", "CUSTOM_PCI")

DESIGNS = st.lists(st.sampled_from(Design), min_size=6, max_size=6)


@dataclass(slots=True)
class Life:
    """A request, as Nova knows it."""

    resource_class: str
    #: The server that it is bound to: that is who leaves marks.
    server: str | None = None
    #: Where Nova has an allocation for it.
    provider: str | None = None
    #: Nova cannot see it any more.
    is_deleted: bool = False


class ForgetfulAgents(MortalAgents):
    """Agents whose messages may be lost."""

    #: How many of the next.
    lost = 0

    def start(self, host: str, work: Work) -> None:
        """Get the work, or not."""
        if self.lost:
            self.lost -= 1
            return
        super().start(host, work)


class Base(RuleBasedStateMachine):
    """Two hosts with their cards, and one conductor."""

    def __init__(self, env: Environment, drivers: Drivers) -> None:
        super().__init__()
        #: Of both hosts.
        self.drivers = drivers
        self.mortal = Mortal()
        self.agents = ForgetfulAgents(self.mortal)
        #: The moment at which whoever does something next dies over it.
        self.doom: int | None = None
        numbers = itertools.count(1)
        self.record = dataclasses.replace(
            env,
            agents=self.agents,
            new_uuid=lambda: f"{next(numbers):08x}-0000-4000-8000-000000000000",
        )
        #: Something may be in the record that was not looked at yet.
        self.is_changed = True
        self.card_numbers = itertools.count(1)
        self.server_numbers = itertools.count(1)
        self.world = World({}, [])
        self.lives: dict[str, Life] = {}
        self.trials: Trials
        #: Answers that are still under way.
        self.late: list[Answer] = []

    @property
    def env(self) -> Environment:
        """The conductor, to do something. Who only looks uses ``record``."""
        self.is_changed = True
        return self.record

    def surely(self, action: Callable[[], T]) -> T:
        """Do something; if its conductor dies over it, another one is asked the same."""
        doom, self.doom = self.doom, None
        if doom is not None:
            with suppress(Died), self.mortal.at(doom, self.record.database.engine):
                return action()
        return action()

    @initialize(designs=DESIGNS)
    def begin(self, designs: list[Design]) -> None:
        """Begin with an empty record, and cards in some slots."""
        with self.env.database.engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                if table is not device_profiles:
                    connection.execute(table.delete())
        for name in CLASSES:
            asking_for(self.env, name)
        self.trials = Trials(self.env, CLASSES)
        cards = [self.new_card(design) for design in designs]
        self.world = World(
            {
                ONE: Host(ONE, list(BUSES[ONE]), [*cards[:3], None]),
                TWO: Host(TWO, list(BUSES[TWO]), [cards[3], None]),
            },
            cards[4:],
        )
        self.drivers.begin(self.world, self)
        self.world.happened = self.drivers.follow

    def new_card(self, design: Design) -> Card:
        """Return a card that nobody has had."""
        serial = f"card-{next(self.card_numbers):03}"
        cut, *_ = self.drivers.cuts(design)
        return Card(serial, design, cut, has_serial=self.drivers.reads_serial(design))

    def time_passes(self) -> None:
        """Let an interval between reports pass."""
        an_interval_later(self.env)
        self.world.waiting = set(self.world.hosts)

    def tell(self, name: str, scan: Scan) -> None:
        """Let a host report what a scan shows, as far as its drivers see it so."""
        host = self.world.hosts[name]
        scan = self.drivers.possible(scan)
        busy = records.busy_addresses(self.record, name)
        if self.drivers.report(host, scan):
            self.world.tell(host, scan, busy)

    def take(self, answer: Answer) -> None:
        """Let the conductor have an agent's answer."""
        self.surely(
            lambda: finishing.finish(
                self.env,
                answer.host,
                answer.job_uuid,
                answer.generation,
                answer.error,
                away=answer.away,
                not_begun=answer.not_begun,
            )
        )
        self._forget_servers()

    def _forget_servers(self) -> None:
        """Forget whose requests are whose that hold nothing any more."""
        holding = records.holding_requests(self.record)
        there = records.requests(self.record)
        for uuid, life in list(self.lives.items()):
            if uuid not in there:
                del self.lives[uuid]
            elif uuid not in holding:
                life.server = None

    def offers(self) -> list[Offer]:
        """Return what Placement would give away now."""
        allocated: dict[str, int] = {}
        for life in self.lives.values():
            if life.provider is not None:
                allocated[life.provider] = allocated.get(life.provider, 0) + 1
        return records.offers(self.record, allocated)
