"""ARQs and the attach handles that they own: reading, creating, and every change of state.

Changes are conditional on state and generation; a row that somebody else changed first
shows as a row count that is too small.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception

from cyborg.db.database import Contention
from cyborg.db.paging import Sorting, changed_at, equal, paged, refers
from cyborg.db.statements import next_generation
from cyborg.db.tables import (
    accelerator_requests,
    attach_handles,
    device_profiles,
    instance_owners,
    jobs,
)
from cyborg.domain.model import AcceleratorRequest, AttachHandle, JobKind
from cyborg.domain.paging import EVERYTHING, Page
from cyborg.domain.states import ArqState, sources_of

_arqs = accelerator_requests

_REQUEST = (
    sa.select(
        _arqs,
        device_profiles.c.name.label("device_profile_name"),
        attach_handles.c.uuid.label("handle_uuid"),
        attach_handles.c.attach_type,
        attach_handles.c.attach_info,
    )
    .join_from(_arqs, device_profiles)
    .outerjoin(attach_handles, attach_handles.c.accelerator_request_id == _arqs.c.id)
)


ARQ_SORT = Sorting(
    _arqs,
    {
        "uuid": _arqs.c.uuid,
        "state": _arqs.c.state,
        "device_profile_name": device_profiles.c.name,
        "hostname": sa.func.coalesce(_arqs.c.hostname, ""),
        "instance_uuid": sa.func.coalesce(_arqs.c.instance_uuid, ""),
        "created_at": _arqs.c.created_at,
        "updated_at": changed_at(_arqs),
    },
)


@dataclass(frozen=True, slots=True)
class LockedRequest:
    """What deciding about an ARQ needs, read under its row lock."""

    id: int
    uuid: str
    state: ArqState
    group: Mapping[str, str]
    project_id: str | None
    hostname: str | None
    device_rp_uuid: str | None
    instance_uuid: str | None
    bound_by_service: bool
    #: Why a bind or a release has failed.
    state_reason: str | None
    #: Nobody seems to need it any more.
    left_over: bool
    generation: int
    job_kind: JobKind | None
    #: Whose the instance is that a bind names, where that is known already.
    instance_owner: str | None


def list_requests(
    connection: sa.Connection,
    *,
    uuids: Collection[str] | None = None,
    instance_uuid: str | None = None,
    visible_project_id: str | None = None,
    project_id: str | None = None,
    states: Collection[ArqState] | None = None,
    hostname: str | None = None,
    device_profile_name: str | None = None,
    page: Page = EVERYTHING,
) -> list[AcceleratorRequest]:
    """Return the ARQs that have every given value. One statement, one more with a marker.

    Those that are being deleted are not there any more.

    :param visible_project_id: nothing of other projects is there, not even as a marker.
    """
    visible = _REQUEST.where(_arqs.c.state != ArqState.DELETING)
    if visible_project_id is not None:
        visible = visible.where(_arqs.c.project_id == visible_project_id)
    wanted = {
        _arqs.c.instance_uuid: instance_uuid,
        _arqs.c.project_id: project_id,
        _arqs.c.hostname: hostname,
    }
    filters = equal(wanted)
    if device_profile_name is not None:
        filters.append(refers(_arqs.c.device_profile_id, device_profiles, name=device_profile_name))
    if uuids is not None:
        filters.append(_arqs.c.uuid.in_(uuids))
    if states is not None:
        filters.append(_arqs.c.state.in_(states))
    query = paged(connection, visible, filters, page, ARQ_SORT)
    return [_request(row) for row in connection.execute(query)]


def insert_requests(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store new ARQs in one statement."""
    connection.execute(_arqs.insert().values([dict(row) for row in rows]))


def lock_requests(
    connection: sa.Connection,
    *,
    uuids: Collection[str] | None = None,
    instance_uuid: str | None = None,
    owner_of: str | None = None,
) -> list[LockedRequest]:
    """Read ARQs and hold their rows until the end of the transaction, in the order of ids.

    With ``owner_of``, an instance, the same statement tells whose that instance is.
    """
    owner = (
        sa.select(instance_owners.c.project_id)
        .where(instance_owners.c.instance_uuid == owner_of)
        .scalar_subquery()
    )
    query = (
        sa.select(_arqs, jobs.c.kind.label("job_kind"), owner.label("instance_owner"))
        .outerjoin(jobs, jobs.c.accelerator_request_id == _arqs.c.id)
        .where(_arqs.c.state != ArqState.DELETING)
        .order_by(_arqs.c.id)
        .with_for_update(of=_arqs)
    )
    if uuids is not None:
        query = query.where(_arqs.c.uuid.in_(uuids))
    if instance_uuid is not None:
        query = query.where(_arqs.c.instance_uuid == instance_uuid)
    return [_locked(row) for row in connection.execute(query)]


def lock_request(connection: sa.Connection, id_: int) -> LockedRequest | None:
    """Read and hold one ARQ by its id, also while it is being deleted."""
    query = (
        sa.select(_arqs, sa.null().label("job_kind"), sa.null().label("instance_owner"))
        .where(_arqs.c.id == id_)
        .with_for_update()
    )
    row = connection.execute(query).first()
    return None if row is None else _locked(row)


def change_state(
    connection: sa.Connection,
    generations: Mapping[int, int],
    target: ArqState,
    now: datetime.datetime,
    **values: Any,
) -> None:
    """Move ARQs (id to the generation that was read) to ``target``, all in one statement.

    :raises Contention: one of them changed since it was read, or may not go there.
    """
    result = connection.execute(
        _arqs.update()
        .where(
            sa.or_(
                *(
                    sa.and_(_arqs.c.id == id_, _arqs.c.generation == generation)
                    for id_, generation in generations.items()
                )
            ),
            _arqs.c.state.in_(sources_of(target)),
        )
        .values(state=target, updated_at=now, **next_generation(_arqs), **values)
    )
    if result.rowcount != len(generations):
        raise Contention


def note_failure(
    connection: sa.Connection, id_: int, generation: int, reason: str, now: datetime.datetime
) -> None:
    """Note that a bind has failed, while the ARQ goes on reading BindStarted.

    :raises Contention: it changed since it was read.
    """
    result = connection.execute(
        _arqs.update()
        .where(
            _arqs.c.id == id_,
            _arqs.c.generation == generation,
            _arqs.c.state == ArqState.BIND_STARTED,
        )
        .values(state_reason=reason, updated_at=now, **next_generation(_arqs))
    )
    if result.rowcount != 1:
        raise Contention


def delete_requests(connection: sa.Connection, ids: Collection[int]) -> None:
    """Delete ARQs that own nothing; the database refuses any other."""
    connection.execute(_arqs.delete().where(_arqs.c.id.in_(ids)))


def remember_owner(
    connection: sa.Connection, instance_uuid: str, project_id: str, now: datetime.datetime
) -> None:
    """Remember whose an instance is.

    :raises Contention: somebody else has just done so.
    """
    try:
        connection.execute(
            instance_owners.insert().values(
                instance_uuid=instance_uuid, project_id=project_id, created_at=now
            )
        )
    except db_exception.DBDuplicateEntry as error:
        raise Contention from error


def _locked(row: sa.Row[Any]) -> LockedRequest:
    return LockedRequest(
        id=row.id,
        uuid=row.uuid,
        state=ArqState(row.state),
        group=json.loads(row.group_json),
        project_id=row.project_id,
        hostname=row.hostname,
        device_rp_uuid=row.device_rp_uuid,
        instance_uuid=row.instance_uuid,
        bound_by_service=row.bound_by_service,
        state_reason=row.state_reason,
        left_over=row.leftover_since is not None,
        generation=row.generation,
        job_kind=JobKind(row.job_kind) if row.job_kind else None,
        instance_owner=row.instance_owner,
    )


def _request(row: sa.Row[Any]) -> AcceleratorRequest:
    state = ArqState(row.state)
    handle = None
    if state is ArqState.BOUND and row.handle_uuid:
        handle = AttachHandle(row.handle_uuid, row.attach_type, json.loads(row.attach_info))
    return AcceleratorRequest(
        uuid=row.uuid,
        state=state,
        device_profile_name=row.device_profile_name,
        device_profile_group_id=row.device_profile_group_id,
        group=json.loads(row.group_json),
        project_id=row.project_id,
        hostname=row.hostname,
        device_rp_uuid=row.device_rp_uuid,
        instance_uuid=row.instance_uuid,
        bound_by_service=row.bound_by_service,
        created_by_service=row.created_by_service,
        bound_at=row.bound_at,
        state_reason=row.state_reason,
        generation=row.generation,
        attach_handle=handle,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
