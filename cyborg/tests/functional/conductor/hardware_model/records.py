"""What the conductor says: offers, owners, work under way. Read with statements of its own."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cyborg.conductor.environment import Environment
from cyborg.db.database import Connection
from cyborg.db.providers import recorded_providers
from cyborg.db.tables import (
    accelerator_requests,
    attach_handles,
    deployables,
    devices,
    hosts,
    jobs,
)
from cyborg.domain.model import HandleCondition, JobKind, Withheld
from cyborg.domain.providers import desired_inventories
from cyborg.domain.states import AT_WORK, BINDABLE, ArqState
from cyborg.tests.functional.conductor.hardware_model.cards import located
from cyborg.tests.functional.conductor.hardware_model.world import Holding

_arqs = accelerator_requests

_HANDLES = (
    sa.select(
        attach_handles.c.id,
        attach_handles.c.attach_type,
        attach_handles.c.attach_info,
        attach_handles.c.condition,
        deployables.c.rp_uuid,
        deployables.c.resource_class,
        deployables.c.sharing,
        devices.c.status,
        devices.c.presence,
        devices.c.condition.label("device_condition"),
        hosts.c.name.label("host"),
        _arqs.c.uuid,
        _arqs.c.state,
    )
    .select_from(
        attach_handles.join(deployables)
        .join(devices)
        .join(hosts)
        .outerjoin(_arqs, attach_handles.c.accelerator_request_id == _arqs.c.id)
    )
    .order_by(attach_handles.c.id)
)

_BUSY = (
    sa.select(deployables.c.device_id)
    .select_from(
        attach_handles.join(deployables)
        .outerjoin(_arqs, attach_handles.c.accelerator_request_id == _arqs.c.id)
        .outerjoin(jobs, jobs.c.attach_handle_id == attach_handles.c.id)
    )
    .where(sa.or_(_arqs.c.state.in_(list(AT_WORK)), jobs.c.id.is_not(None)))
)


@dataclass(frozen=True, slots=True)
class Offer:
    """What Placement would give away of a provider."""

    uuid: str
    name: str
    host: str
    resource_class: str
    units: int


@dataclass(frozen=True, slots=True)
class Place:
    """What is recorded of the card at an address: as long as it is the same, nothing that can be
    had there has changed."""

    place: tuple[str, str]
    rows: tuple[sa.Row[Any], ...]


def holdings(connection: Connection) -> list[Holding]:
    """Return what requests hold."""
    return holdings_of(connection.execute(_HANDLES))


def holdings_of(rows: Iterable[sa.Row[Any]]) -> list[Holding]:
    """Return what requests hold of these handles."""
    return [_holding(row) for row in rows if row.uuid is not None]


def places(rows: Iterable[sa.Row[Any]]) -> dict[str, tuple[Place, ...]]:
    """Return, by provider, where its handles are."""
    by_place: dict[tuple[str, str], list[sa.Row[Any]]] = {}
    by_provider: dict[str, set[tuple[str, str]]] = {}
    for row in rows:
        address, _ = located(row.attach_type, json.loads(row.attach_info))
        by_place.setdefault((row.host, address), []).append(row)
        by_provider.setdefault(row.rp_uuid, set()).add((row.host, address))
    found = {place: Place(place, tuple(there)) for place, there in by_place.items()}
    return {
        uuid: tuple(found[place] for place in sorted(of_it)) for uuid, of_it in by_provider.items()
    }


def handles(env: Environment) -> list[sa.Row[Any]]:
    """Return all handles, each with its device and its owner."""
    return rows(env, _HANDLES)


def offers(env: Environment, allocated: Mapping[str, int]) -> list[Offer]:
    """Return what is offered.

    :param allocated: by provider, what Nova has allocated.
    """
    with env.database.reader() as connection:
        uuids = list(connection.scalars(sa.select(deployables.c.rp_uuid)))
        found = recorded_providers(connection, uuids)
    result = []
    for uuid, provider in found.items():
        for resource_class, inventory in desired_inventories(provider).items():
            units = int(inventory["total"] - inventory["reserved"]) - allocated.get(uuid, 0)
            if units > 0:
                offer = Offer(uuid, provider.name, provider.host, resource_class, units)
                result.append(offer)
    return sorted(result, key=lambda offer: offer.name)


def busy_addresses(env: Environment, host: str) -> set[str]:
    """Return the addresses of all that belongs to devices on which agents are at work."""
    query = (
        sa.select(attach_handles.c.attach_type, attach_handles.c.attach_info)
        .join_from(attach_handles, deployables)
        .join(hosts, attach_handles.c.host_id == hosts.c.id)
        .where(hosts.c.name == host, deployables.c.device_id.in_(_BUSY))
    )
    with env.database.reader() as connection:
        return {
            located(row.attach_type, json.loads(row.attach_info))[0]
            for row in connection.execute(query)
        }


def rows(env: Environment, query: sa.Select[Any]) -> list[sa.Row[Any]]:
    """Return what a query finds."""
    with env.database.reader() as connection:
        return list(connection.execute(query))


def held(env: Environment) -> list[Holding]:
    """Return what requests hold."""
    with env.database.reader() as connection:
        return holdings(connection)


def holding(env: Environment, request: str) -> Holding:
    """Return what a request holds."""
    [found] = [each for each in held(env) if each.request == request]
    return found


def holding_requests(env: Environment) -> set[str]:
    """Return the requests that hold anything."""
    return {each.request for each in held(env)}


def bound(env: Environment) -> list[Holding]:
    """Return what servers have."""
    return [_holding(row) for row in handles(env) if row.state == ArqState.BOUND]


def requests(env: Environment) -> set[str]:
    """Return the requests that are there, also those that are being deleted."""
    return {row.uuid for row in rows(env, sa.select(_arqs.c.uuid))}


def bindable(env: Environment, uuids: Collection[str]) -> list[str]:
    """Return which of these requests can be bound."""
    query = sa.select(_arqs.c.uuid).where(_arqs.c.uuid.in_(uuids), _arqs.c.state.in_(BINDABLE))
    return [row.uuid for row in rows(env, query.order_by(_arqs.c.id))]


def jobs_under_way(env: Environment) -> list[sa.Row[Any]]:
    """Return agents' jobs, with the ARQ of each."""
    query = sa.select(jobs, _arqs.c.uuid.label("request")).join_from(jobs, _arqs, isouter=True)
    return rows(env, query.where(jobs.c.kind.in_(list(JobKind))).order_by(jobs.c.id))


def devices_of(env: Environment) -> list[sa.Row[Any]]:
    """Return what is recorded of devices."""
    query = sa.select(devices, hosts.c.name.label("host")).join_from(devices, hosts)
    return rows(env, query.order_by(devices.c.id))


def providers(env: Environment) -> list[sa.Row[Any]]:
    """Return what is recorded of deployables."""
    query = sa.select(deployables, devices.c.presence, hosts.c.name.label("host"))
    return rows(env, query.join_from(deployables, devices).join(hosts).order_by(deployables.c.name))


def restored(env: Environment) -> list[str]:
    """Return the hosts that nothing is prepared on any more, and that have not reported since."""
    busy = {row.host for row in jobs_under_way(env)}
    query = sa.select(hosts.c.name).where(hosts.c.withheld == Withheld.RESTORING)
    return [row.name for row in rows(env, query) if row.name not in busy]


def quarantined(env: Environment) -> list[sa.Row[Any]]:
    """Return handles that nobody gets until an operator has looked at them."""
    query = sa.select(attach_handles, hosts.c.name.label("host"))
    query = query.join_from(attach_handles, hosts, attach_handles.c.host_id == hosts.c.id)
    return rows(env, query.where(attach_handles.c.condition == HandleCondition.QUARANTINED))


def _holding(row: sa.Row[Any]) -> Holding:
    return Holding(row.uuid, row.host, row.attach_type, json.loads(row.attach_info))
