"""A flow: some checks in a row, and nothing left behind at their end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fake_devices import FakeDevices
from hardware import Hardware
from waiting import eventually

if TYPE_CHECKING:
    from bench import Bench

#: Seconds until all that a flow had must be given back.
PATIENCE = 20


@dataclass(frozen=True)
class Flow:
    """One line of ``--list``."""

    name: str
    work: Callable[[Bench], None]
    #: What the hosts must have for it.
    hardware: type[Hardware] = FakeDevices

    @property
    def summary(self) -> str:
        """What it tries, in one line."""
        return (self.work.__doc__ or "").strip().splitlines()[0]

    def run(self, bench: Bench) -> None:
        """Run it, take its things away, and see that nothing is left."""
        with bench.report.flow(self.name) as outcome:
            bench.stack.mark()
            with bench.report.to_its_end():
                bench.equip(self.hardware)
                bench.hardware.mark()
                self.work(bench)
            with bench.check("nothing is left afterwards"):
                _tidy(bench)
            if outcome.failed or bench.spoilt:
                bench.spoilt = False
                with bench.report.to_its_end():
                    bench.fresh()


def _tidy(bench: Bench) -> None:
    bench.clean_up()
    bench.service.change()
    eventually(bench.expect_nothing_left, PATIENCE)
    bench.forget_profiles()
