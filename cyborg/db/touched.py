"""What a report touches: it is locked first, and told to Placement at the end."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from cyborg.db.sharing import deployables_sharing
from cyborg.db.statements import locking_by
from cyborg.db.tables import attach_handles, deployables, devices
from cyborg.domain.changes import Difference
from cyborg.domain.clock import provider_uuid
from cyborg.domain.hardware import Sharing
from cyborg.domain.model import ProviderJobKind

#: Id of a deployable to its provider's uuid and its device's id.
Touched = Mapping[int, tuple[str, int]]


def lock_touched(
    connection: sa.Connection, host_id: int, changes: Difference, sharing: Sharing
) -> Touched:
    """Hold the deployables and devices that a difference changes, in the order of claims.

    :param sharing: what the counters of the host were before.
    """
    ids = {id_ for id_, _ in changes.changed_deployables}
    ids |= {id_ for id_, _ in changes.absent_deployables}
    ids |= set(changes.removed_deployables)
    ids |= {move.id for move in changes.moved_deployables}
    ids |= {row for row, _ in changes.words if isinstance(row, int)}
    ids |= {row for row, *_ in changes.new_handles if isinstance(row, int)}
    ids |= _deployables_of_handles(connection, changes)
    of_devices = {id_ for id_, _ in changes.changed_devices}
    of_devices |= {id_ for id_, *_ in changes.absent_devices}
    of_devices |= set(changes.removed_devices)
    of_devices |= {row for row, _ in changes.memories if isinstance(row, int)}
    ids |= deployables_of(connection, of_devices)
    if changes.sharing is not None:
        keys = {*sharing.amounts, *changes.sharing.amounts}
        ids |= deployables_sharing(connection, host_id, keys)
    found = _lock_deployables(connection, ids) if ids else {}
    if of_devices:
        query = sa.select(devices.c.id).where(devices.c.id.in_(of_devices)).with_for_update()
        connection.execute(locking_by(query, devices.c.id)).all()
    return found


def _lock_deployables(connection: sa.Connection, ids: Collection[int]) -> Touched:
    """Hold deployables in the order in which claims do, which know them by their providers."""
    of_ids = sa.select(deployables.c.rp_uuid).where(deployables.c.id.in_(ids))
    rp_uuids = list(connection.scalars(of_ids))
    query = (
        sa.select(deployables.c.id, deployables.c.rp_uuid, deployables.c.device_id)
        .where(deployables.c.rp_uuid.in_(rp_uuids))
        .with_for_update()
    )
    rows = connection.execute(locking_by(query, deployables.c.rp_uuid)).all()
    return {row.id: (row.rp_uuid, row.device_id) for row in rows}


def deployables_of(connection: sa.Connection, device_ids: Collection[int]) -> set[int]:
    """Return the deployables of devices."""
    if not device_ids:
        return set()
    query = sa.select(deployables.c.id).where(deployables.c.device_id.in_(device_ids))
    return set(connection.scalars(query))


def _deployables_of_handles(connection: sa.Connection, changes: Difference) -> set[int]:
    ids = [change.id for change in changes.changed_handles]
    ids += [absent.id for absent in changes.absent_handles]
    ids += [*changes.removed_handles, *changes.left_handles]
    if not ids:
        return set()
    query = sa.select(attach_handles.c.deployable_id).where(attach_handles.c.id.in_(ids))
    return set(connection.scalars(query))


def providers_touched(changes: Difference, touched: Touched) -> dict[ProviderJobKind, set[str]]:
    """Return the providers (by uuid) that Placement must hear of, by what of them."""
    removed = set(changes.removed_deployables)
    devices_gone = set(changes.removed_devices)
    moved = {move.id for move in changes.moved_deployables}
    traits = {id_ for id_, _ in changes.changed_deployables} | moved
    traits |= {row for row, _ in changes.words if isinstance(row, int)}
    result: dict[ProviderJobKind, set[str]] = {
        ProviderJobKind.PROVIDER: {provider_uuid(part.name) for _, part in changes.new_deployables},
        ProviderJobKind.INVENTORY: set(),
        ProviderJobKind.TRAITS: set(),
    }
    for id_, (rp_uuid, device_id) in touched.items():
        if id_ in removed or (device_id in devices_gone and id_ not in moved):
            result[ProviderJobKind.PROVIDER].add(rp_uuid)
            continue
        result[ProviderJobKind.INVENTORY].add(rp_uuid)
        if id_ in traits:
            result[ProviderJobKind.TRAITS].add(rp_uuid)
    return result
