"""All that happens to two cards of a host, each whole and in parts, and to another host."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from cyborg.conductor import (
    binding,
    catalogue,
    creating,
    finishing,
    programming,
    providers,
    releasing,
)
from cyborg.conductor.environment import Environment
from cyborg.db.tables import devices, jobs
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.inventory import DeviceReport
from cyborg.domain.model import DeviceCondition, DeviceStatus, JobKind
from cyborg.tests.functional.conductor.harness import PROJECT, let_run_out, rows
from cyborg.tests.functional.conductor.racing import mediated, parts, reporting, whole
from cyborg.tests.helpers import HOST, deployable, device

BUSES = ("42", "43")

#: How things may end that meet others: well, or as they would have without these.
HARMLESS = {
    "ok",
    "cyborg.arq.device_not_available",
    "cyborg.arq.no_free_handle",
    "cyborg.arq.not_found",
    "cyborg.arq.provider_not_found",
    "cyborg.arq.state_conflict",
    "cyborg.deployable.busy",
    "cyborg.deployable.in_use",
    "cyborg.deployable.missing",
    "cyborg.deployable.not_found",
    "cyborg.deployable.not_programmable",
    "cyborg.device.not_found",
}

Action = Callable[[], object]


class Storm:
    """Chooses what happens at once. Needs profiles ``whole``, ``part`` and ``both``."""

    def __init__(self, env: Environment, dice: random.Random) -> None:
        self.env = env
        self.dice = dice
        self._arqs: list[str] = []
        self._cards_elsewhere = 0

    def actions(self) -> list[tuple[str, Action]]:
        """Choose by the rows as they are before; return names and what is to be done."""
        choices = {
            self.bind: 8,
            self.unbind: 3,
            self.delete: 4,
            self.answer: 10,
            self.disable: 2,
            self.program: 1,
            self.report: 4,
            self.report_elsewhere: 2,
            self.sweep: 2,
        }
        chosen = self.dice.choices(list(choices), list(choices.values()), k=6)
        return [(choose.__name__, choose()) for choose in chosen]

    def bind(self) -> Action:
        """Of one card, or of both."""
        made = creating.create(self.env, self.dice.choice(["whole", "part", "both"]), PROJECT)
        self._arqs += [arq.uuid for arq in made]
        instance = new_uuid()
        bindings = {}
        for arq in made:
            shape = whole if "resources:PGPU" in arq.group else parts
            rp = provider_uuid(shape(self.dice.choice(BUSES)).name)
            values = {"hostname": HOST, "device_rp_uuid": rp, "instance_uuid": instance}
            bindings[arq.uuid] = values
        return partial(binding.bind, self.env, bindings, PROJECT, self.dice.random() < 0.8)

    def unbind(self) -> Action:
        return partial(releasing.unbind, self.env, self._some_arqs())

    def delete(self) -> Action:
        return partial(releasing.delete, self.env, self._some_arqs())

    def _some_arqs(self) -> list[str]:
        newest = self._arqs[-8:]
        return self.dice.sample(newest, min(3, len(newest)))

    def answer(self) -> Action:
        """What an agent does next: most things work, some do not yet."""
        work = [row for row in rows(self.env, jobs) if row.kind in set(JobKind)]
        if not work:
            return list
        job = self.dice.choice(work)
        error = self.dice.choices([None, "not yet"], [4, 1])[0]

        def act() -> None:
            finishing.begin(self.env, job.host, job.uuid, job.generation, 0)
            finishing.finish(self.env, job.host, job.uuid, job.generation, error)

        return act

    def disable(self) -> Action:
        card = self.dice.choice(rows(self.env, devices))
        status = self.dice.choices(list(DeviceStatus), [9, 1])[0]
        return partial(catalogue.set_device_status, self.env, card.uuid, status)

    def program(self) -> Action:
        part = provider_uuid(parts(self.dice.choice(BUSES)).name)
        return partial(programming.program, self.env, part, new_uuid(), PROJECT)

    def report(self) -> Action:
        """Of cards that are whole and in parts, cut otherwise, or have failed."""
        return reporting(self.env, *(self._card(bus) for bus in BUSES))

    def _card(self, bus: str) -> DeviceReport:
        none, four = (parts(bus, count, programmable=True) for count in (0, 4))
        one = whole(bus, needs_release=True)
        cut = (mediated(bus, needs_release=bus == "42"), none)
        shapes = self.dice.choice([(one, four), (one, four), (one, four), (one, none), cut])
        condition = self.dice.choices(list(DeviceCondition), [6, 2, 1, 6])[0]
        return device(f"card-{bus}", *shapes, condition=condition)

    def report_elsewhere(self) -> Action:
        """Cards of another host come and go. What comes is new: of what comes back at once,
        MariaDB locks the neighbours, which are this host's."""
        self._cards_elsewhere += 1
        newest = self._cards_elsewhere
        cards = [
            device(f"card-{number}", deployable(f"compute-2_{number}", self.dice.choice([2, 4])))
            for number in range(newest - self.dice.choice([0, 1, 2]), newest + 1)
        ]
        return reporting(self.env, *cards, host="compute-2")

    def sweep(self) -> Action:
        let_run_out(self.env, jobs)
        sweep = self.dice.choice([providers.sweep, finishing.sweep])
        return partial(sweep, self.env)
