"""Work of an agent: what a job consists of, the same from its row to the driver.

The conductor builds :class:`Work` once, stores it in the job's row and sends it; the agent
journals it and hands the parts of each step to the driver. Another form of work is another
:class:`Step`, named in :data:`STEPS`, with its performer in ``cyborg.agent.steps``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Handle:
    """One attach handle that is made ready for an instance, or cleaned after it."""

    uuid: str
    #: ``identity`` of its device, as ``discover`` reported it.
    device: str
    #: ``name`` of its deployable.
    deployable: str
    #: As reported: how it is attached (``PCI``, ``MDEV``), and where it is.
    type: str
    info: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Region:
    """What is programmed: a deployable, whether it is all of its device or a part."""

    #: ``identity`` of its device, as ``discover`` reported it.
    device: str
    #: ``name`` of the deployable.
    deployable: str
    #: ``control_path`` of the device, as reported.
    control_path: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a driver is asked to do. The same step again has no second effect."""

    #: Its name in rows, messages and logs; never changes its meaning.
    name: ClassVar[str]


@dataclass(frozen=True, slots=True)
class Prepare(Step):
    """Make a handle ready for an instance."""

    name: ClassVar[str] = "prepare"
    handle: Handle
    #: The device profile's group, so that the driver finds its ``accel:`` keys.
    group: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Release(Step):
    """Take a handle back from an instance and clean it."""

    name: ClassVar[str] = "release"
    handle: Handle


@dataclass(frozen=True, slots=True)
class Program(Step):
    """Make a region hold an image."""

    name: ClassVar[str] = "program"
    region: Region
    image_uuid: str
    #: Who must be allowed to use the image.
    project_id: str | None


#: Every step that a message, a row or a journal may name.
STEPS: dict[str, type[Step]] = {step.name: step for step in (Prepare, Release, Program)}


@dataclass(frozen=True, slots=True)
class Work:
    """One attempt at a job. The same work again has no second effect."""

    job_uuid: str
    #: The newest attempt has the highest; the agent asks and answers with the one it was given.
    generation: int
    #: What the conductor does at its end depends on it; for the agent it is a name in the log.
    kind: str
    #: Entry point name of the driver.
    driver: str
    #: Identity of the device: work on the same one is done one after the other.
    device: str
    #: Done in this order; the first that fails ends the attempt.
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class OwnedHandle:
    """A handle that somebody has, or that is being cleaned after somebody."""

    handle: Handle
    #: None: of nobody who can be named.
    instance_uuid: str | None
    #: What prepares or releases it now, as its agent is sent it; None: nothing does.
    work: Work | None = None


@dataclass(frozen=True, slots=True)
class WorkProgress:
    """What an agent is at, as it tells while that lasts."""

    job_uuid: str
    generation: int
    #: Name of a step, or of the part of one that its driver has named.
    step: str
    #: For how many seconds.
    seconds: float
    #: How much of it is done, where the driver knows.
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom the end of a job concerns."""

    #: Ids of the ARQs whose state its end changes. They are locked before the job.
    requests: tuple[int, ...] = ()
    #: Ids of the attach handles that it works on, each of the request at the same position.
    handles: tuple[int, ...] = ()
    #: The deployable that it programs.
    deployable_uuid: str | None = None
    #: The resource providers, all of the job's host, whose reserved amounts its end changes.
    providers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A leased piece of work of an agent. Its generation fences late answers to earlier attempts.

    What its kind means is the entry of that name in ``cyborg.conductor.kinds``.
    """

    host: str
    #: What it is about, ``arq/<uuid>`` or ``deployable/<uuid>``: at most one live job has it.
    key: str
    subject: Subject
    #: What the agent is sent, at the newest generation.
    work: Work
    failures: int = 0
    #: Attempts in a row before this one of which the agent has said nothing, or that it could
    #: not begin; less than 0 after any other answer.
    unanswered: int = 0
    #: What was told of the last attempt in vain.
    last_error: str | None = None
    request_id: str | None = None
    global_request_id: str | None = None

    @property
    def uuid(self) -> str:
        return self.work.job_uuid

    @property
    def kind(self) -> str:
        return self.work.kind

    @property
    def generation(self) -> int:
        return self.work.generation
