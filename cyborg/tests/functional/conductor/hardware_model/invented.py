"""Drivers that do not exist: they see cards in all ways that a report can express."""

from __future__ import annotations

from collections.abc import Sequence

from cyborg.conductor import finishing, inventory
from cyborg.domain.inventory import digest_of
from cyborg.domain.work import Handle, Release
from cyborg.tests.functional.conductor.hardware_model import records
from cyborg.tests.functional.conductor.hardware_model.cards import CUTS, Design, Group, Host
from cyborg.tests.functional.conductor.hardware_model.drivers import (
    Answer,
    Attempt,
    Drivers,
    Outcome,
)
from cyborg.tests.functional.conductor.hardware_model.sights import Scan
from cyborg.tests.functional.conductor.hardware_model.world import Holding, check_work


class InventedDrivers(Drivers):
    """Two drivers, and agents that do as they are told, whatever that is."""

    def reads_serial(self, design: Design) -> bool:
        return design is not Design.NAMELESS

    def cuts(self, design: Design) -> Sequence[tuple[Group, ...]]:
        return CUTS[design]

    def report(self, host: Host, scan: Scan) -> bool:
        conductor = self.conductor
        conductor.surely(lambda: inventory.report(conductor.env, host.name, scan.wire(host)))
        return True

    def is_settled(self, host: Host, scan: Scan) -> bool:
        digest = digest_of(scan.wire(host))
        return inventory.heartbeat(self.conductor.env, host.name, digest)

    def start(self, given: Holding, server: str) -> None:
        """Let it leave its marks. As soon as it is bound: nothing is clean after that."""
        self.world.give(given, server)

    def work(self, attempt: Attempt) -> None:
        conductor, host, work = self.conductor, attempt.host, attempt.work
        if not conductor.surely(
            lambda: finishing.begin(conductor.env, host, work.job_uuid, work.generation, 0)
        ):
            return
        [step] = work.steps
        if isinstance(step, Release):
            answer = self._clean(attempt, step.handle)
        else:
            answer = self._prepare(attempt)
        if attempt.outcome is Outcome.LATE:
            conductor.late.append(answer)
        else:
            conductor.take(answer)

    def _clean(self, attempt: Attempt, handle: Handle) -> Answer:
        host, outcome = attempt.host, attempt.outcome
        check_work(host, handle, attempt.request, records.held(self.conductor.record))
        if outcome is Outcome.FAILS:
            return attempt.ends("It is stuck.")
        readable = outcome is not Outcome.BLINDLY
        there = self.world.clean(host, handle, readable=readable, owner=attempt.server)
        if outcome is Outcome.NOT_KNOWN:
            return attempt.ends("It did not answer.")
        if there:
            return attempt.ends(None)
        if outcome is Outcome.OLD:
            self.world.taken_for_clean(host, handle, attempt.server)
            return attempt.ends(None)
        return attempt.ends("It is not there.", away=True)

    def _prepare(self, attempt: Attempt) -> Answer:
        assert attempt.request is not None
        assert attempt.server is not None
        given = records.holding(self.conductor.record, attempt.request)
        there = self.world.there(given, attempt.work.device)
        if attempt.outcome is Outcome.FAILS or not there:
            return attempt.ends("It is stuck.")
        self.world.give(given, attempt.server)
        not_known = attempt.outcome is Outcome.NOT_KNOWN
        return attempt.ends("It did not answer." if not_known else None)
