"""What agents are at with their jobs: told while it lasts, and read with the devices.

Times are the database's, as in :mod:`cyborg.db.jobs`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from cyborg.db.tables import attach_handles, deployables, jobs
from cyborg.db.types import database_now
from cyborg.domain.model import DeviceWork
from cyborg.domain.work import WorkProgress

#: Nobody is at it.
IDLE: Mapping[str, Any] = {"step": None, "step_begun_at": None, "percent": None}


def record(connection: sa.Connection, host: str, told: Sequence[WorkProgress]) -> int:
    """Record what an agent is at; return of how many jobs.

    What is not about the newest attempt at one of the host's jobs has no effect.
    """
    newest = {each.job_uuid: each for each in told}
    query = sa.select(jobs.c.id, jobs.c.uuid).where(jobs.c.uuid.in_(newest), jobs.c.host == host)
    recorded = 0
    # By the id, in its order: MariaDB would lock the uuid first, which others lock last.
    for row in connection.execute(query.order_by(jobs.c.id)).all():
        each = newest[row.uuid]
        result = connection.execute(
            jobs.update()
            .where(jobs.c.id == row.id, jobs.c.generation == each.generation)
            .values(
                step=each.step,
                step_begun_at=database_now(-each.seconds),
                percent=each.percent,
            )
        )
        recorded += result.rowcount
    return recorded


def work_on(
    connection: sa.Connection, device_ids: Collection[int]
) -> Mapping[int, tuple[DeviceWork, ...]]:
    """Return what is under way on devices, what was begun first before the rest.

    One statement, whatever their number.
    """
    of_handles = (
        _work()
        .join_from(jobs, attach_handles, jobs.c.attach_handle_id == attach_handles.c.id)
        .join(deployables, deployables.c.id == attach_handles.c.deployable_id)
    )
    # A job that programs is about no handle.
    of_deployables = (
        _work()
        .join_from(
            jobs,
            deployables,
            jobs.c.subject == sa.literal("deployable/").concat(deployables.c.uuid),
        )
        .where(jobs.c.attach_handle_id.is_(None))
    )
    filters = (jobs.c.step.is_not(None), deployables.c.device_id.in_(device_ids))
    both = sa.union_all(of_handles.where(*filters), of_deployables.where(*filters)).subquery()
    found: dict[int, tuple[DeviceWork, ...]] = {}
    for row in connection.execute(sa.select(both).order_by(both.c.step_begun_at, both.c.id)):
        work = DeviceWork(row.kind, row.step, row.step_begun_at, row.percent)
        found[row.device_id] = (*found.get(row.device_id, ()), work)
    return found


def _work() -> sa.Select[Any]:
    return sa.select(
        deployables.c.device_id,
        jobs.c.id,
        jobs.c.kind,
        jobs.c.step,
        jobs.c.step_begun_at,
        jobs.c.percent,
    )
