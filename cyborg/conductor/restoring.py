"""What servers of a host have is prepared again after the host was booted.

A boot undoes what a driver has prepared: bindings, virtual functions, mediated devices. So an
agent that starts asks first what it must prepare, and reports its devices afterwards. Until that
has ended, well or not, nothing of the host is offered. An ARQ whose handle is not ready is Bound
as before, its instance has the device, and says why it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oslo_log import log

from cyborg.conductor import agents, jobs, providers
from cyborg.conductor.environment import Environment
from cyborg.conductor.jobs import Assignment, Kind
from cyborg.conductor.unit import Unit, run
from cyborg.db import hosts
from cyborg.db import jobs as rows
from cyborg.db.attach_handles import prepared_handles
from cyborg.db.providers import hosts_of_providers
from cyborg.db.request_changes import LockedRequest, lock_requests_by_id, note_readiness
from cyborg.domain.agents import AgentIdentity, identity_of
from cyborg.domain.model import JobKind, ProviderJobKind, Withheld
from cyborg.domain.states import ArqState
from cyborg.domain.work import Job, Prepare, Subject, Work

LOG = log.getLogger(__name__)

#: What an ARQ says meanwhile, and what it says before why that failed.
UNDER_WAY = "The host was booted; the device is being prepared again."
_FAILED = "The host was booted, and the device could not be prepared again: "


def resume(env: Environment, host: str, *, agent: Mapping[str, Any] | None = None) -> list[Work]:
    """Return what an agent must do before it reports, first of all: what its servers have.

    Nothing, unless its machine was booted since it was heard, or what followed from that has not
    ended. The same again is the same work, as its next attempt. All else that the agent has not
    answered is sent again soon.

    :param agent: who asks, as it crossed.
    :raises InvalidInput: the agent says what cannot be.
    :raises HostTaken: another machine's agent was heard a moment ago.
    """
    who = identity_of(agent)

    def work(unit: Unit) -> list[Job]:
        taken = agents.take_known_host(unit, host, who)
        if taken is None:
            return []
        if taken.is_booted_anew and who is not None:
            _begin(unit, host, taken.id, who)
        agents.hurry(unit, host)
        lease = env.conf.conductor.job_lease
        return rows.renew_jobs(unit.connection, host, JobKind.RESTORE, lease=lease)

    return [job.work for job in run(env, work)]


def _begin(unit: Unit, host: str, host_id: int, agent: AgentIdentity) -> None:
    """Write down what is to be prepared, and offer nothing of the host meanwhile."""
    connection = unit.connection
    hosts.record_boot(connection, host_id, agent, unit.now)
    handles = {each.accelerator_request_id: each for each in prepared_handles(connection, host_id)}
    # Some may have gone, or been unbound, since they were looked for; others have their job.
    arqs = [arq for arq in lock_requests_by_id(connection, handles) if arq.state is ArqState.BOUND]
    busy = {
        id_
        for job in rows.lock_jobs_of(connection, [a.id for a in arqs]).jobs
        for id_ in job.subject.requests
    }
    arqs = [arq for arq in arqs if arq.id not in busy]
    if not arqs:
        return
    note_readiness(connection, arqs, UNDER_WAY, unit.now)
    assignments = [
        Assignment(
            host=host,
            driver=handles[arq.id].driver,
            device=handles[arq.id].handle.device,
            key=f"arq/{arq.uuid}",
            subject=Subject((arq.id,), (handles[arq.id].id,)),
            steps=(Prepare(handles[arq.id].handle, arq.group),),
        )
        for arq in arqs
    ]
    jobs.write(unit, RESTORE, assignments, send=False)
    hosts.withhold(connection, host_id, Withheld.RESTORING)
    marked = hosts_of_providers(connection, host_id=host_id)
    providers.mark(unit, marked, ProviderJobKind.INVENTORY)
    LOG.info(
        "host booted, what its servers have is prepared again host=%s arqs=%d", host, len(arqs)
    )


def _succeeded(unit: Unit, job: Job, arqs: Sequence[LockedRequest]) -> None:
    ready = [arq for arq in arqs if arq.state is ArqState.BOUND]
    note_readiness(unit.connection, ready, None, unit.now)
    for arq in ready:
        LOG.info("job done job=%s kind=%s arq=%s host=%s", job.uuid, job.kind, arq.uuid, job.host)


def _failed(unit: Unit, job: Job, arqs: Sequence[LockedRequest], reason: str) -> None:
    bound = [arq for arq in arqs if arq.state is ArqState.BOUND]
    note_readiness(unit.connection, bound, _FAILED + reason, unit.now)
    for arq in bound:
        LOG.error(
            "bound and not ready, its host was booted arq=%s instance=%s host=%s: %s",
            arq.uuid,
            arq.instance_uuid,
            job.host,
            reason,
        )


RESTORE = Kind(
    name=JobKind.RESTORE,
    attempts=lambda conf: int(conf.conductor.prepare_attempts),
    deadline=lambda conf: float(conf.bind_timeout),
    succeeded=_succeeded,
    failed=_failed,
)
