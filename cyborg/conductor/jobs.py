"""Jobs: work of agents that outlives the request which began it.

The row is written in the request's transaction and leased to this conductor, which sends
it after the commit. Should the message, the agent, the answer or this conductor be lost,
the lease runs out, and any conductor sends it again as the next generation; answers to
earlier ones have no effect. A prepare has a deadline; a release goes on until it has
worked or has failed too often, since nobody else may have the device before. A programming
(:mod:`cyborg.conductor.programming`) has a deadline too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import sqlalchemy as sa
from oslo_log import log

from cyborg.conductor.environment import Environment
from cyborg.db import attach_handles
from cyborg.db import jobs as job_rows
from cyborg.db.accelerator_requests import LockedRequest
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.model import Job, JobKind
from cyborg.rpc.agent import Work
from cyborg.rpc.wire import from_wire

LOG = log.getLogger(__name__)

#: How many jobs one look takes at most.
BATCH = 100

#: Seconds until a failed attempt is followed by the next one, times the failures so far.
BACK_OFF = 1.0


def write_prepare(
    env: Environment, connection: sa.Connection, arqs: Sequence[LockedRequest]
) -> list[Job]:
    """Write a job for each ARQ, inside the transaction that made it BindStarted."""
    return _write(env, connection, arqs, JobKind.PREPARE, deadline=env.conf.bind_timeout)


def write_release(
    env: Environment, connection: sa.Connection, arqs: Sequence[LockedRequest]
) -> list[Job]:
    """Write a job for each ARQ; one that was being prepared has its job turned round."""
    turned = [arq.id for arq in arqs if arq.job_kind is JobKind.PREPARE]
    if turned:
        lease = env.conf.conductor.job_lease
        job_rows.turn_into_release(connection, turned, env.clock(), lease=lease)
    new = [arq for arq in arqs if arq.job_kind is None]
    if new:
        _write(env, connection, new, JobKind.RELEASE, deadline=None)
    return job_rows.jobs_of(connection, [arq.id for arq in arqs]) if arqs else []


def dispatch(env: Environment, jobs: Sequence[Job]) -> None:
    """Send jobs to their agents, after the commit. What is not sent now is sent later."""
    for job in jobs:
        # The generation and the kind may have moved on since the payload was written.
        work = from_wire(
            Work, {**job.payload, "generation": job.generation, "kind": job.kind.value}
        )
        try:
            env.agents.start(job.host, work)
        except ServiceUnavailable as error:
            LOG.warning("job not sent job=%s host=%s: %s", job.uuid, job.host, error)


def _write(
    env: Environment,
    connection: sa.Connection,
    arqs: Sequence[LockedRequest],
    kind: JobKind,
    deadline: float | None,
) -> list[Job]:
    by_id = {arq.id: arq for arq in arqs}
    rows = []
    for handle in attach_handles.taken_handles(connection, list(by_id)):
        arq = by_id[handle.accelerator_request_id]
        uuid = env.new_uuid()
        payload = {
            "job_uuid": uuid,
            "driver": handle.driver,
            "device": handle.device_identity,
            "deployable": handle.deployable_name,
            "handle_uuid": handle.uuid,
            "handle_type": handle.type,
            "handle_info": dict(handle.info),
            "group": dict(arq.group),
        }
        rows.append(
            {
                "uuid": uuid,
                "kind": kind,
                "subject": f"arq/{arq.uuid}",
                "host": handle.host,
                "accelerator_request_id": arq.id,
                "attach_handle_id": handle.id,
                "payload": json.dumps(payload),
                "created_at": env.clock(),
            }
        )
    job_rows.insert_jobs(connection, rows, lease=env.conf.conductor.job_lease, deadline=deadline)
    return job_rows.jobs_of(connection, list(by_id))
