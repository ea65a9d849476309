"""Who looks at the cards and works on them: the part of the model that is exchanged.

The cards, their owners and what reports have told are one world (``world.py``), whoever reports
and cleans there. Invented drivers (``invented.py``) see cards in every way that a report can
express; the real one (``real/``) sees files of a fake host that always shows what is in the
slots.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cyborg.conductor.environment import Environment
from cyborg.domain.work import Work
from cyborg.tests.functional.conductor.hardware_model.cards import Card, Design, Group, Host
from cyborg.tests.functional.conductor.hardware_model.sights import Scan
from cyborg.tests.functional.conductor.hardware_model.world import Holding, World

T = TypeVar("T")


class Outcome(enum.StrEnum):
    """How an agent's attempt goes. Whatever happens, only what is there can be touched."""

    WORKS = "works"
    #: The driver cannot read which card it works on.
    BLINDLY = "works, on whatever is there"
    FAILS = "fails"
    NOT_KNOWN = "works, and seems to have failed"
    LATE = "works, and its answer is late"
    #: That of the release before: what is not there is a success.
    OLD = "works, whatever is there or not"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent says of an attempt."""

    host: str
    job_uuid: str
    generation: int
    error: str | None
    away: bool = False
    not_begun: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """Work of an agent, and how it goes."""

    host: str
    work: Work
    #: The request that it is for, and that request's server; None: it is for nobody.
    request: str | None
    server: str | None
    outcome: Outcome

    def ends(self, error: str | None, *, away: bool = False) -> Answer:
        """Return what the agent says of it."""
        return Answer(self.host, self.work.job_uuid, self.work.generation, error, away)


class Conductor(Protocol):
    """What agents have of the machine in which they are."""

    #: Answers that are still under way.
    late: list[Answer]

    @property
    def record(self) -> Environment:
        """The conductor, for who only looks."""

    @property
    def env(self) -> Environment:
        """The conductor, to do something."""

    def surely(self, action: Callable[[], T]) -> T:
        """Do something; if its conductor dies over it, another one is asked the same."""

    def take(self, answer: Answer) -> None:
        """Let the conductor have an agent's answer."""


class Drivers(ABC):
    """The drivers of all hosts, and the agents in which they are."""

    world: World
    conductor: Conductor

    def begin(self, world: World, conductor: Conductor) -> None:
        """Be those of a world that begins."""
        self.world = world
        self.conductor = conductor

    def end(self) -> None:
        """Leave nothing behind."""
        return

    # Which hardware they know.

    @abstractmethod
    def reads_serial(self, design: Design) -> bool:
        """Return whether the serial number of such a card can be read."""

    @abstractmethod
    def cuts(self, design: Design) -> Sequence[tuple[Group, ...]]:
        """Return the ways to cut such a card. The first is how it comes."""

    def lets_turn(self, card: Card, condition: str) -> bool:
        """Return whether a card that is in a slot can come to a condition now."""
        return True

    def lets_cut(self, card: Card) -> bool:
        """Return whether a card that is in a slot can be cut in another way now."""
        return True

    def follow(self) -> None:
        """Show what has just happened to hardware."""
        return

    # What agents do.

    def possible(self, scan: Scan) -> Scan:
        """Return how a scan goes here that should go so."""
        return scan

    @abstractmethod
    def report(self, host: Host, scan: Scan) -> bool:
        """Scan a host and report it; return whether the conductor has taken it."""

    @abstractmethod
    def is_settled(self, host: Host, scan: Scan) -> bool:
        """Return whether the conductor wants to hear no more of what a scan shows."""

    @abstractmethod
    def work(self, attempt: Attempt) -> None:
        """Let an agent do what it was given, and tell how that ended."""

    # What servers do.

    @abstractmethod
    def start(self, given: Holding, server: str) -> None:
        """Let a server have what it was given, from its start or its restart on."""

    def stop(self, server: str) -> None:
        """Let a server end, before what it was given is taken from it."""
        return

    def come_to_rest(self) -> None:
        """Let end what goes on by itself, and work what works only now and then."""
        return
