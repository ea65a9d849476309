"""ARQs and the attach handles that they own, as users see them: reading and creating.

What changes them is in :mod:`cyborg.db.request_changes`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from cyborg.db.paging import Sorting, changed_at, equal, paged, refers
from cyborg.db.statements import insert_rows
from cyborg.db.tables import (
    accelerator_requests,
    attach_handles,
    device_profiles,
)
from cyborg.domain.model import AcceleratorRequest, AttachHandle
from cyborg.domain.paging import EVERYTHING, Page
from cyborg.domain.states import ArqState

_arqs = accelerator_requests

_REQUEST = (
    sa.select(
        _arqs,
        device_profiles.c.name.label("device_profile_name"),
        attach_handles.c.uuid.label("handle_uuid"),
        attach_handles.c.attach_type,
        attach_handles.c.attach_info,
        attach_handles.c.condition_reason.label("handle_reason"),
    )
    .join_from(_arqs, device_profiles)
    .outerjoin(attach_handles, attach_handles.c.accelerator_request_id == _arqs.c.id)
)


#: The state that users see. The few that read as another are the exceptions.
_SHOWN = sa.case(
    *((_arqs.c.state == state, state.shows) for state in ArqState if state.shows is not state),
    else_=_arqs.c.state,
)

ARQ_SORT = Sorting(
    _arqs,
    {
        "uuid": _arqs.c.uuid,
        "state": _SHOWN,
        "device_profile_name": device_profiles.c.name,
        "hostname": sa.func.coalesce(_arqs.c.hostname, ""),
        "instance_uuid": sa.func.coalesce(_arqs.c.instance_uuid, ""),
        "created_at": _arqs.c.created_at,
        "updated_at": changed_at(_arqs),
    },
)


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
    :param states: as they are in the database, not as they show.
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
    insert_rows(connection, _arqs, rows)


def _request(row: sa.Row[Any]) -> AcceleratorRequest:
    state = ArqState(row.state)
    handle = None
    if state.shows is ArqState.BOUND and row.handle_uuid:
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
        # What has become of its handle is news only where the ARQ itself has none.
        state_reason=row.state_reason or row.handle_reason,
        generation=row.generation,
        attach_handle=handle,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
