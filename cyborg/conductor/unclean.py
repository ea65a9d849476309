"""Handles that are unclean: a release for nobody, before anybody gets them.

Their device was away when they were to be released, or has come to where another was. Once a
report has them again, their agent cleans them. Until that has worked they count as taken.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from oslo_log import log

from cyborg.conductor import jobs, providers
from cyborg.conductor.jobs import Assignment, Kind
from cyborg.conductor.unit import Unit
from cyborg.db import unclean as rows
from cyborg.db.request_changes import LockedRequest
from cyborg.db.unclean import UncleanHandle
from cyborg.domain.model import JobKind
from cyborg.domain.work import Job, Release, Subject

LOG = log.getLogger(__name__)

#: Handles of a host that are cleaned at a time: a card's work is done one after the other.
BATCH = 256


def write(unit: Unit, host: str, host_id: int, waiting: Collection[int]) -> None:
    """Let a host's agent clean what is unclean and there, and is not being cleaned.

    :param waiting: ids of devices of which a part is held in a place where they are no longer.
    """
    found = rows.unclean_handles(unit.connection, host_id, waiting, BATCH)
    jobs.write(unit, CLEAN, [_assignment(host, each) for each in found])
    for each in found:
        LOG.info("cleaning handle=%s host=%s", each.handle.uuid, host)


def _assignment(host: str, unclean: UncleanHandle) -> Assignment:
    return Assignment(
        host=host,
        driver=unclean.driver,
        device=unclean.handle.device,
        key=f"handle/{unclean.handle.uuid}",
        subject=Subject(handles=(unclean.id,), providers=(unclean.rp_uuid,)),
        steps=(Release(unclean.handle),),
    )


def _succeeded(unit: Unit, job: Job, _arqs: Sequence[LockedRequest]) -> None:
    rows.record_clean(unit.connection, job.subject.handles, unit.now)
    LOG.info("job done job=%s kind=%s host=%s", job.uuid, job.kind, job.host)
    providers.mark_end(unit, job)


def _away(_unit: Unit, job: Job, _arqs: Sequence[LockedRequest], reason: str) -> None:
    """The device has gone again: the handle waits for the next report that has it."""
    LOG.warning("not cleaned, the device is away job=%s host=%s: %s", job.uuid, job.host, reason)


def _failed(unit: Unit, job: Job, _arqs: Sequence[LockedRequest], reason: str) -> None:
    rows.quarantine_unclean(unit.connection, job.subject.handles, reason, unit.now)
    LOG.error(
        "handle quarantined handle=%s host=%s: %s",
        ",".join(step.handle.uuid for step in job.work.steps if isinstance(step, Release)),
        job.host,
        reason,
    )
    providers.mark_end(unit, job)


CLEAN = Kind(
    name=JobKind.CLEAN,
    attempts=lambda conf: int(conf.conductor.release_attempts),
    deadline=lambda conf: None,
    succeeded=_succeeded,
    failed=_failed,
    away=_away,
    pauses=jobs.RELEASE_PAUSES,
    waits=True,
)
