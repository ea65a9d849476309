"""The agent of a host: its real parts around the real driver, without queues between."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cyborg.agent.calls import Calls
from cyborg.agent.executor import Executor
from cyborg.agent.identity import introduction
from cyborg.agent.journal import Journal
from cyborg.agent.report import Reporter
from cyborg.agent.resuming import Resumption
from cyborg.agent.scan import Scanner
from cyborg.conductor import company, finishing, inventory, restoring
from cyborg.domain.clock import utcnow
from cyborg.domain.errors import CyborgError
from cyborg.domain.inventory import Snapshot
from cyborg.domain.work import OwnedHandle, Work
from cyborg.drivers.contract import Bitstream, DriverEnvironment, Handle, Progress
from cyborg.drivers.pci.driver import PciDriver
from cyborg.testing.drivers import make_conf
from cyborg.testing.drivers.machine import Machine
from cyborg.tests.functional.conductor.hardware_model.drivers import Answer, Conductor
from cyborg.tests.functional.conductor.hardware_model.real.hardware import ALLOWED, Hardware

#: Seconds for which a test's machine may stand still.
PATIENCE = 60.0

#: Seconds between reports.
_INTERVAL = 60.0


@dataclass(slots=True)
class Watch:
    """Who wants to know what an agent does."""

    #: A conductor has let an attempt at a job begin.
    begun: Callable[[str], None]
    #: The driver has released a handle.
    released: Callable[[Handle], None]


class WatchedDriver(PciDriver):
    """The driver, and somebody who hears what it has released."""

    def __init__(self, environment: DriverEnvironment, watch: Watch) -> None:
        super().__init__(environment)
        self._watch = watch

    def clean(self, handle: Handle, step: str, progress: Progress) -> None:
        super().clean(handle, step, progress)
        if step == self.clean_steps(handle)[-1].name:
            self._watch.released(handle)


class Line:
    """What an agent asks and tells the conductor, as long as it lives."""

    def __init__(self, conductor: Conductor, hardware: Hardware, watch: Watch) -> None:
        self._conductor = conductor
        self._process = hardware.process
        self._watch = watch
        #: The conductor has taken a report.
        self.is_told = False
        #: What is told of ends is under way for long.
        self.is_slow = False

    def heartbeat(self, host: str, digest: str, *, agent: Mapping[str, Any] | None = None) -> bool:
        """See :class:`cyborg.agent.report.InventoryReports`."""

        def send() -> bool:
            env = self._conductor.env
            found = self._conductor.surely(
                lambda: inventory.heartbeat(env, host, digest, agent=agent)
            )
            self.is_told |= found
            return found

        return self._process.message(send)

    def report(
        self, host: str, snapshot: Snapshot, *, agent: Mapping[str, Any] | None = None
    ) -> None:
        """See :class:`cyborg.agent.report.InventoryReports`."""

        def send() -> None:
            env, wire = self._conductor.env, snapshot.to_wire()
            self._conductor.surely(lambda: inventory.report(env, host, wire, agent=agent))
            self.is_told = True

        self._process.message(send)

    def resume(self, host: str, *, agent: Mapping[str, Any] | None = None) -> list[Work]:
        """See :class:`cyborg.agent.resuming.Resumes`."""
        env = self._conductor.env
        return self._process.message(
            lambda: self._conductor.surely(lambda: restoring.resume(env, host, agent=agent))
        )

    def company(self, host: str, uuid: str, generation: int) -> list[OwnedHandle]:
        """See :class:`cyborg.agent.job_reports.OwnerReports`."""
        env = self._conductor.env
        return self._process.message(
            lambda: self._conductor.surely(lambda: company.company(env, host, uuid, generation))
        )

    def begin_work(
        self,
        host: str,
        uuid: str,
        generation: int,
        step: int,
        *,
        agent: Mapping[str, Any] | None = None,
    ) -> bool:
        """See :class:`cyborg.agent.job_reports.JobReports`."""

        def send() -> bool:
            env = self._conductor.env
            may = self._conductor.surely(
                lambda: finishing.begin(env, host, uuid, generation, step, agent=agent)
            )
            if may:
                self._watch.begun(uuid)
            return may

        return self._process.message(send)

    def finish_job(
        self,
        host: str,
        uuid: str,
        generation: int,
        error: str | None,
        *,
        away: bool = False,
        not_begun: bool = False,
    ) -> None:
        """See :class:`cyborg.agent.job_reports.JobReports`."""
        answer = Answer(host, uuid, generation, error, away, not_begun)

        def send() -> None:
            if self.is_slow:
                self._conductor.late.append(answer)
            else:
                self._conductor.take(answer)

        self._process.message(send)


class Agent:
    """One process of the agent, on hardware that outlives it."""

    def __init__(self, hardware: Hardware, state: Path, conductor: Conductor, watch: Watch) -> None:
        """Start it; it says nothing until it is told to."""
        self._name = hardware.host.name
        self._boot_id = hardware.boot_id
        self.line = Line(conductor, hardware, watch)
        conf = make_conf(
            WatchedDriver,
            pci={
                "passthrough_whitelist": [json.dumps(entry) for entry in ALLOWED],
                "release_patience": 1,
            },
        )
        self.machine = Machine(hardware.root, state, conf, hardware.files, hardware.kernel)
        driver = WatchedDriver(self.machine.environment(self._name), watch)
        driver.configure()
        calls = Calls(lambda _name: PATIENCE, lambda: None)
        self.executor = Executor(
            self._name,
            {driver.name: driver},
            Journal(state / "journal", utcnow, self._boot_id),
            self.line,
            lambda _seconds: None,
            bitstreams=_NoBitstreams(),
            calls=calls,
            report_changed=lambda: None,
        )
        scanner = Scanner([driver], calls.hanging)
        self._scan: Callable[[], Snapshot] = partial(scanner.scan, PATIENCE)
        resumption = Resumption(
            self._name,
            self.line,
            self.executor,
            self.introduce,
            lambda _seconds: self.executor.wait_until_idle(PATIENCE),
            PATIENCE,
        )
        self._reporter = Reporter(
            self._name,
            self._scan,
            self.line,
            lambda: _INTERVAL,
            introduce=self.introduce,
            begin=resumption.run,
        )

    def introduce(self) -> Mapping[str, Any] | None:
        """Return what it says of itself: its host was booted a moment ago."""
        return introduction(self._boot_id, _INTERVAL, lambda: 0.0)

    def tell(self) -> bool:
        """Scan and report as it does every interval; return whether a conductor has taken it."""
        self.line.is_told = False
        self._reporter.tick()
        return self.line.is_told

    def digest(self) -> str:
        """Return the digest of what it sees."""
        return self._scan().digest()

    def do(self, work: Work) -> None:
        """Do a piece of work, and tell how it ended."""
        self.executor.submit(work)
        assert self.executor.wait_until_idle(PATIENCE), "the agent hangs"


class _NoBitstreams:
    """No device here can be programmed."""

    def fetch(self, image_uuid: str, project_id: str | None) -> Bitstream:
        """Refuse."""
        raise CyborgError(f"There is no image {image_uuid}.")

    def release(self, bitstream: Bitstream) -> None:
        """Do nothing."""
        return
