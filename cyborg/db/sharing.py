"""Counters that more is offered of than there is: what claims lock, and what is left of them.

A claim of a deployable that shares such counters locks them, in one order, before it looks at
what is taken. A report changes them only while it holds every deployable that shares them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from cyborg.db.statements import any_of, locking_by
from cyborg.db.tables import attach_handles, consumptions, counters, deployables, devices
from cyborg.domain.hardware import Sharing, canonical
from cyborg.domain.model import UNSETTLED_IF
from cyborg.domain.recorded import DIRTY

_handles = attach_handles

#: It occupies what it consumes: somebody has it, it must be cleaned before anybody has, or
#: its deployable is being programmed or holds nobody knows what.
_OCCUPIES = sa.or_(
    _handles.c.accelerator_request_id.is_not(None),
    _handles.c.condition.in_(list(DIRTY)),
    any_of(deployables, UNSETTLED_IF),
)


@dataclass(frozen=True, slots=True)
class SharedWith:
    """What else is concerned when a handle of a deployable is taken."""

    #: Ids of counters, in the order in which they are locked.
    counters: tuple[int, ...]
    #: Uuids of the providers that offer the same hardware in any shape, its own included.
    providers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of counters, and what each free handle would take of it."""

    #: Counter to what nobody has of it.
    left: Mapping[int, int] = field(default_factory=dict)
    #: Id of a handle to its amounts, by counter.
    amounts: Mapping[int, Mapping[int, int]] = field(default_factory=dict)


def shared_with(stored: str | None) -> SharedWith | None:
    """Return what a deployable's row says of sharing; None where nothing can be exceeded."""
    if stored is None:
        return None
    plain = json.loads(stored)
    return SharedWith(tuple(plain["counters"]), tuple(plain["providers"]))


def lock_counters(connection: sa.Connection, ids: Collection[int]) -> None:
    """Hold counters until the transaction ends: claims of what shares them wait."""
    query = sa.select(counters.c.id).where(counters.c.id.in_(ids)).with_for_update()
    connection.execute(locking_by(query, counters.c.id)).all()


def room(connection: sa.Connection, ids: Collection[int]) -> Room:
    """Return what is left of counters. One statement."""
    left: dict[int, int] = {}
    amounts: dict[int, dict[int, int]] = defaultdict(dict)
    query = (
        sa.select(
            counters.c.id,
            counters.c.capacity,
            consumptions.c.attach_handle_id,
            consumptions.c.amount,
            sa.case((_OCCUPIES, 1), else_=0).label("occupies"),
        )
        .join_from(counters, consumptions)
        .join(_handles)
        .join(deployables, deployables.c.id == _handles.c.deployable_id)
        .where(counters.c.id.in_(ids))
    )
    for row in connection.execute(query):
        left.setdefault(row.id, row.capacity)
        if row.occupies:
            left[row.id] -= row.amount
        amounts[row.attach_handle_id][row.id] = row.amount
    return Room(left, dict(amounts))


def beside_owned(connection: sa.Connection, handle_ids: Collection[int]) -> frozenset[int]:
    """Return which of these handles, that nobody has, are nothing of what somebody has: they
    would fit beside all that is owned. One statement."""
    others = _handles.alias()
    amounts = consumptions.alias()
    owned = (
        sa.select(sa.func.coalesce(sa.func.sum(amounts.c.amount), 0))
        .join_from(amounts, others, amounts.c.attach_handle_id == others.c.id)
        .where(
            amounts.c.counter_id == consumptions.c.counter_id,
            others.c.accelerator_request_id.is_not(None),
        )
        .correlate(consumptions)
        .scalar_subquery()
    )
    query = (
        sa.select(consumptions.c.attach_handle_id)
        .join_from(consumptions, counters)
        .where(
            consumptions.c.attach_handle_id.in_(handle_ids),
            consumptions.c.amount + owned > counters.c.capacity,
        )
    )
    return frozenset(handle_ids) - set(connection.scalars(query))


def providers_sharing(connection: sa.Connection, rp_uuids: Collection[str]) -> frozenset[str]:
    """Return the providers that offer any shape of what these do. One statement."""
    query = sa.select(deployables.c.sharing).where(
        deployables.c.rp_uuid.in_(rp_uuids), deployables.c.sharing.is_not(None)
    )
    found = [shared_with(stored) for stored in connection.scalars(query)]
    return frozenset(uuid for each in found if each for uuid in each.providers)


def deployables_sharing(
    connection: sa.Connection, host_id: int, keys: Collection[str]
) -> frozenset[int]:
    """Return the deployables of a host that have any of this hardware."""
    rows = connection.execute(
        sa.select(_handles.c.hardware, _handles.c.deployable_id).where(
            _handles.c.host_id == host_id
        )
    )
    return frozenset(row.deployable_id for row in rows if row.hardware in keys)


def write_sharing(connection: sa.Connection, host_id: int, sharing: Sharing) -> None:
    """Make the record of what the handles of a host contend for equal to this.

    The caller holds all deployables that share, or shared, anything. What stays is not written
    anew, and what is new comes before what goes: MariaDB locks the neighbours of a key that is
    written again, and the gaps around what is removed, and these are other hosts'.
    """
    rows = _rows(connection, host_id, sharing)
    ids = _write_counters(connection, host_id, sharing.capacities)
    wanted = {
        (row.id, ids[name]): amount
        for row in rows
        for name, amount in sharing.amounts[row.hardware].items()
    }
    _write_consumptions(connection, wanted, list(ids.values()))
    _write_shared_with(connection, rows, sharing, ids)
    _forget(connection, host_id, ids.values(), {row.deployable_id for row in rows})


def _rows(connection: sa.Connection, host_id: int, sharing: Sharing) -> list[sa.Row[Any]]:
    query = (
        sa.select(
            _handles.c.id,
            _handles.c.hardware,
            _handles.c.deployable_id,
            deployables.c.rp_uuid,
            deployables.c.sharing,
        )
        .join_from(_handles, deployables)
        .where(_handles.c.host_id == host_id)
        .order_by(_handles.c.id)
    )
    return [row for row in connection.execute(query) if row.hardware in sharing.amounts]


def _write_counters(
    connection: sa.Connection, host_id: int, capacities: Mapping[str, int]
) -> Mapping[str, int]:
    """Write the counters that there are now; return their ids by name."""
    query = sa.select(counters).where(counters.c.host_id == host_id)
    known = {row.name: row for row in connection.execute(query)}
    for name, capacity in capacities.items():
        if name in known and known[name].capacity != capacity:
            connection.execute(
                counters.update().where(counters.c.id == known[name].id).values(capacity=capacity)
            )
    new = sorted(capacities.keys() - known.keys())
    if new:
        connection.execute(
            counters.insert(),
            [{"host_id": host_id, "name": name, "capacity": capacities[name]} for name in new],
        )
        known = {row.name: row for row in connection.execute(query)}
    return {name: known[name].id for name in capacities}


def _write_consumptions(
    connection: sa.Connection, wanted: Mapping[tuple[int, int], int], ids: Collection[int]
) -> None:
    """Write what handles take of counters, by the ids of both."""
    table = consumptions.c
    query = sa.select(consumptions).where(table.counter_id.in_(ids))
    known = {
        (row.attach_handle_id, row.counter_id): row.amount for row in connection.execute(query)
    }
    new = sorted(wanted.keys() - known.keys())
    if new:
        names = ("attach_handle_id", "counter_id")
        connection.execute(
            consumptions.insert(),
            [{**dict(zip(names, pair, strict=True)), "amount": wanted[pair]} for pair in new],
        )
    for pair, amount in known.items():
        which = sa.and_(table.attach_handle_id == pair[0], table.counter_id == pair[1])
        if pair not in wanted:
            connection.execute(consumptions.delete().where(which))
        elif wanted[pair] != amount:
            connection.execute(consumptions.update().where(which).values(amount=wanted[pair]))


def _write_shared_with(
    connection: sa.Connection,
    rows: Iterable[sa.Row[Any]],
    sharing: Sharing,
    ids: Mapping[str, int],
) -> None:
    providers: dict[str, set[str]] = defaultdict(set)
    names: dict[int, set[str]] = defaultdict(set)
    known: dict[int, str | None] = {}
    for row in rows:
        known[row.deployable_id] = row.sharing
        for name in sharing.amounts[row.hardware]:
            providers[name].add(row.rp_uuid)
            names[row.deployable_id].add(name)
    for deployable_id, of_deployable in names.items():
        concerned = set().union(*(providers[name] for name in of_deployable))
        plain = {
            "counters": sorted(ids[name] for name in of_deployable),
            "providers": sorted(concerned),
        }
        if canonical(plain) != known[deployable_id]:
            _share(connection, [deployable_id], canonical(plain))


def _forget(
    connection: sa.Connection, host_id: int, kept: Collection[int], shared: Collection[int]
) -> None:
    """Remove what is not contended for any more."""
    of_host = (
        sa.select(deployables.c.id)
        .join_from(deployables, devices)
        .where(
            devices.c.host_id == host_id,
            deployables.c.sharing.is_not(None),
            deployables.c.id.not_in(shared),
        )
    )
    _share(connection, list(connection.scalars(of_host)), None)
    gone = sa.select(counters.c.id).where(counters.c.host_id == host_id, counters.c.id.not_in(kept))
    ids = list(connection.scalars(gone))
    if ids:
        connection.execute(counters.delete().where(counters.c.id.in_(ids)))


def _share(connection: sa.Connection, ids: Collection[int], sharing: str | None) -> None:
    if ids:
        connection.execute(
            deployables.update().where(deployables.c.id.in_(ids)).values(sharing=sharing)
        )
