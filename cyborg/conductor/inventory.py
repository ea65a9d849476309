"""What agents report: heartbeats, and whole snapshots of their hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oslo_log import log

from cyborg.conductor import providers
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import Unit, run
from cyborg.db import inventory, inventory_changes
from cyborg.domain.difference import Difference, difference
from cyborg.domain.errors import InvalidInput, ReportRefused
from cyborg.domain.inventory import snapshot_from_wire

LOG = log.getLogger(__name__)


def heartbeat(env: Environment, host: str, digest: str) -> bool:
    """Note that a host lives; return whether its last report had this digest.

    One statement. False asks for the whole report.
    """
    return run(env, lambda unit: inventory.touch_host(unit.connection, host, digest, unit.now))


def report(env: Environment, host: str, snapshot: Mapping[str, Any]) -> None:
    """Make the record of a host equal to its report, in one transaction.

    :param snapshot: as it crossed; what breaks the schema of reports is not made a record of.

    :raises InvalidInput: the host has no usable name.
    :raises ReportRefused: the report is absurd; nothing was changed.
    """
    if not isinstance(host, str) or not 1 <= len(host) <= 255:
        raise InvalidInput("A host's name has 1 to 255 characters.")
    found = snapshot_from_wire(snapshot)

    def work(unit: Unit) -> Difference:
        connection = unit.connection
        host_id = inventory.lock_host(connection, host, unit.now)
        changes = difference(inventory.recorded_devices(connection, host_id), found)
        if changes:
            touched = inventory_changes.apply(connection, host_id, changes, env.new_uuid, unit.now)
            for kind, uuids in touched.items():
                providers.mark(unit, dict.fromkeys(uuids, host), kind)
        digest = found.digest() if changes.settled else None
        inventory.record_digest(connection, host_id, digest, unit.now)
        return changes

    try:
        changes = run(env, work)
    except inventory_changes.NameTaken as error:
        raise ReportRefused(
            f"report of {host} refused: another host has a deployable of the same name"
        ) from error
    if changes:
        _log(host, changes)


def _log(host: str, changes: Difference) -> None:
    LOG.info(
        "inventory changed host=%s devices new=%d changed=%d absent=%d removed=%d "
        "deployables new=%d changed=%d removed=%d handles new=%d gone=%d",
        host,
        len(changes.new_devices),
        len(changes.changed_devices),
        len(changes.absent_devices),
        len(changes.removed_devices),
        len(changes.new_deployables),
        len(changes.changed_deployables),
        len(changes.removed_deployables),
        len(changes.new_handles),
        len(changes.vanished_handles) + len(changes.removed_handles),
    )
