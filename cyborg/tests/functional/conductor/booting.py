"""Random boots beside a real Placement, and what else happens meanwhile.

Nova's part is played in Nova's order: allocate, bind, and at the end delete, then deallocate.
"""

from __future__ import annotations

import abc
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from typing import ClassVar

from cyborg.conductor import binding, catalogue, creating, finishing, providers, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.tables import jobs
from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import CyborgError
from cyborg.domain.model import DeviceStatus
from cyborg.tests.functional.conductor.hardware_model import records
from cyborg.tests.functional.conductor.hardware_model.records import Offer
from cyborg.tests.functional.conductor.harness import arqs, let_run_out, rows
from cyborg.tests.functional.conductor.trials import asking_for
from cyborg.tests.helpers import HOST, RecordingAgents
from cyborg.tests.servers import Placement

#: Looks after which all that was to be done is done.
_LOOKS = 20

#: What may happen, and how often. Each says whether there was anything to do.
Actions = dict[Callable[[], bool], int]

#: How likely an agent answers what is under way, and not something old.
_IN_TIME = 0.8


class Booting(abc.ABC):
    """Boots and deletes servers, as far as Placement lets it; agents answer, time passes."""

    #: What an agent's answer is, and how often.
    answers: ClassVar[dict[str, int]] = {"works": 9, "fails": 1}

    def __init__(
        self,
        env: Environment,
        agents: RecordingAgents,
        placement: Placement,
        seed: int,
        classes: Collection[str],
    ) -> None:
        self.env = env
        self.agents = agents
        self.placement = placement
        self.random = random.Random(seed)
        self.classes = classes
        self.servers: list[str] = []
        #: ARQs that a user has bound directly.
        self.direct: list[str] = []
        #: ARQs that are nobody's.
        self.kept: frozenset[str] = frozenset()
        #: Providers of which Placement has not heard yet what a report has told.
        self.unheard: set[str] = set()
        self.history: list[str] = []
        #: Servers, by the name of their provider.
        self.booted: Counter[str] = Counter()
        #: Servers that were sent in vain, though Placement had heard of everything.
        self.refused = 0
        for name in classes:
            for units in (1, 2):
                asking_for(env, name, units)

    @abc.abstractmethod
    def check(self, when: str) -> None:
        """See that no more is offered than can be had."""

    def actions(self) -> Actions:
        """Return what may happen."""
        return {
            self.boot: 9,
            self.delete: 7,
            self.unbind: 1,
            self.bind_directly: 2,
            self.unbind_directly: 3,
            self.answer: 10,
            self.disable: 1,
            self.enable: 3,
            self.sweep: 4,
            self.time_passes: 2,
        }

    def live(self, steps: int, rounds: int = 1) -> None:
        """Take so many steps, and look after each; then give everything back; and so on."""
        try:
            for _ in range(rounds):
                for _ in range(steps):
                    self.step()
                    self.check(f"after {self.history[-1]}")
                self.history.append("come to rest")
                self.come_to_rest()
        except BaseException:
            print("\n".join(self.history))
            raise

    def step(self) -> None:
        """Let something happen."""
        actions = self.actions()
        while True:
            [action] = self.random.choices(list(actions), list(actions.values()))
            self.history.append(action.__name__)
            if action():
                return
            self.history.pop()

    # Nova

    def boot(self) -> bool:
        units = self.random.choice([1, 1, 2])
        offers: dict[str, list[Offer]] = defaultdict(list)
        for each in self.offers():
            if each.units >= units:
                offers[each.resource_class].append(each)
        if not offers:
            return False
        offer = self.random.choice(offers[self.random.choice(list(offers))])
        self.history[-1] += f" {units} of {offer.name}"
        server = new_uuid()
        self.placement.allocate(server, {offer.uuid: {offer.resource_class: units}})
        try:
            self.bind(server, offer, units, by_service=True)
        except CyborgError as error:
            self.refused += offer.uuid not in self.unheard
            self.history[-1] += f" -> {error.code}"
            self.placement.deallocate(server)
            return True
        self.servers.append(server)
        self.booted[offer.name] += 1
        return True

    def delete(self) -> bool:
        if not self.servers:
            return False
        server = self.servers.pop(self.random.randrange(len(self.servers)))
        releasing.delete_of_instance(self.env, server)
        self.check("after a delete was answered")
        self.placement.deallocate(server)
        return True

    def unbind(self) -> bool:
        """As a service that keeps its ARQs; Nova itself deletes them."""
        if not self.servers:
            return False
        server = self.servers.pop(self.random.randrange(len(self.servers)))
        uuids = [arq.uuid for arq in arqs(self.env, instance_uuid=server)]
        releasing.unbind(self.env, uuids)
        self.check("after an unbind was answered")
        self.placement.deallocate(server)
        return True

    # Users and operators

    def bind_directly(self) -> bool:
        """Bind, whatever Placement says."""
        row = self.random.choice(records.providers(self.env))
        offer = Offer(row.rp_uuid, row.name, HOST, row.resource_class, 1)
        self.history[-1] += f" {row.name}"
        try:
            self.direct += self.bind(new_uuid(), offer, 1, by_service=False)
        except CyborgError as error:
            self.history[-1] += f" -> {error.code}"
        return True

    def unbind_directly(self) -> bool:
        if not self.direct:
            return False
        releasing.unbind(self.env, [self.direct.pop()])
        return True

    def bind(self, server: str, offer: Offer, units: int, *, by_service: bool) -> list[str]:
        """Bind so many to a server, or nothing."""
        profile = asking_for(self.env, offer.resource_class, units)
        uuids = [arq.uuid for arq in creating.create(self.env, profile, "project")]
        values = {"hostname": HOST, "device_rp_uuid": offer.uuid, "instance_uuid": server}
        try:
            binding.bind(self.env, dict.fromkeys(uuids, values), "project", by_service)
        except CyborgError:
            releasing.delete(self.env, uuids)
            raise
        return uuids

    def disable(self) -> bool:
        """Disable a device: when that is answered, nothing of it is offered."""
        row = self.random.choice(records.devices_of(self.env))
        self.history[-1] += f" {row.identity}"
        catalogue.set_device_status(self.env, row.uuid, DeviceStatus.MAINTAINING)
        of_it = {each.rp_uuid for each in records.providers(self.env) if each.device_id == row.id}
        assert not any(offer.uuid in of_it for offer in self.offers())
        return True

    def enable(self) -> bool:
        """Enable what is disabled."""
        rows = [r for r in records.devices_of(self.env) if r.status == DeviceStatus.MAINTAINING]
        for row in rows:
            catalogue.set_device_status(self.env, row.uuid, DeviceStatus.ENABLED)
        return bool(rows)

    # Agents and conductors

    def answer(self) -> bool:
        """Let an agent answer, well or badly, in time or too late."""
        asked = [(row.uuid, row.generation) for row in records.jobs_under_way(self.env)]
        if not asked or self.random.random() > _IN_TIME:
            asked = [(work.job_uuid, work.generation) for _, work in self.agents.sent[-6:]]
        if not asked:
            return False
        uuid, generation = self.random.choice(asked)
        [how] = self.random.choices(list(self.answers), list(self.answers.values()))
        error = None if how == "works" else "stuck"
        self.history[-1] += f" {how}"
        finishing.finish(self.env, HOST, uuid, generation, error, away=how == "away")
        return True

    def sweep(self) -> bool:
        """Let Placement hear of what is due."""
        return providers.sweep(self.env) > 0

    def time_passes(self) -> bool:
        """Let every lease run out, and what has not been answered be sent again."""
        let_run_out(self.env, jobs)
        return finishing.sweep(self.env) > 0

    # What there is

    def offers(self) -> list[Offer]:
        """Return what Placement would give away now, as it says itself."""
        names = {row.rp_uuid: row.name for row in records.providers(self.env)}
        return [
            Offer(uuid, names.get(uuid, uuid), HOST, resource_class, units)
            for resource_class in self.classes
            for uuid, units in sorted(self.placement.offers(resource_class).items())
        ]

    def come_to_rest(self) -> None:
        """Give everything back, and let all that follows be done."""
        self.enable()
        while self.servers:
            self.delete()
        # Whatever could not be unbound is deleted.
        releasing.delete(self.env, [a.uuid for a in arqs(self.env) if a.uuid not in self.kept])
        self.direct.clear()
        self.work_until_done()

    def work_until_done(self) -> None:
        """Let agents do all that they are given, and Placement hear of it."""
        for _ in range(_LOOKS):
            for row in records.jobs_under_way(self.env):
                finishing.finish(self.env, HOST, row.uuid, row.generation, None)
            let_run_out(self.env, jobs)
            while providers.sweep(self.env):
                pass
            if not rows(self.env, jobs):
                return
        raise AssertionError(f"it is never done: {rows(self.env, jobs)}")
