"""Programming a deployable: it is made to hold an image.

A job, as a preparation is (:mod:`cyborg.conductor.jobs`), about the deployable instead of an
ARQ. From its beginning to its end no bind takes a handle of the deployable, and no other
programming begins.

Its agent fetches the image first, and asks (:func:`begin`) before it touches the hardware. So
the record knows, whatever is lost then, whether what the deployable holds can still be known;
and a command that arrives after its job is over does nothing. What fails before leaves the
deployable as it was. What fails afterwards leaves it to nobody until a programming succeeds.
"""

from __future__ import annotations

import json
from functools import partial

import sqlalchemy as sa
from oslo_log import log

from cyborg.conductor import jobs, providers
from cyborg.conductor.afterwards import Afterwards, go_on
from cyborg.conductor.environment import Environment
from cyborg.db import jobs as job_rows
from cyborg.db import programming as rows
from cyborg.db.programming import LockedDeployable
from cyborg.domain.errors import (
    DeployableBusy,
    DeployableInUse,
    DeployableMissing,
    DeployableNotFound,
    NotProgrammable,
)
from cyborg.domain.model import Job, JobKind, Presence, ProgrammingState, ProviderJobKind

LOG = log.getLogger(__name__)


def program(env: Environment, uuid: str, image_uuid: str, project_id: str | None) -> str:
    """Begin to program a deployable; return the uuid of the job, whose end shows in the record.

    The same again while it goes on is a success without a second effect.

    :param project_id: whose image it must be, or who must be allowed to use it.
    :raises DeployableNotFound: there is none.
    :raises DeployableInUse: an ARQ of another project holds a handle of it.
    :raises NotProgrammable: it cannot be programmed.
    :raises DeployableMissing: its device is missing.
    :raises DeployableBusy: it is being programmed otherwise, or one of its handles is being
        made ready or cleaned.
    """
    job_uuid, begun = env.database.run(partial(_program, env, uuid, image_uuid, project_id))
    go_on(env, begun)
    return job_uuid


def begin(env: Environment, job_uuid: str) -> bool:
    """Record that an agent is about to touch the hardware; return whether it may.

    It may not when the job has ended: by its deadline, for instance, while the agent was away.
    """

    def work(connection: sa.Connection) -> bool:
        job = job_rows.lock_job(connection, job_uuid)
        if job is None or job.kind is not JobKind.PROGRAM:
            return False
        rows.record_touch(connection, _deployable(job), job_uuid, env.clock())
        return True

    may = env.database.run(work)
    LOG.info("programming job=%s may begin=%s", job_uuid, may)
    return may


def end(
    env: Environment,
    connection: sa.Connection,
    job: Job,
    error: str | None,
    *,
    too_late: bool,
) -> None:
    """Act on the end of an attempt, inside the transaction that holds the job."""
    uuid, image = _deployable(job), str(job.payload["image_uuid"])
    if error is None:
        rows.record_success(connection, uuid, job.uuid, image, env.clock())
        LOG.info("programmed deployable=%s image=%s job=%s", uuid, image, job.uuid)
    else:
        LOG.warning(
            "programming failed deployable=%s image=%s job=%s host=%s failures=%s: %s",
            uuid,
            image,
            job.uuid,
            job.host,
            job.failures + 1,
            error,
        )
        if not too_late and job.failures + 1 < env.conf.conductor.program_attempts:
            seconds = jobs.BACK_OFF * (job.failures + 1)
            job_rows.postpone(connection, job.id, seconds=seconds, error=error, now=env.clock())
            return
        rows.record_failure(connection, uuid, job.uuid, error, env.clock())
    job_rows.delete_job(connection, job.id)
    marked = {str(job.payload["rp_uuid"]): job.host}
    providers.mark(env, connection, marked, ProviderJobKind.INVENTORY)


def _program(
    env: Environment,
    uuid: str,
    image_uuid: str,
    project_id: str | None,
    connection: sa.Connection,
) -> tuple[str, Afterwards]:
    found = rows.lock_deployable(connection, uuid)
    if found is None:
        raise DeployableNotFound(f"Deployable {uuid} could not be found.")
    at_work = _check_holders(connection, found, project_id)
    if not found.programmable:
        raise NotProgrammable(f"Deployable {found.name} cannot be programmed.")
    if found.state is ProgrammingState.PROGRAMMING:
        return _same(connection, found, image_uuid, project_id), Afterwards()
    if at_work:
        raise DeployableBusy(
            f"A handle of deployable {found.name} is being made ready or cleaned; try again later."
        )
    if found.presence is Presence.MISSING:
        raise DeployableMissing(f"The device of {found.name} is missing.")
    job = _write(env, connection, found, image_uuid, project_id)
    marked = {found.rp_uuid: found.host}
    providers.mark(env, connection, marked, ProviderJobKind.INVENTORY, now=True)
    LOG.info(
        "program deployable=%s image=%s project=%s job=%s host=%s",
        found.uuid,
        image_uuid,
        project_id,
        job.uuid,
        found.host,
    )
    return job.uuid, Afterwards([job], providers=frozenset(marked))


def _check_holders(
    connection: sa.Connection, found: LockedDeployable, project_id: str | None
) -> bool:
    """Refuse if another project has a part of it; return whether a part is being worked on.

    Of ARQs of the caller's own project no more is asked: to program under a server of one's
    own is what the right to program is for.
    """
    holders = rows.holders(connection, found.id)
    if any(holder.project_id is None or holder.project_id != project_id for holder in holders):
        raise DeployableInUse(
            f"An accelerator request of another project holds a handle of {found.name}."
        )
    return any(holder.at_work for holder in holders)


def _same(
    connection: sa.Connection, found: LockedDeployable, image_uuid: str, project_id: str | None
) -> str:
    """Return the job that is under way, if it is just what is asked for."""
    job = job_rows.peek(connection, found.job_uuid or "")
    wanted = (image_uuid, project_id)
    if job is None or (job.payload["image_uuid"], job.payload["project_id"]) != wanted:
        raise DeployableBusy(f"Deployable {found.name} is being programmed; try again later.")
    return job.uuid


def _write(
    env: Environment,
    connection: sa.Connection,
    found: LockedDeployable,
    image_uuid: str,
    project_id: str | None,
) -> Job:
    uuid = env.new_uuid()
    payload = {
        "job_uuid": uuid,
        "driver": found.driver,
        "device": found.device_identity,
        "deployable": found.name,
        "handle_uuid": "",
        "handle_type": "",
        "handle_info": {},
        "group": {},
        "control_path": dict(found.control_path),
        "image_uuid": image_uuid,
        "project_id": project_id,
        # Not the agent's business: what the end is recorded on.
        "deployable_uuid": found.uuid,
        "rp_uuid": found.rp_uuid,
    }
    row = {
        "uuid": uuid,
        "kind": JobKind.PROGRAM,
        "subject": f"deployable/{found.uuid}",
        "host": found.host,
        "payload": json.dumps(payload),
        "created_at": env.clock(),
    }
    conductor = env.conf.conductor
    job_rows.insert_jobs(
        connection, [row], lease=conductor.job_lease, deadline=conductor.program_timeout
    )
    rows.record_start(connection, found.id, uuid, env.clock())
    job = job_rows.peek(connection, uuid)
    assert job is not None
    return job


def _deployable(job: Job) -> str:
    return str(job.payload["deployable_uuid"])
