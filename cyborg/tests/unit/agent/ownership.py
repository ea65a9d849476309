"""A conductor that remembers who owns each handle, and hardware that tells whose work it gets.

Each ARQ has a number. Its work carries that number where real work says where the hardware is,
so that the driver can compare who asks with who owns.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cyborg.agent.calls import Calls
from cyborg.agent.executor import Executor
from cyborg.agent.journal import Journal
from cyborg.domain.clock import utcnow
from cyborg.domain.errors import RemoteError, ServiceUnavailable
from cyborg.domain.work import OwnedHandle, Prepare, Program, Release, Step, Work
from cyborg.drivers.contract import Bitstream, Handle, Region
from cyborg.tests.unit.agent.helpers import (
    HOST,
    IMAGE,
    PATIENCE,
    PROJECT,
    Images,
    ScriptedDriver,
    job_uuid,
)

#: The ARQ's number.
ARQ = "arq"


def card_of(handle: str) -> str:
    """Return the card of a handle: the third one has another than the first two."""
    return "card-2" if handle == "handle-3" else "card-1"


def _handle(name: str, arq: int) -> Handle:
    return Handle(name, card_of(name), f"host_{name}", "PCI", {ARQ: str(arq)})


@dataclass
class Job:
    uuid: str
    arq: int
    steps: tuple[Step, ...]
    generation: int = 1
    #: The conductor has let a programming begin: nobody gets the device until it ends well.
    touched: bool = False

    @property
    def kind(self) -> str:
        return self.steps[0].name


@dataclass
class Owners:
    """The conductor: gives handles to ARQs, and keeps its jobs and every message it sent."""

    handles: tuple[str, ...] = ("handle-1",)
    #: Handle to the number of its ARQ.
    owners: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    sent: list[Work] = field(default_factory=list)
    #: A handle that is clean is given to the next ARQ at once.
    gives_again: bool = False
    #: Nobody can be asked.
    away: bool = False
    #: What agents tell is lost.
    deaf: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)
    _arqs: int = 0
    _job_number: int = 0

    # What agents call

    def company(self, host: str, uuid: str, generation: int) -> list[OwnedHandle]:
        raise AssertionError("only a joint driver is told what else is owned")

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
        with self.lock:
            if self.away:
                raise ServiceUnavailable("nobody is there")
            job = self.jobs.get(uuid)
            if job is None or job.generation != generation:
                return False
            job.touched = True
            return True

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
        with self.lock:
            if self.deaf:
                raise RemoteError("it got lost", "cyborg.test", 500)
            job = self.jobs.get(uuid)
            if job is None or job.generation != generation or error is not None:
                return
            del self.jobs[uuid]
            if job.kind != Prepare.name:
                self._free(self.handle_of(job.arq))

    # What users and time do

    def bind(self, handle: str) -> Work:
        """Give a free handle to an ARQ, which is new."""
        arq = self._give(handle)
        return self._send(self._new_job(arq, Prepare(_handle(handle, arq), {})))

    def program(self, handle: str) -> Work:
        """Program the deployable of a free handle."""
        arq = self._give(handle)
        region = Region(card_of(handle), handle, {ARQ: str(arq)})
        return self._send(self._new_job(arq, Program(region, IMAGE, PROJECT)))

    def delete(self, arq: int) -> Work:
        """Delete an ARQ that has a handle; a preparation that is under way is turned round."""
        release = Release(_handle(self.handle_of(arq), arq))
        job = self.job_of(arq)
        if job is None:
            return self._send(self._new_job(arq, release))
        if job.kind == Prepare.name:
            job.steps = (release,)
            job.generation += 1
        return self._send(job)

    def time_is_over(self, job: Job) -> None:
        """End what has a deadline: a bind keeps its handle until it is deleted."""
        if job.kind == Prepare.name:
            del self.jobs[job.uuid]
        elif job.kind == Program.name and not job.touched:
            del self.jobs[job.uuid]
            self._free(self.handle_of(job.arq))

    def send_again(self, job: Job) -> Work:
        """Send a job whose lease has run out."""
        job.generation += 1
        return self._send(job)

    # What tests ask

    def handle_of(self, arq: int) -> str:
        return next(handle for handle, owner in self.owners.items() if owner == arq)

    def job_of(self, arq: int) -> Job | None:
        return next((job for job in self.jobs.values() if job.arq == arq), None)

    def free(self) -> list[str]:
        return [handle for handle in self.handles if handle not in self.owners]

    def _free(self, handle: str) -> None:
        del self.owners[handle]
        if self.gives_again:
            self.bind(handle)

    def _give(self, handle: str) -> int:
        assert handle not in self.owners
        self._arqs += 1
        self.owners[handle] = self._arqs
        return self._arqs

    def _new_job(self, arq: int, step: Step) -> Job:
        self._job_number += 1
        job = Job(job_uuid(self._job_number), arq, (step,))
        self.jobs[job.uuid] = job
        return job

    def _send(self, job: Job) -> Work:
        work = Work(
            job.uuid,
            job.generation,
            job.kind,
            "test_driver",
            card_of(self.handle_of(job.arq)),
            job.steps,
        )
        self.sent.append(work)
        return work


class Turnstile:
    """Lets calls through: all while it is open, else one for each :meth:`let_one_through`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = True
        self._permits = 0

    def open(self) -> None:
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._open, self._permits = False, 0

    def let_one_through(self) -> None:
        with self._changed:
            self._permits += 1
            self._changed.notify()

    def wait(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._open or self._permits, PATIENCE)
            self._permits -= not self._open


class OwnedHardware(ScriptedDriver):
    """Notes each call with the number of the ARQ for which it came."""

    def __init__(self, owners: Owners) -> None:
        super().__init__()
        self.owners = owners
        self.touched: list[tuple[str, int]] = []
        #: Calls for an ARQ that did not own the handle.
        self.wrongs: list[str] = []
        #: Each call passes it when it begins.
        self.turnstile = Turnstile()

    def check(self, region: Region, bitstream: Bitstream) -> None:
        pass

    def program(self, region: Region, bitstream: Bitstream) -> None:
        self._touch("program", region.deployable, region.control_path[ARQ])

    def _act(self, action: str, handle: Handle) -> None:
        self._touch(action, handle.uuid, handle.info[ARQ])

    def _touch(self, action: str, handle: str, arq: str) -> None:
        self._compare(action, handle, int(arq))
        self.turnstile.wait()
        self._compare(action, handle, int(arq))
        self.touched.append((action, int(arq)))

    def _compare(self, action: str, handle: str, arq: int) -> None:
        with self.owners.lock:
            owner = self.owners.owners.get(handle)
        if owner != arq:
            self.wrongs.append(f"{action} {handle} for {arq}, whose owner is {owner}")


class OwnedHost:
    """A host whose agent may be restarted, and whose journal may be lost."""

    def __init__(self, directory: Path, owners: Owners) -> None:
        self.directory = directory / "journal"
        self.owners = owners
        self.hardware = OwnedHardware(owners)
        self.images = Images(directory)
        self.boots = 0
        self.start_agent()

    def start_agent(self) -> None:
        self.journal = Journal(self.directory, utcnow, f"boot-{self.boots}")
        self.executor = Executor(
            HOST,
            {"test_driver": self.hardware},
            self.journal,
            self.owners,
            lambda _seconds: None,
            bitstreams=self.images,
            calls=Calls(lambda _name: PATIENCE, lambda: None),
            report_changed=lambda: None,
        )

    def restart(self) -> None:
        self.stop()
        self.start_agent()

    def reboot(self) -> None:
        self.boots += 1
        self.restart()

    def lose_journal(self) -> None:
        for file in self.directory.glob("*.json"):
            file.unlink()

    def corrupt_journal(self) -> None:
        for file in self.directory.glob("*.json"):
            file.write_text("{")

    def deliver(self, *messages: Work) -> None:
        """Hand messages over, and wait until all is quiet."""
        for work in messages:
            self.executor.submit(work)
        assert self.executor.wait_until_idle(PATIENCE)

    def stop(self) -> None:
        assert self.executor.drain(PATIENCE)
