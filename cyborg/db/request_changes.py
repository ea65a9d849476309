"""ARQs under their row locks: who holds them, and every change of their state.

Changes are conditional on state and generation; a row that somebody else changed first
shows as a row count that is too small, and as ``Contention``.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception

from cyborg.db.attach_handles import OF_CLASS
from cyborg.db.database import Contention
from cyborg.db.sharing import shared_with
from cyborg.db.statements import case_by, locking_chosen, next_generation
from cyborg.db.tables import accelerator_requests, attach_handles, deployables, instance_owners
from cyborg.db.types import database_now
from cyborg.domain.model import HandleCondition
from cyborg.domain.states import UNBINDING_FROM, ArqState, Suspicion, showing, sources_of

_arqs = accelerator_requests

_SHARING = (
    sa.select(deployables.c.sharing)
    .where(deployables.c.rp_uuid == _arqs.c.device_rp_uuid)
    .correlate(_arqs)
    .scalar_subquery()
)

#: What Placement has of its handle is not what it has of a handle that is reported.
_COUNTED_APART = (
    sa.select(attach_handles.c.id)
    .join_from(attach_handles, deployables)
    .where(
        attach_handles.c.accelerator_request_id == _arqs.c.id,
        sa.or_(attach_handles.c.condition == HandleCondition.VANISHED, sa.not_(OF_CLASS)),
    )
    .correlate(_arqs)
    .exists()
)

_READ = sa.select(
    *(
        _arqs.c[name]
        for name in (
            "id",
            "uuid",
            "state",
            "group_json",
            "project_id",
            "hostname",
            "device_rp_uuid",
            "instance_uuid",
            "bound_by_service",
            "state_reason",
            "suspicion",
            "generation",
        )
    ),
    _SHARING.label("sharing"),
    _COUNTED_APART.label("is_counted_apart"),
    database_now().label("now"),
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
    suspicion: Suspicion
    generation: int
    #: Whose the instance is that a bind names, where that is known already.
    instance_owner: str | None
    #: The database's present when the statement began that read it.
    now: datetime.datetime
    #: Providers that offer its hardware in any shape, if there is more than one.
    shares_with: tuple[str, ...] = ()
    #: Its handle is not reported any more, or as one of another class than was asked for: when
    #: it is given back, its provider has another number of accelerators.
    is_counted_apart: bool = False


@dataclass(frozen=True, slots=True)
class BoundTo:
    """What ARQs are bound to, all of them to one instance on one host."""

    hostname: str
    instance_uuid: str
    #: Id of the ARQ to its resource provider.
    providers: Mapping[int, str]
    #: Whose they are from then on.
    project_id: str | None
    by_service: bool


def lock_requests(
    connection: sa.Connection,
    *,
    uuids: Collection[str] | None = None,
    instance_uuid: str | None = None,
    owner_of: str | None = None,
    hold: bool = True,
) -> list[LockedRequest]:
    """Read ARQs and hold their rows until the end of the transaction, in the order of ids.

    With ``owner_of``, an instance, the same statement tells whose that instance is.

    :param hold: False only looks: what follows from it must be looked at once more.
    """
    wanted: dict[str, Any] = {}
    if uuids is not None:
        wanted["uuids"] = list(uuids)
    if instance_uuid is not None:
        wanted["instance_uuid"] = instance_uuid
    query = _reading(frozenset(wanted), with_owner=owner_of is not None, hold=hold)
    values = wanted if owner_of is None else {**wanted, "owner_of": owner_of}
    return [_locked(row) for row in connection.execute(query, values)]


# Every bind and delete begins with one of these, and making it anew takes longer than asking.
@cache
def _reading(wanted: frozenset[str], *, with_owner: bool, hold: bool) -> sa.Select[Any]:
    """Return the statement of :func:`lock_requests` for what has these values."""
    by_value = {
        "uuids": _arqs.c.uuid.in_(sa.bindparam("uuids", expanding=True)),
        "instance_uuid": _arqs.c.instance_uuid == sa.bindparam("instance_uuid"),
    }
    filters = [_arqs.c.state != ArqState.DELETING, *(by_value[name] for name in sorted(wanted))]
    owner = sa.select(instance_owners.c.project_id).where(
        instance_owners.c.instance_uuid == sa.bindparam("owner_of")
    )
    query = _READ.add_columns(
        (owner.scalar_subquery() if with_owner else sa.null()).label("instance_owner")
    ).where(*filters)
    if hold:
        query = locking_chosen(query, _arqs.c.id, filters).with_for_update(of=_arqs)
    return query.order_by(_arqs.c.id)


def lock_requests_by_id(connection: sa.Connection, ids: Collection[int]) -> list[LockedRequest]:
    """Read and hold ARQs by their ids, in that order, also those that are being deleted."""
    query = (
        _READ.add_columns(sa.null().label("instance_owner"))
        .where(_arqs.c.id.in_(ids))
        .order_by(_arqs.c.id)
        .with_for_update()
    )
    return [_locked(row) for row in connection.execute(query)]


def bind_requests(
    connection: sa.Connection,
    arqs: Collection[LockedRequest],
    target: ArqState,
    to: BoundTo,
    now: datetime.datetime,
) -> None:
    """Let ARQs be bound, or let their bind begin.

    :param target: ``BOUND`` or ``BIND_STARTED``.
    :raises Contention: if one changed since it was read, or may not go there.
    """
    _change_state(
        connection,
        arqs,
        target,
        now,
        hostname=to.hostname,
        instance_uuid=to.instance_uuid,
        device_rp_uuid=case_by(_arqs.c.id, to.providers),
        project_id=to.project_id,
        bound_by_service=to.by_service,
        bound_at=now if target is ArqState.BOUND else None,
        state_reason=None,
        suspicion=Suspicion.NONE,
        leftover_since=None,
    )


def finish_binds(
    connection: sa.Connection, arqs: Collection[LockedRequest], now: datetime.datetime
) -> None:
    """Let ARQs be bound whose handles are ready.

    :raises Contention: if one changed since it was read, or may not go there.
    """
    _change_state(connection, arqs, ArqState.BOUND, now, bound_at=now)


def fail_requests(
    connection: sa.Connection,
    arqs: Collection[LockedRequest],
    target: ArqState,
    reason: str | None,
    now: datetime.datetime,
) -> None:
    """Let a bind or an unbind of ARQs have failed, in plain words.

    :param target: ``BIND_FAILING``, ``BIND_FAILED`` or ``UNBIND_FAILED``.
    :raises Contention: if one changed since it was read, or may not go there.
    """
    _change_state(connection, arqs, target, now, state_reason=reason)


def note_readiness(
    connection: sa.Connection,
    arqs: Collection[LockedRequest],
    reason: str | None,
    now: datetime.datetime,
) -> None:
    """Let Bound ARQs say why their handles are not ready, or that they are.

    :raises Contention: if one changed since it was read, or is not Bound.
    """
    if arqs:
        _update(connection, arqs, {ArqState.BOUND}, state_reason=reason, updated_at=now)


def begin_unbind(connection: sa.Connection, arqs: Collection[LockedRequest]) -> None:
    """Let ARQs be unbound once their handles are released. What users see stays as it is.

    :raises Contention: if one changed since it was read, or cannot be unbound.
    """
    target = sa.case(
        *((_arqs.c.state == source, target) for source, target in UNBINDING_FROM.items())
    )
    _update(connection, arqs, UNBINDING_FROM, state=target)


def fail_unbind_unseen(
    connection: sa.Connection, arqs: Collection[LockedRequest], target: ArqState
) -> None:
    """Let an unbind have failed of ARQs that read as failed all the while: users see no change.

    :raises Contention: if one changed since it was read, or may not go there.
    """
    _update(connection, arqs, sources_of(target) & showing(target), state=target)


def unbind_requests(
    connection: sa.Connection, arqs: Collection[LockedRequest], now: datetime.datetime
) -> None:
    """Let ARQs be unbound: they forget what they were bound to.

    :raises Contention: if one changed since it was read, or may not go there.
    """
    _change_state(
        connection,
        arqs,
        ArqState.UNBOUND,
        now,
        hostname=None,
        device_rp_uuid=None,
        instance_uuid=None,
        bound_by_service=False,
        bound_at=None,
        state_reason=None,
        suspicion=Suspicion.NONE,
        leftover_since=None,
    )


def begin_delete(
    connection: sa.Connection, arqs: Collection[LockedRequest], now: datetime.datetime
) -> None:
    """Let ARQs be deleted once their handles are released.

    :raises Contention: if one changed since it was read, or may not go there.
    """
    _change_state(connection, arqs, ArqState.DELETING, now)


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


def _change_state(
    connection: sa.Connection,
    arqs: Collection[LockedRequest],
    target: ArqState,
    now: datetime.datetime,
    **values: Any,
) -> None:
    _update(connection, arqs, sources_of(target), state=target, updated_at=now, **values)


def _update(
    connection: sa.Connection,
    arqs: Collection[LockedRequest],
    sources: Collection[ArqState],
    **values: Any,
) -> None:
    """Change ARQs that are as they were read, and in one of these states. One statement."""
    # What the database makes of a row; every other value is a parameter.
    expressions = {n: each for n, each in values.items() if isinstance(each, sa.ColumnElement)}
    seen: dict[str, int] = {}
    for number, arq in enumerate(arqs):
        seen |= {f"seen_id_{number}": arq.id, f"seen_generation_{number}": arq.generation}
    change = _changing(len(arqs), frozenset(sources))
    result = connection.execute(
        change.values(**expressions) if expressions else change,
        {**seen, **{name: each for name, each in values.items() if name not in expressions}},
    )
    if result.rowcount != len(arqs):
        raise Contention


@lru_cache(maxsize=256)
def _changing(count: int, sources: frozenset[ArqState]) -> sa.Update:
    """Return the statement of :func:`_update`; columns that are not in it come as parameters."""
    unchanged = (
        sa.and_(
            _arqs.c.id == sa.bindparam(f"seen_id_{number}"),
            _arqs.c.generation == sa.bindparam(f"seen_generation_{number}"),
        )
        for number in range(count)
    )
    return (
        _arqs.update()
        .where(sa.or_(*unchanged), _arqs.c.state.in_(sorted(sources)))
        .values(**next_generation(_arqs))
    )


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
        suspicion=Suspicion(row.suspicion),
        generation=row.generation,
        instance_owner=row.instance_owner,
        now=row.now,
        shares_with=shared.providers if (shared := shared_with(row.sharing)) else (),
        is_counted_apart=bool(row.is_counted_apart),
    )
