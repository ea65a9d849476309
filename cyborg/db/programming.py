"""Programming deployables: what is recorded of it. The job itself is in :mod:`cyborg.db.jobs`."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cyborg.db.sharing import lock_counters, shared_with
from cyborg.db.statements import any_of, next_generation
from cyborg.db.tables import (
    accelerator_requests,
    attach_handles,
    control_paths,
    deployables,
    devices,
    hosts,
)
from cyborg.domain.model import UNSETTLED_IF, Presence, ProgrammingState
from cyborg.domain.states import AT_WORK

#: The deployable is not being programmed, and what it holds is known or nobody's business.
SETTLED = sa.not_(any_of(deployables, UNSETTLED_IF))


@dataclass(frozen=True, slots=True)
class LockedDeployable:
    """What deciding about a programming needs, read under the deployable's row lock."""

    id: int
    uuid: str
    name: str
    rp_uuid: str
    host: str
    device_identity: str
    driver: str
    control_path: Mapping[str, str]
    presence: Presence
    programmable: bool
    state: ProgrammingState
    #: Uuid of the newest programming.
    job_uuid: str | None
    #: Providers that offer its hardware in any shape, its own included.
    shapes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Holder:
    """An ARQ that has a handle of a deployable."""

    project_id: str | None
    #: It is being prepared or released.
    at_work: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How a programming stands, for who waits for its end."""

    job_uuid: str | None
    state: ProgrammingState
    reason: str | None
    content_unknown: bool


def lock_deployable(connection: sa.Connection, uuid: str) -> LockedDeployable | None:
    """Read a deployable and hold its row: binds on it wait, and those before it are done.

    So do binds of other shapes of the same hardware. Two statements, with shapes three: with a
    join in the first, MariaDB would lock the host as well.
    """
    of_uuid = deployables.c.uuid == uuid
    # By its id: who removes it has the row before what MariaDB finds it by.
    of_id = deployables.c.id == sa.select(deployables.c.id).where(of_uuid).scalar_subquery()
    locked = connection.execute(
        sa.select(deployables.c.id, deployables.c.sharing).where(of_id).with_for_update()
    ).first()
    if locked is None:
        return None
    shared = shared_with(locked.sharing)
    if shared is not None:
        lock_counters(connection, shared.counters)
    row = connection.execute(
        sa.select(
            deployables,
            devices.c.identity,
            devices.c.driver,
            devices.c.presence,
            hosts.c.name.label("host"),
            control_paths.c.info,
        )
        .join_from(deployables, devices)
        .join(hosts)
        .outerjoin(control_paths, control_paths.c.device_id == devices.c.id)
        .where(of_uuid)
    ).one()
    return LockedDeployable(
        id=row.id,
        uuid=row.uuid,
        name=row.name,
        rp_uuid=row.rp_uuid,
        host=row.host,
        device_identity=row.identity,
        driver=row.driver,
        control_path=json.loads(row.info or "{}"),
        presence=Presence(row.presence),
        programmable=row.programmable,
        state=ProgrammingState(row.programming_state),
        job_uuid=row.programming_job,
        shapes=shared.providers if shared else (row.rp_uuid,),
    )


def holders(connection: sa.Connection, rp_uuids: Collection[str]) -> list[Holder]:
    """Return the ARQs that have a handle of these deployables, those that are deleted included."""
    query = (
        sa.select(accelerator_requests.c.project_id, accelerator_requests.c.state)
        .join_from(
            attach_handles,
            accelerator_requests,
            attach_handles.c.accelerator_request_id == accelerator_requests.c.id,
        )
        .join(deployables, deployables.c.id == attach_handles.c.deployable_id)
        .where(deployables.c.rp_uuid.in_(rp_uuids))
    )
    return [Holder(row.project_id, row.state in AT_WORK) for row in connection.execute(query)]


def record_start(
    connection: sa.Connection, deployable_id: int, job_uuid: str, now: datetime.datetime
) -> None:
    """Record that a programming has been asked for. Nothing is touched yet."""
    _update(
        connection,
        deployables.c.id == deployable_id,
        now,
        programming_state=ProgrammingState.PROGRAMMING,
        programming_reason=None,
        programming_job=job_uuid,
    )


def record_touch(
    connection: sa.Connection, uuid: str, job_uuid: str, now: datetime.datetime
) -> None:
    """Record that the hardware is about to be touched: what it holds is unknown from here on."""
    _update(
        connection,
        _programmed_by(uuid, job_uuid),
        now,
        bitstream_id=None,
        content_unknown=True,
    )


def record_success(
    connection: sa.Connection,
    uuid: str,
    job_uuid: str,
    bitstream_id: str,
    now: datetime.datetime,
) -> None:
    """Record that the deployable holds an image."""
    _update(
        connection,
        _programmed_by(uuid, job_uuid),
        now,
        programming_state=ProgrammingState.PROGRAMMED,
        bitstream_id=bitstream_id,
        content_unknown=False,
    )


def record_failure(
    connection: sa.Connection, uuid: str, job_uuid: str, reason: str, now: datetime.datetime
) -> None:
    """Record why it failed. Whether the hardware was touched was recorded when it was."""
    _update(
        connection,
        _programmed_by(uuid, job_uuid),
        now,
        programming_state=ProgrammingState.FAILED,
        programming_reason=reason,
    )


def progress(connection: sa.Connection, uuid: str) -> Progress | None:
    """Return how the newest programming of a deployable stands, None if it is not there."""
    row = connection.execute(
        sa.select(
            deployables.c.programming_job,
            deployables.c.programming_state,
            deployables.c.programming_reason,
            deployables.c.content_unknown,
        ).where(deployables.c.uuid == uuid)
    ).first()
    if row is None:
        return None
    return Progress(
        job_uuid=row.programming_job,
        state=ProgrammingState(row.programming_state),
        reason=row.programming_reason,
        content_unknown=row.content_unknown,
    )


def _programmed_by(uuid: str, job_uuid: str) -> sa.ColumnElement[bool]:
    return sa.and_(deployables.c.uuid == uuid, deployables.c.programming_job == job_uuid)


def _update(
    connection: sa.Connection,
    which: sa.ColumnElement[bool],
    now: datetime.datetime,
    **values: Any,
) -> None:
    connection.execute(
        deployables.update()
        .where(which)
        .values(updated_at=now, **next_generation(deployables), **values)
    )
