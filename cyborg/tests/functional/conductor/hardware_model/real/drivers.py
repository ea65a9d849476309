"""The real driver on every host, in the agent's real parts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

from cyborg.conductor import inventory
from cyborg.db.tables import hosts
from cyborg.db.types import database_now
from cyborg.domain.work import Handle, Prepare, Release
from cyborg.tests.functional.conductor.hardware_model import records
from cyborg.tests.functional.conductor.hardware_model.base import SLOTS
from cyborg.tests.functional.conductor.hardware_model.cards import (
    Card,
    Design,
    Group,
    Host,
    located,
)
from cyborg.tests.functional.conductor.hardware_model.drivers import (
    Attempt,
    Conductor,
    Drivers,
    Outcome,
)
from cyborg.tests.functional.conductor.hardware_model.real.agent import Agent, Watch
from cyborg.tests.functional.conductor.hardware_model.real.hardware import End, Hardware
from cyborg.tests.functional.conductor.hardware_model.real.process import Process
from cyborg.tests.functional.conductor.hardware_model.sights import Scan, Sight
from cyborg.tests.functional.conductor.hardware_model.world import Holding, World, check_work

#: Seconds for which a host is not heard while it is booted.
_BOOT = 15


class RealDrivers(Drivers):
    """The pci driver, whose cards are known by their addresses, since none has a serial number.

    What an attempt meets here in the place of what invented drivers do: a function that cannot
    be read (fails), a reset that is refused (blindly), one that works and says that it has not
    (not known), and nobody who can tell whether a guest has it open (old).
    """

    def begin(self, world: World, conductor: Conductor) -> None:
        super().begin(world, conductor)
        self._folder = Path(tempfile.mkdtemp(prefix="hardware-model-", dir=_memory()))
        self.hardware: dict[str, Hardware] = {}
        self._agents: dict[str, Agent] = {}
        self._current: Attempt | None = None
        #: What a guest was started on, until its release is tried.
        self._begun_on: dict[str, Card] = {}
        #: How the next server ends: at once if it is None.
        self.next_end: End | None = None
        for name, host in world.hosts.items():
            self.hardware[name] = Hardware(host, self._folder / name)
            self.start_agent(name)
        self.follow()

    def end(self) -> None:
        if hasattr(self, "_folder"):
            shutil.rmtree(self._folder)

    # Hardware.

    def reads_serial(self, design: Design) -> bool:
        return False

    def cuts(self, design: Design) -> Sequence[tuple[Group, ...]]:
        if design is Design.FUNCTIONS:
            return (Group.FUNCTIONS,), (Group.WHOLE,)
        return ((Group.WHOLE,),)

    def lets_turn(self, card: Card, condition: str) -> bool:
        """What has had a fatal error is as it is until it is reset."""
        return not any(card in each.broken for each in self.hardware.values())

    def lets_cut(self, card: Card) -> bool:
        """The kernel does so only while the card is its driver's, and no guest has any of it."""
        return not self._of(card).is_anybodys(card)

    def follow(self) -> None:
        for each in self.hardware.values():
            each.follow()

    def count_fatal_error(self, card: Card) -> None:
        """Let a card have a fatal error."""
        self._of(card).count_fatal_error(card)

    def _of(self, card: Card) -> Hardware:
        [found] = [each for each in self.hardware.values() if card in each.host.cards]
        return found

    # Agents.

    def start_agent(self, name: str) -> None:
        """Start the agent of a host, in the place of the one that was there."""
        hardware, state = self.hardware[name], self._folder / name / "state"
        hardware.process = Process(state)
        watch = Watch(self._note_begin, lambda handle: self._note_release(name, handle))
        self._agents[name] = Agent(hardware, state, self.conductor, watch)

    def boot(self, name: str) -> None:
        """Boot a host; its agent comes with it."""
        env = self.conductor.env
        with env.database.engine.begin() as connection:
            heard = hosts.update().where(hosts.c.name == name)
            connection.execute(heard.values(last_seen_at=database_now(-_BOOT)))
        self.hardware[name].boot()
        self.start_agent(name)

    def possible(self, scan: Scan) -> Scan:
        """A driver that sees anything sees all that is there, but what cannot be read."""
        if scan.failed:
            return Scan([Sight.LATE] * SLOTS, failed=True)
        unread = (Sight.UNSEEN, Sight.UNSEEN_ADDRESS)
        return Scan([Sight.UNSEEN_ADDRESS if s in unread else Sight.WELL for s in scan.sights])

    def report(self, host: Host, scan: Scan) -> bool:
        with self._seeing(host, scan):
            told = self._agents[host.name].tell()
        self._look(host.name)
        return told

    @contextmanager
    def _seeing(self, host: Host, scan: Scan) -> Iterator[None]:
        hardware = self.hardware[host.name]
        with ExitStack() as stack:
            if scan.failed:
                stack.enter_context(hardware.unlisted())
            for slot in host.slots(full=True):
                if scan.sight(host, slot) is Sight.UNSEEN_ADDRESS:
                    stack.enter_context(hardware.unreadable(f"{host.addresses()[slot]}.0"))
            yield

    def is_settled(self, host: Host, scan: Scan) -> bool:
        agent = self._agents[host.name]
        return inventory.heartbeat(
            self.conductor.env, host.name, agent.digest(), agent=agent.introduce()
        )

    def work(self, attempt: Attempt) -> None:
        hardware, agent = self.hardware[attempt.host], self._agents[attempt.host]
        [step] = attempt.work.steps
        assert isinstance(step, Release | Prepare)
        self._current = attempt
        agent.line.is_slow = attempt.outcome is Outcome.LATE
        # A guest that ends late does so while it is waited for.
        agent.machine.clock.slept = lambda _now: hardware.end_late()
        with self._meeting(hardware, attempt.outcome, function_of(step.handle.info)):
            agent.do(attempt.work)
        agent.line.is_slow = False
        self._current = None
        if isinstance(step, Release) and attempt.server is not None:
            self._begun_on.pop(attempt.server, None)
        self._look(attempt.host)
        for given in records.bound(self.conductor.record):
            if given.request == attempt.request and attempt.server is not None:
                self.start(given, attempt.server)

    def _meeting(
        self, hardware: Hardware, outcome: Outcome, function: str
    ) -> AbstractContextManager[None]:
        match outcome:
            case Outcome.FAILS:
                return hardware.unreadable(function)
            case Outcome.BLINDLY:
                return hardware.refusing(function)
            case Outcome.NOT_KNOWN:
                return hardware.seeming_to_fail()
            case Outcome.OLD:
                return hardware.untold(function)
        return nullcontext()

    def _note_begin(self, job: str) -> None:
        """See that what is about to be reset is nobody else's."""
        attempt = self._current
        if attempt is None or attempt.work.job_uuid != job:
            return
        [step] = attempt.work.steps
        if isinstance(step, Release):
            held = records.held(self.conductor.record)
            try:
                check_work(attempt.host, step.handle, attempt.request, held)
            except AssertionError as wrong:
                # In a thread of the executor's.
                self.hardware[attempt.host].wrongs.append(str(wrong))

    def _note_release(self, name: str, handle: Handle) -> None:
        """Forget the traces on a card that the driver must have taken for another.

        It knows one board from another, and not two of one kind.
        """
        address, _ = located(handle.type, handle.info)
        thought = self.world.knowledge[name].thoughts.get(address)
        there = self.world.hosts[name].at(address)
        server = self._current.server if self._current is not None else None
        given = self._begun_on.pop(server, None) if server is not None else None
        # One that was reset, and an agent that died before it could tell, left clean.
        left = given is not None and any(mark.owner == server for mark in given.marks.values())
        if left and given and there is not None and there.design is not given.design:
            self.hardware[name].wrongs.append(f"{there} is taken for {given}, which has left")
        if thought is not None and there is not None and there.design is thought.card.design:
            self.world.taken_for_clean(name, handle, server)

    def _look(self, name: str) -> None:
        """See that nothing was wrong with what an agent has done; start another if it is dead."""
        hardware = self.hardware[name]
        assert not hardware.wrongs, hardware.wrongs
        if hardware.process.is_dead:
            hardware.process.bury()
            self.start_agent(name)

    # Servers.

    def start(self, given: Holding, server: str) -> None:
        """Let a guest run, once all that it was given is ready."""
        host, _ = given.place
        hardware = self.hardware[host]
        if given not in records.bound(self.conductor.record):
            return
        hardware.end(server)
        if hardware.start(server, function_of(given.info)):
            self.world.must_be_clean(given, server)
            self.world.give(given, server)
            there = self.world.hosts[host].at(given.place[1])
            assert there is not None
            self._begun_on[server] = there
        assert not hardware.wrongs, hardware.wrongs

    def stop(self, server: str) -> None:
        how, self.next_end = self.next_end, None
        for each in self.hardware.values():
            each.stop(server, how)

    def come_to_rest(self) -> None:
        self.next_end = None
        for each in self.hardware.values():
            each.process.spare()
            each.end_lingering()


def _memory() -> str | None:
    """Return where files cost least: what agents keep need not be durable here."""
    return next((path for path in ("/dev/shm",) if os.access(path, os.W_OK)), None)


def function_of(info: Mapping[str, str]) -> str:
    """Return the address of the function that a handle's info leads to."""
    return "{domain}:{bus}:{device}.{function}".format_map(info)
