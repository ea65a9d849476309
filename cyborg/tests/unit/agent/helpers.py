"""Stand-ins for what the agent talks to: the conductor, and hardware that obeys tests."""

from __future__ import annotations

import queue
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import ClassVar

from cyborg.domain.inventory import DeployableReport, DeviceReport, HandleReport, Snapshot
from cyborg.domain.model import JobKind
from cyborg.drivers.base import Discovery, Driver, Handle
from cyborg.rpc.agent import Work
from cyborg.tests.unit.drivers.helpers import make_conf, make_environment

#: Seconds after which a test that waits for a thread has failed.
PATIENCE = 10.0


def job_uuid(number: int) -> str:
    return str(uuid.UUID(int=number))


def make_work(
    job: int = 1,
    generation: int = 1,
    kind: JobKind = JobKind.PREPARE,
    device: str = "card-1",
    driver: str = "test_driver",
) -> Work:
    return Work(
        job_uuid=job_uuid(job),
        generation=generation,
        kind=kind,
        driver=driver,
        device=device,
        deployable=f"host_{device}",
        handle_uuid=f"handle-{job}",
        handle_type="PCI",
        handle_info={"bus": "0c"},
        group={"resources:FPGA": "1"},
    )


def make_device(
    identity: str = "card-1", driver: str = "test_driver", name: str = ""
) -> DeviceReport:
    return DeviceReport(
        driver=driver,
        identity=identity,
        type="FPGA",
        vendor="0xABCD",
        model="Test",
        deployables=(
            DeployableReport(
                name=name or f"host_{identity}",
                resource_class="FPGA",
                num_accelerators=1,
                driver_name="test",
                handles=(HandleReport("PCI", {"bus": "0c"}),),
            ),
        ),
    )


class ScriptedDriver(Driver):
    """Does what a test says, and remembers what it was asked to do."""

    name: ClassVar[str] = "test_driver"

    def __init__(self, find: Callable[[], object] | None = None) -> None:
        super().__init__(make_environment(make_conf()))
        self.find = find or Discovery
        #: What was asked, in order: action and handle.
        self.calls: list[tuple[str, str]] = []
        #: What to raise for a handle, once.
        self.errors: dict[str, Exception] = {}
        #: Handles whose work waits for the test.
        self.gates: dict[str, threading.Event] = {}
        #: The handles whose work has begun.
        self.begun: queue.Queue[str] = queue.Queue()

    def discover(self) -> Discovery:
        return self.find()  # type: ignore[return-value]  # what a bad driver returns

    def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
        self._act("prepare", handle)

    def release(self, handle: Handle) -> None:
        self._act("release", handle)

    def _act(self, action: str, handle: Handle) -> None:
        self.calls.append((action, handle.uuid))
        self.begun.put(handle.uuid)
        if handle.uuid in self.gates:
            assert self.gates[handle.uuid].wait(PATIENCE)
        if handle.uuid in self.errors:
            raise self.errors.pop(handle.uuid)


class OtherDriver(ScriptedDriver):
    name = "other_driver"


class Conductor:
    """Keeps what it is told; raises what ``errors`` holds first."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.wants_report = True
        self.digests: list[str] = []
        self.reports: list[Snapshot] = []
        self.finished: queue.Queue[tuple[str, int, str | None]] = queue.Queue()

    def heartbeat(self, host: str, digest: str) -> bool:
        self._fail()
        self.digests.append(digest)
        return not self.wants_report

    def report(self, host: str, snapshot: Snapshot) -> None:
        self._fail()
        self.reports.append(snapshot)

    def finish_job(self, uuid: str, generation: int, error: str | None) -> None:
        self._fail()
        self.finished.put((uuid, generation, error))

    def next_finished(self) -> tuple[str, int, str | None]:
        return self.finished.get(timeout=PATIENCE)

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
