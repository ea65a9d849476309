"""Preparations: a handle is made ready for the instance that an ARQ is being bound to.

The bind was answered when the job was written; its end makes the ARQ Bound, and tells Nova.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from oslo_log import log

from cyborg.conductor import events, jobs, providers
from cyborg.conductor.jobs import Assignment, Kind
from cyborg.conductor.unit import Unit
from cyborg.db.attach_handles import TakenHandle
from cyborg.db.request_changes import LockedRequest, fail_requests, finish_binds
from cyborg.domain.model import EventStatus, JobKind
from cyborg.domain.states import ArqState
from cyborg.domain.work import Job, Prepare, Subject

LOG = log.getLogger(__name__)


def write(
    unit: Unit,
    arqs: Sequence[LockedRequest],
    taken: Mapping[int, TakenHandle],
    rp_uuids: Mapping[int, str],
) -> None:
    """Write a job for each ARQ whose bind begins.

    :param taken: id of the ARQ to the handle that it has now.
    :param rp_uuids: id of the ARQ to the resource provider of that handle.
    """
    jobs.write(
        unit,
        PREPARE,
        [
            Assignment(
                host=taken[arq.id].host,
                driver=taken[arq.id].driver,
                device=taken[arq.id].handle.device,
                key=f"arq/{arq.uuid}",
                subject=Subject((arq.id,), (taken[arq.id].id,), providers=(rp_uuids[arq.id],)),
                steps=(Prepare(taken[arq.id].handle, arq.group),),
            )
            for arq in arqs
        ],
    )


def _succeeded(unit: Unit, job: Job, arqs: Sequence[LockedRequest]) -> None:
    finish_binds(unit.connection, arqs, unit.now)
    for arq in arqs:
        assert arq.instance_uuid is not None
        events.write(unit, [arq], arq.instance_uuid, EventStatus.COMPLETED)
        LOG.info("job done job=%s kind=%s arq=%s host=%s", job.uuid, job.kind, arq.uuid, job.host)


def _failed(unit: Unit, job: Job, arqs: Sequence[LockedRequest], reason: str) -> None:
    """End a bind that did not work. The ARQ keeps its handle, which may be half prepared,
    until it is unbound or deleted: that releases it.

    Where Nova waits for it, it is only failing: see :mod:`cyborg.conductor.events`.
    """
    for arq in arqs:
        assert arq.instance_uuid is not None
        nova_waits = unit.env.nova is not None and arq.bound_by_service
        target = ArqState.BIND_FAILING if nova_waits else ArqState.BIND_FAILED
        fail_requests(unit.connection, [arq], target, reason, unit.now)
        LOG.error("bind failed arq=%s host=%s: %s", arq.uuid, job.host, reason)
        events.write(unit, [arq], arq.instance_uuid, EventStatus.FAILED, repeated=nova_waits)
    providers.mark_end(unit, job)


PREPARE = Kind(
    name=JobKind.PREPARE,
    attempts=lambda conf: int(conf.conductor.prepare_attempts),
    deadline=lambda conf: float(conf.bind_timeout),
    succeeded=_succeeded,
    failed=_failed,
)
