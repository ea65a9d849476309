"""Stand-ins for what the agent talks to: the conductor, and hardware that obeys tests."""

from __future__ import annotations

import queue
import threading
import uuid
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from cyborg.domain.inventory import DeployableReport, DeviceReport, HandleReport, Snapshot
from cyborg.domain.model import JobKind
from cyborg.domain.report_check import sound_device
from cyborg.domain.work import OwnedHandle, Prepare, Program, Release, Step, Work
from cyborg.drivers.contract import Bitstream, Discovery, Driver, DriverError, Handle, Region
from cyborg.tests.unit.drivers.helpers import make_conf, make_environment

#: Seconds after which a test that waits for a thread has failed.
PATIENCE = 10.0

HOST = "compute-1"
IMAGE = str(uuid.UUID(int=1000))
PROJECT = "1" * 32


def job_uuid(number: int) -> str:
    return str(uuid.UUID(int=number))


def make_handle(number: int = 1, device: str = "card-1") -> Handle:
    return Handle(f"handle-{number}", device, f"host_{device}", "PCI", {"bus": "0c"})


def make_region(device: str = "card-1") -> Region:
    return Region(device, f"host_{device}", {"bus": "0c"})


def prepare(number: int = 1, device: str = "card-1") -> Prepare:
    return Prepare(make_handle(number, device), {"resources:FPGA": "1"})


def release(number: int = 1, device: str = "card-1") -> Release:
    return Release(make_handle(number, device))


def program(device: str = "card-1", image: str = IMAGE) -> Program:
    return Program(make_region(device), image, PROJECT)


def work_of(*steps: Step, job: int = 1, generation: int = 1, kind: str = "several") -> Work:
    return Work(job_uuid(job), generation, kind, "test_driver", "card-1", steps)


def make_work(
    job: int = 1,
    generation: int = 1,
    kind: JobKind = JobKind.PREPARE,
    device: str = "card-1",
    driver: str = "test_driver",
) -> Work:
    step = prepare(job, device) if kind is JobKind.PREPARE else release(job, device)
    return Work(job_uuid(job), generation, kind.value, driver, device, (step,))


def make_programming(
    job: int = 1, generation: int = 1, device: str = "card-1", image: str = IMAGE
) -> Work:
    return Work(
        job_uuid(job), generation, "program", "test_driver", device, (program(device, image),)
    )


def make_device(
    identity: str = "card-1",
    driver: str = "test_driver",
    name: str = "",
    handles: tuple[str, ...] = ("PCI",),
    at: str = "",
) -> DeviceReport:
    """Return a device of one deployable, as the agent reports it.

    :param handles: types; each handle is at a function of its own.
    :param at: what all that is at the same functions has in common.
    """
    name = name or f"host_{identity}"
    device = DeviceReport(
        driver=driver,
        identity=identity,
        type="FPGA",
        vendor="0xABCD",
        model="Test",
        deployables=(
            DeployableReport(
                name=name,
                resource_class="FPGA",
                num_accelerators=len(handles),
                driver_name="test",
                handles=tuple(
                    HandleReport(kind, make_info(at or identity, number, kind))
                    for number, kind in enumerate(handles)
                ),
            ),
        ),
    )
    return sound_device(Snapshot((device,)).to_wire()["devices"][0])


def make_info(at: str, number: int = 0, kind: str = "PCI") -> dict[str, str]:
    """Return where a handle is: at a function of a card that no other name has."""
    place = zlib.crc32(at.encode())
    info = {
        "domain": f"{place & 0xFFFF:04x}",
        "bus": f"{place >> 16 & 0xFF:02x}",
        "device": f"{place >> 24 & 0x1F:02x}",
        "function": f"{number:x}",
    }
    return {**info, "asked_type": "test-1"} if kind == "MDEV" else info


class ScriptedDriver(Driver):
    """Does what a test says, and remembers what it was asked to do."""

    name: ClassVar[str] = "test_driver"

    def __init__(self, find: Callable[[], object] | None = None) -> None:
        super().__init__(make_environment(make_conf()))
        self.find = find or Discovery
        #: What was asked, in order: action and handle.
        self.calls: list[tuple[str, str]] = []
        #: What to raise for a handle, once.
        self.errors: dict[str, BaseException] = {}
        #: Handles whose work waits for the test.
        self.gates: dict[str, threading.Event] = {}
        #: The handles whose work has begun.
        self.begun: queue.Queue[str] = queue.Queue()
        #: The very records that it was handed.
        self.handed: list[Handle | Region] = []

    def discover(self) -> Discovery:
        return self.find()  # type: ignore[return-value]  # what a bad driver returns

    def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
        self._act("prepare", handle)

    def release(self, handle: Handle) -> None:
        self._act("release", handle)

    def _act(self, action: str, handle: Handle) -> None:
        self.calls.append((action, handle.uuid))
        self.handed.append(handle)
        self._wait_for(handle.uuid)

    def _wait_for(self, name: str) -> None:
        self.begun.put(name)
        if name in self.gates:
            assert self.gates[name].wait(PATIENCE)
        if name in self.errors:
            raise self.errors.pop(name)


class ProgrammableDriver(ScriptedDriver):
    """The same, and it can be programmed; what is asked of a region is noted by its name."""

    #: What to say of a bitstream that is not for a region.
    refusal: str | None = None

    def check(self, region: Region, bitstream: Bitstream) -> None:
        self.calls.append(("check", region.deployable))
        if self.refusal:
            raise DriverError(self.refusal)

    def program(self, region: Region, bitstream: Bitstream) -> None:
        assert bitstream.path.read_bytes()
        self.calls.append(("program", bitstream.image_uuid))
        self.handed.append(region)
        self._wait_for(region.deployable)


class Images:
    """Where bitstreams come from; counts those that are out."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        #: What to raise, once.
        self.errors: list[Exception] = []
        #: Set it to make fetching wait.
        self.gate: threading.Event | None = None
        self.asked: list[tuple[str, str | None]] = []
        self.out: list[str] = []

    def fetch(self, image_uuid: str, project_id: str | None) -> Bitstream:
        self.asked.append((image_uuid, project_id))
        if self.gate is not None:
            assert self.gate.wait(PATIENCE)
        if self.errors:
            raise self.errors.pop(0)
        path = self.directory / image_uuid
        path.write_bytes(b"bitstream")
        self.out.append(image_uuid)
        return Bitstream(image_uuid, path, {})

    def release(self, bitstream: Bitstream) -> None:
        self.out.remove(bitstream.image_uuid)


class OtherDriver(ScriptedDriver):
    name = "other_driver"


class Conductor:
    """Keeps what it is told; raises what ``errors`` or ``begin_errors`` holds first."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.begin_errors: list[Exception] = []
        self.wants_report = True
        self.digests: list[str] = []
        self.reports: list[Snapshot] = []
        self.finished: queue.Queue[tuple[str, int, str | None]] = queue.Queue()
        #: Jobs whose device was said to be away.
        self.away: list[str] = []
        #: Jobs that were said not to have been begun.
        self.not_begun: list[str] = []
        #: Called with each question; what it returns is the answer.
        self.answer: Callable[[str, int, int], bool] = lambda *_question: True
        #: Job, generation and step of each question.
        self.asked: list[tuple[str, int, int]] = []
        #: What is owned on the host; what to raise in its place.
        self.owned: list[OwnedHandle] = []
        self.company_error: Exception | None = None
        #: Who said to be calling, call by call.
        self.agents: list[Mapping[str, Any] | None] = []

    def begin_work(
        self,
        host: str,
        uuid: str,
        generation: int,
        step: int,
        *,
        agent: Mapping[str, Any] | None = None,
    ) -> bool:
        assert host == HOST
        self.agents.append(agent)
        self._fail(self.begin_errors)
        self.asked.append((uuid, generation, step))
        return self.answer(uuid, generation, step)

    def company(self, host: str, uuid: str, generation: int) -> list[OwnedHandle]:
        assert host == HOST
        if self.company_error is not None:
            raise self.company_error
        return self.owned

    def heartbeat(self, host: str, digest: str, *, agent: Mapping[str, Any] | None = None) -> bool:
        self.agents.append(agent)
        self._fail(self.errors)
        self.digests.append(digest)
        return not self.wants_report

    def report(
        self, host: str, snapshot: Snapshot, *, agent: Mapping[str, Any] | None = None
    ) -> None:
        self.agents.append(agent)
        self._fail(self.errors)
        self.reports.append(snapshot)

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
        assert host == HOST
        self._fail(self.errors)
        if away:
            self.away.append(uuid)
        if not_begun:
            self.not_begun.append(uuid)
        self.finished.put((uuid, generation, error))

    def next_finished(self) -> tuple[str, int, str | None]:
        return self.finished.get(timeout=PATIENCE)

    def _fail(self, errors: list[Exception]) -> None:
        if errors:
            raise errors.pop(0)
