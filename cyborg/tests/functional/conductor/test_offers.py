"""Random boots and deletes beside a real Placement: it never offers what is not free and clean.

Nova's part is played in Nova's order: allocate, bind, and at the end delete, then deallocate.
After every step, whatever has or has not been synchronised yet, what Placement would still give
away is no more than the handles that are free and clean.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from cyborg.conductor import binding, catalogue, creating, finishing, providers, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.devices import list_devices
from cyborg.db.tables import attach_handles, jobs
from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import CyborgError
from cyborg.domain.model import DeviceStatus, HandleCondition
from cyborg.tests.functional.conductor.harness import RP, arqs, card
from cyborg.tests.helpers import HOST, RecordingAgents, placement_client, profile, report
from cyborg.tests.servers import Placement

HANDLES = 8
STEPS = 100


class Nova:
    """Boots and deletes servers on one provider, as far as Placement lets it."""

    def __init__(
        self, env: Environment, agents: RecordingAgents, placement: Placement, seed: int
    ) -> None:
        self.env = env
        self.agents = agents
        self.placement = placement
        self.random = random.Random(seed)
        self.servers: list[str] = []
        #: ARQs that a user has bound directly.
        self.direct: list[str] = []
        self.history: list[str] = []
        self.refused = 0
        self.booted = 0

    def live(self, steps: int) -> None:
        actions: dict[Callable[[], None], int] = {
            self.boot: 8,
            self.delete: 6,
            self.unbind: 1,
            self.bind_directly: 2,
            self.unbind_directly: 2,
            self.answer: 10,
            self.operate: 1,
            self.sweep: 4,
            self.time_passes: 2,
        }
        for _ in range(steps):
            [action] = self.random.choices(list(actions), list(actions.values()))
            self.history.append(action.__name__)
            action()
            offered, free = self.offered(), self.free()
            assert offered <= free, f"{offered} offered, {free} free"
        self.come_to_rest()

    def boot(self) -> None:
        units = self.random.choice([1, 1, 2])
        if self.offered() < units:
            return
        server = new_uuid()
        self.placement.allocate(server, {RP: {"FPGA": units}})
        try:
            self.bind(server, units, by_service=True)
        except CyborgError as error:
            self.refused += 1
            self.history[-1] += f" -> {error.code}"
            self.placement.deallocate(server)
            return
        self.servers.append(server)
        self.booted += 1

    def delete(self) -> None:
        if not self.servers:
            return
        server = self.servers.pop(self.random.randrange(len(self.servers)))
        releasing.delete_of_instance(self.env, server)
        self.check("after a delete was answered")
        self.placement.deallocate(server)

    def unbind(self) -> None:
        """As a service that keeps its ARQs; Nova itself deletes them."""
        if not self.servers:
            return
        server = self.servers.pop(self.random.randrange(len(self.servers)))
        uuids = [arq.uuid for arq in arqs(self.env, instance_uuid=server)]
        releasing.unbind(self.env, uuids)
        self.check("after an unbind was answered")
        self.placement.deallocate(server)

    def bind_directly(self) -> None:
        try:
            self.direct += self.bind(new_uuid(), 1, by_service=False)
        except CyborgError as error:
            self.history[-1] += f" -> {error.code}"

    def unbind_directly(self) -> None:
        if self.direct:
            uuid = self.direct.pop()
            releasing.unbind(self.env, [uuid])
            self.check("after an unbind was answered")

    def bind(self, server: str, units: int, *, by_service: bool) -> list[str]:
        made = creating.create(self.env, "one" if units == 1 else "two", "project")
        uuids = [arq.uuid for arq in made]
        values = {"hostname": HOST, "device_rp_uuid": RP, "instance_uuid": server}
        try:
            binding.bind(self.env, dict.fromkeys(uuids, values), "project", by_service)
        except CyborgError:
            releasing.delete(self.env, uuids)
            raise
        return uuids

    def answer(self) -> None:
        """Let an agent answer, well or badly; often what was asked last."""
        if self.agents.sent:
            _, work = self.random.choice(self.agents.sent[-6:])
            error = self.random.choices([None, "stuck"], [9, 1])[0]
            finishing.finish(self.env, HOST, work.job_uuid, work.generation, error)

    def operate(self) -> None:
        with self.env.database.reader() as connection:
            [device] = list_devices(connection)
        catalogue.set_device_status(self.env, device.uuid, DeviceStatus.MAINTAINING)
        assert self.offered() == 0
        catalogue.set_device_status(self.env, device.uuid, DeviceStatus.ENABLED)

    def sweep(self) -> None:
        providers.sweep(self.env)

    def time_passes(self) -> None:
        with self.env.database.engine.begin() as connection:
            past = self.env.clock().replace(year=2000)
            connection.execute(jobs.update().values(leased_until=past))
        finishing.sweep(self.env)

    def come_to_rest(self) -> None:
        """Give everything back: then all is offered that is not quarantined."""
        while self.servers:
            self.delete()
        # Whatever could not be unbound is deleted.
        releasing.delete(self.env, [arq.uuid for arq in arqs(self.env)])
        with self.env.database.reader() as connection:
            [device] = list_devices(connection)
        catalogue.set_device_status(self.env, device.uuid, DeviceStatus.ENABLED)
        for _ in range(50):
            self.time_passes()
            for _, work in self.agents.sent[-HANDLES * 4 :]:
                finishing.finish(self.env, HOST, work.job_uuid, work.generation, None)
            while providers.sweep(self.env):
                pass
            with self.env.database.reader() as connection:
                if connection.scalar(sa.select(jobs.c.id).limit(1)) is None:
                    break
        assert self.offered() == self.free()
        with self.env.database.reader() as connection:
            lost = sa.select(sa.func.count()).where(
                attach_handles.c.condition == HandleCondition.QUARANTINED
            )
            assert self.free() + (connection.scalar(lost) or 0) == HANDLES

    def check(self, when: str) -> None:
        assert self.offered() <= self.free(), when

    def offered(self) -> int:
        inventory = self.placement.inventories(RP)["FPGA"]
        used = self.placement.usages(RP).get("FPGA", 0)
        return max(0, int(inventory["total"] - inventory["reserved"] - used))

    def free(self) -> int:
        query = sa.select(sa.func.count()).where(
            attach_handles.c.accelerator_request_id.is_(None),
            attach_handles.c.condition == HandleCondition.READY,
        )
        with self.env.database.reader() as connection:
            return connection.scalar(query) or 0


@pytest.mark.parametrize("needs", ["release", "prepare", "nothing"])
@pytest.mark.parametrize("seed", range(2))
def test_placement_never_offers_what_is_not_free(
    env: Environment, agents: RecordingAgents, empty_placement: Placement, needs: str, seed: int
) -> None:
    empty_placement.make_root(HOST)
    client = placement_client(empty_placement.url)
    env = dataclasses.replace(env, placement=client)
    env.conf.set_override("release_attempts", 1, group="conductor")
    prepare, release = needs == "prepare", needs != "nothing"
    report(env, card(HANDLES, needs_prepare=prepare, needs_release=release))
    profile(env, "one")
    profile(env, "two", {"resources:FPGA": "2"})
    while providers.sweep(env):
        pass
    nova = Nova(env, agents, empty_placement, seed)
    try:
        nova.live(STEPS)
    except BaseException:
        print("\n".join(nova.history))
        raise
    assert nova.booted > STEPS / 20, nova.history
    # What Placement offers can be had: no server is sent in vain.
    assert nova.refused == 0, nova.history
