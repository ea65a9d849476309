"""What can happen only where there are files, guests and processes."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from cyborg.conductor.environment import Environment
from cyborg.domain.model import HandleCondition
from cyborg.tests.functional.conductor.hardware_model import records
from cyborg.tests.functional.conductor.hardware_model.base import DESIGNS, ONE, SLOTS, TWO
from cyborg.tests.functional.conductor.hardware_model.cards import Design
from cyborg.tests.functional.conductor.hardware_model.drivers import Outcome
from cyborg.tests.functional.conductor.hardware_model.lives import MOST, OUTCOMES
from cyborg.tests.functional.conductor.hardware_model.machine import HardwareMachine
from cyborg.tests.functional.conductor.hardware_model.real.drivers import RealDrivers
from cyborg.tests.functional.conductor.hardware_model.real.hardware import End
from cyborg.tests.functional.conductor.hardware_model.real.process import MOMENTS
from cyborg.tests.functional.conductor.hardware_model.sights import Scan, Sight

_HOSTS = st.sampled_from([ONE, ONE, TWO])
_ENDS = st.sampled_from([None] * 4 + list(End))


class RealMachine(HardwareMachine):
    """The same machine with the real driver, on hosts that are directories."""

    def __init__(self, env: Environment) -> None:
        self.real = RealDrivers()
        super().__init__(env, self.real)
        self._are_slow = False
        #: Of what is done when a request has just been made.
        self._next_outcome = Outcome.WORKS
        #: Ids of handles that nobody gets until an operator has looked at them.
        self._quarantined: frozenset[int] = frozenset()

    @initialize(designs=DESIGNS)
    def begin(self, designs: list[Design]) -> None:
        """Begin with servers on all but one of what the hosts offer."""
        super().begin(designs)
        for host in self.world.hosts:
            self.good_report(host)
        for offer in self.offers()[1:]:
            self.boot(offer)

    def after_a_request(self) -> None:
        """Let agents do at once what they were sent, as they do unless they are slow."""
        if not self._are_slow:
            for row in records.jobs_under_way(self.record):
                self.do(row.uuid, row.generation, row.request, self._next_outcome)
            self._next_outcome = Outcome.WORKS

    def do(self, uuid: str, generation: int, request: str | None, outcome: Outcome) -> None:
        """Let an agent make an attempt. One that has prepared what a boot undid then reports."""
        super().do(uuid, generation, request, outcome)
        for host in records.restored(self.record):
            self.good_report(host)

    @rule(slow=st.sampled_from([False, False, True]))
    def agents_are_slow(self, slow: bool) -> None:
        """Whatever agents are sent waits from now on, or does not any more."""
        self._are_slow = slow

    @precondition(lambda self: len(self.lives) < MOST)
    @rule(data=st.data(), host=_HOSTS)
    def server_boots(self, data: st.DataObject, host: str) -> None:
        """A host reports, and a server is given something."""
        self.good_report(host)
        self.bind(data)

    @precondition(lambda self: self.visible())
    @rule(data=st.data(), how=_ENDS, outcome=OUTCOMES)
    def server_ends(self, data: st.DataObject, how: End | None, outcome: Outcome) -> None:
        """A server is deleted, and what it had is taken back."""
        self.real.next_end, self._next_outcome = how, outcome
        self.delete(data)

    @rule(host=_HOSTS, moment=st.integers(0, MOMENTS - 1))
    def agent_dies(self, host: str, moment: int) -> None:
        """The agent of a host is killed over what it does next."""
        self.real.hardware[host].process.doom(moment)

    @rule(host=_HOSTS)
    def agent_restarts(self, host: str) -> None:
        """The agent of a host is started anew."""
        self.real.start_agent(host)

    @rule(host=_HOSTS, servers_first=st.booleans())
    def host_boots(self, host: str, servers_first: bool) -> None:
        """A host is booted; what it has is known by the same uuids as before."""
        before = self._uuids(host)
        self.real.boot(host)
        if servers_first:
            self.servers_restart()
        self.time_passes()
        self.tell(host, Scan([Sight.WELL] * SLOTS))
        after = self._uuids(host)
        addresses = self.world.hosts[host].addresses()
        there = [f"{addresses[slot]}.0" for slot in self.world.hosts[host].slots(full=True)]
        for identity in there:
            if identity in before:
                assert after[identity] == before[identity], f"{identity} is another one"

    @rule()
    def lingering_servers_end(self) -> None:
        """All servers end that should have ended."""
        for each in self.real.hardware.values():
            each.end_lingering()

    @precondition(lambda self: self._known_well())
    @rule(data=st.data())
    def fatal_error(self, data: st.DataObject) -> None:
        """A card that a scan has seen has a fatal error of its link."""
        host, slot = data.draw(st.sampled_from(self._known_well()), "slot")
        card = self.world.hosts[host].cards[slot]
        assert card is not None
        self.real.count_fatal_error(card)

    def _known_well(self) -> list[tuple[str, int]]:
        return [
            (name, slot)
            for name, host in self.world.hosts.items()
            for slot in host.slots(full=True)
            if (card := host.cards[slot]) is not None
            and card.condition == "healthy"
            and self.world.knowledge[name].thinks(host.addresses()[slot], card)
        ]

    def _uuids(self, host: str) -> dict[str, tuple[str, ...]]:
        """Return the uuids of a host's devices and of what they offer, by identity."""
        found = {
            row.identity: (row.id, row.uuid)
            for row in records.devices_of(self.record)
            if row.host == host
        }
        return {
            identity: (
                uuid,
                *sorted(r.rp_uuid for r in records.providers(self.record) if r.device_id == id_),
            )
            for identity, (id_, uuid) in found.items()
        }

    @invariant()
    def quarantined_stays(self) -> None:
        """What is quarantined is so as long as it is known."""
        conditions = {row.id: row.condition for row in records.handles(self.record)}
        for id_ in self._quarantined & conditions.keys():
            assert conditions[id_] == HandleCondition.QUARANTINED, f"handle {id_} is free again"
        self._quarantined = frozenset(
            id_ for id_, each in conditions.items() if each == HandleCondition.QUARANTINED
        )
