"""Random boots and deletes beside a real Placement: it never offers what is not free and clean.

After every step, whatever has or has not been synchronised yet, what Placement would still give
away is no more than the handles that are free and clean.
"""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa

from cyborg.conductor import providers
from cyborg.conductor.environment import Environment
from cyborg.db.tables import attach_handles
from cyborg.domain.model import HandleCondition
from cyborg.tests.functional.conductor.booting import Booting
from cyborg.tests.functional.conductor.hardware_model import records
from cyborg.tests.functional.conductor.harness import RP, card
from cyborg.tests.helpers import HOST, RecordingAgents, placement_client, report
from cyborg.tests.servers import Placement

HANDLES = 8
STEPS = 100


class OneProvider(Booting):
    """All of one provider."""

    def check(self, when: str) -> None:
        offered, free = self.offered(), self.free()
        assert offered <= free, f"{offered} offered, {free} free {when}"

    def come_to_rest(self) -> None:
        """Give everything back: then all is offered that is not quarantined."""
        super().come_to_rest()
        assert self.offered() == self.free()
        assert self.free() + len(records.quarantined(self.env)) == HANDLES

    def offered(self) -> int:
        return self.placement.offers("FPGA").get(RP, 0)

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
    while providers.sweep(env):
        pass
    nova = OneProvider(env, agents, empty_placement, seed, ["FPGA"])
    nova.live(STEPS)
    assert nova.booted.total() > STEPS / 20, nova.history
    # What Placement offers can be had: no server is sent in vain.
    assert nova.refused == 0, nova.history
