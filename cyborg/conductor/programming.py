"""Programming a deployable: it is made to hold an image.

A job, as a preparation is (:mod:`cyborg.conductor.jobs`), about the deployable instead of an
ARQ. From its beginning to its end no bind takes a handle of the deployable, and no other
programming begins.

Its agent fetches the image first, and asks before it touches the hardware (:func:`_begins`). So
the record knows, whatever is lost then, whether what the deployable holds can still be known;
and a command that arrives after its job is over does nothing. What fails before leaves the
deployable as it was. What fails afterwards leaves it to nobody until a programming succeeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from oslo_log import log

from cyborg.conductor import jobs, providers
from cyborg.conductor.environment import Environment
from cyborg.conductor.jobs import Assignment, Kind
from cyborg.conductor.unit import Unit, run
from cyborg.db import jobs as job_rows
from cyborg.db import programming as rows
from cyborg.db.database import Connection
from cyborg.db.programming import LockedDeployable
from cyborg.db.request_changes import LockedRequest
from cyborg.domain.errors import (
    DeployableBusy,
    DeployableInUse,
    DeployableMissing,
    DeployableNotFound,
    NotProgrammable,
)
from cyborg.domain.model import JobKind, Presence, ProgrammingState, ProviderJobKind
from cyborg.domain.work import Job, Program, Region, Subject

LOG = log.getLogger(__name__)


def program(env: Environment, deployable: str, image_uuid: str, project_id: str | None) -> str:
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
    return run(env, partial(_program, deployable, image_uuid, project_id))


def _begins(unit: Unit, job: Job, step: int) -> bool:
    """Record that an agent is about to touch the hardware."""
    if isinstance(job.work.steps[step], Program):
        rows.record_touch(unit.connection, _deployable(job), job.uuid, unit.now)
    return True


def _succeeded(unit: Unit, job: Job, _arqs: Sequence[LockedRequest]) -> None:
    uuid, image = _deployable(job), _image(job).image_uuid
    rows.record_success(unit.connection, uuid, job.uuid, image, unit.now)
    LOG.info("programmed deployable=%s image=%s job=%s", uuid, image, job.uuid)
    providers.mark_end(unit, job)


def _failed(unit: Unit, job: Job, _arqs: Sequence[LockedRequest], reason: str) -> None:
    uuid, image = _deployable(job), _image(job).image_uuid
    rows.record_failure(unit.connection, uuid, job.uuid, reason, unit.now)
    LOG.error(
        "programming failed deployable=%s image=%s job=%s host=%s: %s",
        uuid,
        image,
        job.uuid,
        job.host,
        reason,
    )
    providers.mark_end(unit, job)


PROGRAM = Kind(
    name=JobKind.PROGRAM,
    attempts=lambda conf: int(conf.conductor.program_attempts),
    deadline=lambda conf: float(conf.conductor.program_timeout),
    begins=_begins,
    succeeded=_succeeded,
    failed=_failed,
)


def _program(uuid: str, image_uuid: str, project_id: str | None, unit: Unit) -> str:
    found = rows.lock_deployable(unit.connection, uuid)
    if found is None:
        raise DeployableNotFound(f"Deployable {uuid} could not be found.")
    at_work = _check_holders(unit.connection, found, project_id)
    if not found.programmable:
        raise NotProgrammable(f"Deployable {found.name} cannot be programmed.")
    if found.state is ProgrammingState.PROGRAMMING:
        return _same(unit.connection, found, image_uuid, project_id)
    if at_work:
        raise DeployableBusy(
            f"A handle of deployable {found.name} is being made ready or cleaned; try again later."
        )
    if found.presence is Presence.MISSING:
        raise DeployableMissing(f"The device of {found.name} is missing.")
    job = _write(unit, found, image_uuid, project_id)
    marked = dict.fromkeys(found.shapes, found.host)
    providers.mark(unit, marked, ProviderJobKind.INVENTORY, at_once=True)
    LOG.info(
        "program deployable=%s image=%s project=%s job=%s host=%s",
        found.uuid,
        image_uuid,
        project_id,
        job.uuid,
        found.host,
    )
    return job.uuid


def _check_holders(connection: Connection, found: LockedDeployable, project_id: str | None) -> bool:
    """Refuse if another project has a part of it, in whatever shape; return whether a part is
    being worked on.

    Of ARQs of the caller's own project no more is asked: to program under a server of one's
    own is what the right to program is for.
    """
    holders = rows.holders(connection, found.shapes)
    if any(holder.project_id is None or holder.project_id != project_id for holder in holders):
        raise DeployableInUse(
            f"An accelerator request of another project holds a handle of {found.name}."
        )
    return any(holder.at_work for holder in holders)


def _same(
    connection: Connection, found: LockedDeployable, image_uuid: str, project_id: str | None
) -> str:
    """Return the job that is under way, if it is just what is asked for."""
    job = job_rows.peek(connection, found.job_uuid or "")
    wanted = (image_uuid, project_id)
    if job is None or (_image(job).image_uuid, _image(job).project_id) != wanted:
        raise DeployableBusy(f"Deployable {found.name} is being programmed; try again later.")
    return job.uuid


def _write(unit: Unit, found: LockedDeployable, image_uuid: str, project_id: str | None) -> Job:
    region = Region(found.device_identity, found.name, found.control_path)
    [job] = jobs.write(
        unit,
        PROGRAM,
        [
            Assignment(
                host=found.host,
                driver=found.driver,
                device=found.device_identity,
                key=f"deployable/{found.uuid}",
                subject=Subject(
                    deployable_uuid=found.uuid,
                    providers=(found.rp_uuid,),
                ),
                steps=(Program(region, image_uuid, project_id),),
            )
        ],
    )
    rows.record_start(unit.connection, found.id, job.uuid, unit.now)
    return job


def _deployable(job: Job) -> str:
    assert job.subject.deployable_uuid is not None
    return job.subject.deployable_uuid


def _image(job: Job) -> Program:
    """Return the step that programs."""
    [step] = [step for step in job.work.steps if isinstance(step, Program)]
    return step
