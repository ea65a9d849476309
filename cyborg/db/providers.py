"""What is recorded of deployables, as far as Placement is concerned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

import sqlalchemy as sa

from cyborg.db.attach_handles import OF_CLASS, blocked_of
from cyborg.db.programming import SETTLED
from cyborg.db.sharing import shared_with
from cyborg.db.statements import any_of
from cyborg.db.tables import (
    accelerator_requests,
    attach_handles,
    attributes,
    deployables,
    devices,
    hosts,
)
from cyborg.domain.model import WITHHELD_IF, HandleCondition
from cyborg.domain.providers import TRAIT_KEY, RecordedProvider
from cyborg.domain.recorded import DIRTY
from cyborg.domain.states import RESERVED_IF

_arqs = accelerator_requests

_HANDLES = attach_handles.outerjoin(_arqs, attach_handles.c.accelerator_request_id == _arqs.c.id)

#: It is part of what a provider offers, or has offered to who has it.
_COUNTS = sa.and_(
    attach_handles.c.deployable_id == deployables.c.id,
    sa.or_(attach_handles.c.condition != HandleCondition.VANISHED, OF_CLASS),
)

_TOTAL = sa.select(sa.func.count()).select_from(_HANDLES).where(_COUNTS).scalar_subquery()

_UNAVAILABLE = (
    sa.select(sa.func.count())
    .select_from(_HANDLES)
    .where(
        _COUNTS,
        sa.or_(
            attach_handles.c.condition.in_(list(DIRTY)),
            any_of(_arqs, RESERVED_IF),
            # Its owner's allocation is of a class that the provider had before.
            sa.not_(OF_CLASS),
        ),
    )
    .scalar_subquery()
)

_PROVIDER = (
    sa.select(
        deployables.c.id,
        deployables.c.rp_uuid,
        deployables.c.name,
        deployables.c.resource_class,
        deployables.c.sharing,
        any_of(devices, WITHHELD_IF).label("withheld"),
        hosts.c.name.label("host"),
        hosts.c.withheld.label("host_withheld"),
        SETTLED.label("settled"),
        _TOTAL.label("total"),
        _UNAVAILABLE.label("unavailable"),
    )
    .join_from(deployables, devices)
    .join(hosts)
)


def recorded_providers(
    connection: sa.Connection, uuids: Collection[str]
) -> dict[str, RecordedProvider]:
    """Return the providers of these uuids that there should be.

    Two statements; two more if any of them shares hardware with another.
    """
    rows = connection.execute(_PROVIDER.where(deployables.c.rp_uuid.in_(uuids))).all()
    blocked = blocked_of(connection, {row.id: shared_with(row.sharing) for row in rows})
    traits: dict[int, set[str]] = defaultdict(set)
    if rows:
        query = sa.select(attributes.c.deployable_id, attributes.c.value).where(
            attributes.c.deployable_id.in_([row.id for row in rows]),
            attributes.c.key.startswith(TRAIT_KEY),
        )
        for pair in connection.execute(query):
            traits[pair.deployable_id].add(pair.value)
    return {
        row.rp_uuid: RecordedProvider(
            uuid=row.rp_uuid,
            name=row.name,
            host=row.host,
            resource_class=row.resource_class,
            total=row.total,
            unavailable=row.unavailable + blocked.get(row.id, 0),
            offered=bool(row.settled) and not row.withheld and row.host_withheld is None,
            traits=frozenset(traits[row.id]),
        )
        for row in rows
    }


def hosts_of_providers(
    connection: sa.Connection,
    *,
    uuids: Collection[str] | None = None,
    device_ids: Collection[int] | None = None,
    device_uuid: str | None = None,
    deployable_ids: Collection[int] | None = None,
    host_id: int | None = None,
) -> dict[str, str]:
    """Return provider uuid to host, of deployables that have any of the given values."""
    wanted: list[sa.ColumnElement[bool]] = []
    if uuids is not None:
        wanted.append(deployables.c.rp_uuid.in_(uuids))
    if device_ids is not None:
        wanted.append(deployables.c.device_id.in_(device_ids))
    if device_uuid is not None:
        wanted.append(devices.c.uuid == device_uuid)
    if deployable_ids is not None:
        wanted.append(deployables.c.id.in_(deployable_ids))
    if host_id is not None:
        wanted.append(devices.c.host_id == host_id)
    query = (
        sa.select(deployables.c.rp_uuid, hosts.c.name)
        .join_from(deployables, devices)
        .join(hosts)
        .where(sa.or_(sa.false(), *wanted))
    )
    return {row.rp_uuid: row.name for row in connection.execute(query)}


def provider_generations(
    connection: sa.Connection, host: str
) -> tuple[str | None, dict[str, int | None]]:
    """Return a host's own provider, as it was last known, and the generations of ours there."""
    root = connection.scalar(sa.select(hosts.c.resource_provider_uuid).where(hosts.c.name == host))
    query = (
        sa.select(deployables.c.rp_uuid, deployables.c.provider_generation)
        .join_from(deployables, devices)
        .join(hosts)
        .where(hosts.c.name == host)
    )
    return root, {row.rp_uuid: row.provider_generation for row in connection.execute(query)}


def host_names(connection: sa.Connection) -> list[str]:
    """Return the names of all hosts."""
    return list(connection.scalars(sa.select(hosts.c.name).order_by(hosts.c.id)))


def record_generation(connection: sa.Connection, uuid: str, generation: int) -> None:
    """Record that a provider was found to be as it should at this generation of Placement's."""
    connection.execute(
        deployables.update()
        .where(deployables.c.rp_uuid == uuid)
        .values(provider_generation=generation)
    )


def record_root(connection: sa.Connection, host: str, uuid: str) -> None:
    """Record the provider of a host's compute node."""
    connection.execute(
        hosts.update()
        .where(
            hosts.c.name == host,
            sa.or_(
                hosts.c.resource_provider_uuid.is_(None), hosts.c.resource_provider_uuid != uuid
            ),
        )
        .values(resource_provider_uuid=uuid)
    )
