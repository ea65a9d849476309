"""Releases: a handle is taken back from an instance and cleaned, before anybody else gets it.

A release has no deadline: it goes on until it has worked or has failed too often. Its end lets
a deleted ARQ go and an unbound one be Unbound; its failure quarantines the handle of the one,
and leaves it with the other. If the device is away it ends as well, and the handle is unclean:
see :mod:`cyborg.conductor.unclean`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from oslo_log import log

from cyborg.conductor import jobs, providers
from cyborg.conductor.jobs import Assignment, Dispatch, Kind
from cyborg.conductor.unit import Unit
from cyborg.db import freeing
from cyborg.db import jobs as rows
from cyborg.db.attach_handles import TakenHandle
from cyborg.db.request_changes import (
    LockedRequest,
    delete_requests,
    fail_requests,
    fail_unbind_unseen,
    unbind_requests,
)
from cyborg.domain.model import JobKind
from cyborg.domain.states import UNBIND_FAILS_AS, ArqState
from cyborg.domain.work import Job, Release, Subject

LOG = log.getLogger(__name__)


def write(unit: Unit, arqs: Collection[LockedRequest], taken: Sequence[TakenHandle]) -> None:
    """Let agents release handles that these ARQs own.

    An ARQ that waits for a job about it alone has that job turned into the release: what the
    agent still says of it has no effect. Any other gets a job, also in place of one that cannot
    be read.
    """
    by_id = {arq.id: arq for arq in arqs}
    waiting = [arq.id for arq in arqs if _is_being_prepared(arq)]
    turned = _turn(unit, waiting, taken) if waiting else frozenset()
    jobs.write(
        unit,
        RELEASE,
        [
            _assignment(by_id[handle.accelerator_request_id], handle)
            for handle in taken
            if handle.accelerator_request_id not in turned
        ],
    )


def _is_being_prepared(arq: LockedRequest) -> bool:
    """Return whether an agent may be at work on it, for its bind or since its host was booted."""
    if arq.state is ArqState.BOUND:
        return arq.state_reason is not None
    return arq.state is ArqState.BIND_STARTED


def _turn(unit: Unit, request_ids: Collection[int], taken: Sequence[TakenHandle]) -> frozenset[int]:
    """Turn what is under way for ARQs into releases; return the ids of those that have such."""
    handles = {each.accelerator_request_id: each.handle for each in taken}
    released = []
    found = rows.lock_jobs_of(unit.connection, request_ids)
    for unreadable in found.unreadable:
        # Nobody can turn it round, and a new job may not be written beside it.
        LOG.error("job cannot be read job=%s, deleted: %s", unreadable.uuid, unreadable.why)
        rows.delete_job(unit.connection, unreadable.uuid)
    for job in found.jobs:
        [id_] = job.subject.requests
        work = replace(job.work, kind=RELEASE.name, steps=(Release(handles[id_]),))
        released.append(replace(job, work=work))
    if released:
        lease = unit.env.conf.conductor.job_lease
        for job in rows.turn_jobs(unit.connection, released, unit.now, lease=lease):
            unit.after(Dispatch(job))
    return frozenset(id_ for job in released for id_ in job.subject.requests)


def _assignment(arq: LockedRequest, taken: TakenHandle) -> Assignment:
    return Assignment(
        host=taken.host,
        driver=taken.driver,
        device=taken.handle.device,
        key=f"arq/{arq.uuid}",
        subject=Subject(
            (arq.id,),
            (taken.id,),
            providers=(arq.device_rp_uuid,) if arq.device_rp_uuid else (),
        ),
        steps=(Release(taken.handle),),
    )


def _succeeded(unit: Unit, job: Job, arqs: Sequence[LockedRequest]) -> None:
    for arq, handle_id in zip(arqs, job.subject.handles, strict=True):
        freeing.free_released(unit.connection, handle_id, arq.id, unit.now)
        _end(unit, arq)
        LOG.info("job done job=%s kind=%s arq=%s host=%s", job.uuid, job.kind, arq.uuid, job.host)
    providers.mark_end(unit, job)


def _away(unit: Unit, job: Job, arqs: Sequence[LockedRequest], reason: str) -> None:
    """End a release whose device is not there: the ARQ needs it no more, and nobody gets the
    handle until the device is back and has been cleaned."""
    for arq, handle_id in zip(arqs, job.subject.handles, strict=True):
        freeing.free_unclean(unit.connection, handle_id, arq.id, reason, unit.now)
        _end(unit, arq)
        LOG.warning(
            "released without its device, which is cleaned when it is back arq=%s host=%s: %s",
            arq.uuid,
            job.host,
            reason,
        )
    providers.mark_end(unit, job)


def _end(unit: Unit, arq: LockedRequest) -> None:
    if arq.state is ArqState.DELETING:
        delete_requests(unit.connection, [arq.id])
    else:
        unbind_requests(unit.connection, [arq], unit.now)


def _failed(unit: Unit, job: Job, arqs: Sequence[LockedRequest], reason: str) -> None:
    for arq, handle_id in zip(arqs, job.subject.handles, strict=True):
        if arq.state is ArqState.DELETING:
            freeing.quarantine(unit.connection, handle_id, arq.id, reason, unit.now)
            delete_requests(unit.connection, [arq.id])
            LOG.error(
                "handle quarantined handle=%s host=%s arq=%s: %s",
                ",".join(step.handle.uuid for step in job.work.steps if isinstance(step, Release)),
                job.host,
                arq.uuid,
                reason,
            )
        else:
            _unbind_failed(unit, arq, reason)
            LOG.error("unbind failed arq=%s host=%s: %s", arq.uuid, job.host, reason)
    providers.mark_end(unit, job)


def _unbind_failed(unit: Unit, arq: LockedRequest, reason: str) -> None:
    """The ARQ keeps its instance and its handle; what had failed before reads as it did."""
    target = UNBIND_FAILS_AS[arq.state]
    if arq.state.shows is target:
        fail_unbind_unseen(unit.connection, [arq], target)
    else:
        fail_requests(unit.connection, [arq], target, reason, unit.now)


RELEASE = Kind(
    name=JobKind.RELEASE,
    attempts=lambda conf: int(conf.conductor.release_attempts),
    deadline=lambda conf: None,
    succeeded=_succeeded,
    failed=_failed,
    away=_away,
    pauses=jobs.RELEASE_PAUSES,
    waits=True,
)
