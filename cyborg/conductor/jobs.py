"""Jobs: work of agents that outlives the request which began it.

The row is written in the request's transaction and leased to this conductor, which sends
it after the commit. Should the message, the agent, the answer or this conductor be lost,
the lease runs out, and any conductor sends it again as the next generation; answers to
earlier ones have no effect.

What a kind of work means is one :class:`Kind`: how often it may fail, how long it may take,
what its beginning, its success and its failure do, and when it is tried again. All of them are in
:mod:`cyborg.conductor.kinds`; whoever ends a job looks it up there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from oslo_config import cfg
from oslo_log import log

from cyborg.conductor.asking import Budget
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import Order, Unit
from cyborg.db import jobs as rows
from cyborg.db.request_changes import LockedRequest
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.work import Job, Step, Subject, Work

LOG = log.getLogger(__name__)

#: Seconds until a release that has failed is tried again, from the first failure to the last:
#: trouble that passes in a minute must not cost a handle.
RELEASE_PAUSES = (10.0, 60.0)

#: The most seconds until work is tried again that could not be begun.
MOST_PAUSE = 300.0


def _may(_unit: Unit, _job: Job, _step: int) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of work means. Each function runs inside the transaction that decides.

    Those that end a job get the ARQs of its subject, locked; its row is gone by then.
    """

    name: str
    #: How many attempts may fail before the job has failed for good.
    attempts: Callable[[cfg.ConfigOpts], int]
    #: Seconds after which it has failed whatever its agent does; None: it goes on.
    deadline: Callable[[cfg.ConfigOpts], float | None]
    succeeded: Callable[[Unit, Job, Sequence[LockedRequest]], None]
    #: Gets the reason too, in plain words.
    failed: Callable[[Unit, Job, Sequence[LockedRequest], str], None]
    #: The device is not there, says its agent, and why; None: a failure like any other.
    away: Callable[[Unit, Job, Sequence[LockedRequest], str], None] | None = None
    #: Seconds until a failed attempt is followed by the next one: after the first failure, the
    #: second and so on; the last of them after all others.
    pauses: Sequence[float] = (1.0, 2.0, 4.0, 8.0)
    #: What an agent could not begin is no failure: it is tried again until it is begun.
    waits: bool = False
    #: The agent is about to do a step, by its number; return whether it may.
    begins: Callable[[Unit, Job, int], bool] = _may

    def pause(self, failures: int) -> float:
        """Return the seconds until the attempt that follows so many failures."""
        return self.pauses[min(failures, len(self.pauses)) - 1]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Send a job to its agent."""

    job: Job
    order: ClassVar[Order] = Order.AGENT

    def do(self, env: Environment, _budget: Budget) -> None:
        """Send it; what is not sent now is sent when its lease has run out."""
        send(env, self.job)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Work for the agent of a host, before it is a job."""

    host: str
    driver: str
    #: Identity of the device.
    device: str
    #: What it is about; see :class:`cyborg.domain.work.Job`.
    key: str
    subject: Subject
    steps: tuple[Step, ...]


def write(
    unit: Unit, kind: Kind, assignments: Sequence[Assignment], *, send: bool = True
) -> list[Job]:
    """Write jobs of a kind, which are sent after the commit. One statement.

    :param send: False: the caller sees to it that their agent has them.
    """
    env = unit.env
    new = [_job(env, kind, assignment) for assignment in assignments]
    if new:
        lease = env.conf.conductor.job_lease
        deadline = kind.deadline(env.conf)
        rows.insert_jobs(unit.connection, new, unit.now, lease=lease, deadline=deadline)
    for job in new if send else ():
        unit.after(Dispatch(job))
    return new


def send(env: Environment, job: Job) -> None:
    """Send a job to its agent; that it cannot be sent now is logged."""
    try:
        env.agents.start(job.host, job.work)
    except ServiceUnavailable as error:
        LOG.warning("job not sent job=%s host=%s: %s", job.uuid, job.host, error)


def _job(env: Environment, kind: Kind, assignment: Assignment) -> Job:
    return Job(
        host=assignment.host,
        key=assignment.key,
        subject=assignment.subject,
        work=Work(
            job_uuid=env.new_uuid(),
            generation=1,
            kind=kind.name,
            driver=assignment.driver,
            device=assignment.device,
            steps=assignment.steps,
        ),
    )
