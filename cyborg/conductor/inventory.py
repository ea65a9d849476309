"""What agents report: heartbeats, and whole snapshots of their hosts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from oslo_log import log

from cyborg.conductor import agents, providers, silence, unclean
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import Unit, run
from cyborg.db import hosts, inventory, inventory_changes
from cyborg.db.database import Connection
from cyborg.domain.agents import identity_of
from cyborg.domain.changes import Difference, Event
from cyborg.domain.difference import difference
from cyborg.domain.doubles import without_doubles
from cyborg.domain.errors import InvalidInput
from cyborg.domain.inventory import LeftOut, Snapshot, digest_of
from cyborg.domain.model import ProviderJobKind
from cyborg.domain.recorded import RecordedDevice
from cyborg.domain.report_check import CheckedReport, check_report
from cyborg.domain.text import is_plain

LOG = log.getLogger(__name__)

_LEVELS = {
    Event.MISSING: logging.WARNING,
    Event.FAILED: logging.ERROR,
    Event.DEGRADED: logging.WARNING,
    Event.REPLACED: logging.WARNING,
}


def heartbeat(
    env: Environment, host: str, digest: str, *, agent: Mapping[str, Any] | None = None
) -> bool:
    """Note that a host lives; return whether its last report had this digest.

    One statement. False asks for the whole report, and notes nothing: also where another
    machine's agent was heard last, and where a handle waits for being cleaned.

    :param agent: who it is, as it crossed; see :class:`cyborg.domain.agents.AgentIdentity`.
    :raises InvalidInput: that cannot be.
    """
    who = identity_of(agent)
    return run(env, lambda unit: hosts.touch_host(unit.connection, host, digest, who))


def report(
    env: Environment,
    host: str,
    snapshot: Mapping[str, Any],
    *,
    agent: Mapping[str, Any] | None = None,
) -> None:
    """Make the record of a host equal to its report as far as that goes, in one transaction.

    What cannot be recorded is left out, and said in the log; everything else is applied.

    :param snapshot: as it crossed.
    :param agent: who reports, as it crossed.
    :raises InvalidInput: the host has no usable name, or the agent says what it cannot be.
    :raises HostTaken: another machine's agent reports for this host.
    :raises ReportRefused: it is no report, or larger than any host's; nothing was changed.
    """
    if not isinstance(host, str) or not 1 <= len(host) <= 255 or not is_plain(host):
        raise InvalidInput("A host's name has 1 to 255 characters of one line.")
    checked = check_report(snapshot)
    digest = digest_of(snapshot)
    who = identity_of(agent)
    interval = who.interval if who is not None else float(env.conf.periodic_interval)

    def work(unit: Unit) -> tuple[Difference, list[LeftOut], Mapping[str, str]]:
        connection = unit.connection
        taken = agents.take_host(unit, host, who)
        host_id = taken.id
        recorded = inventory.recorded_devices(connection, host_id)
        sharing = inventory.recorded_sharing(connection, host_id)
        reported, left_out = _without_doubles(connection, host_id, recorded, checked)
        changes = difference(recorded, reported, taken.now, interval, sharing)
        written = inventory_changes.Written()
        if changes:
            written = inventory_changes.apply(
                connection,
                host_id,
                changes,
                sharing=sharing,
                new_uuid=env.new_uuid,
                now=unit.now,
            )
        unclean.write(unit, host, host_id, changes.waiting)
        if taken.was_away:
            agents.hurry(unit, host)
        touched = dict(written.touched)
        if shown := silence.end(unit, host, taken):
            of_inventory = touched.get(ProviderJobKind.INVENTORY, ())
            touched[ProviderJobKind.INVENTORY] = {*of_inventory, *shown}
        # All jobs in the order of their subjects, as everybody writes them.
        for kind, uuids in sorted(touched.items()):
            providers.mark(unit, dict.fromkeys(uuids, host), kind)
        settled = changes.settled and not left_out
        hosts.record_report(connection, host_id, digest if settled else None, who, unit.now)
        return changes, left_out, written.new_devices

    changes, left_out, new_devices = run(env, work)
    _log(host, changes, new_devices)
    for each in checked.left_out:
        LOG.warning("report of host=%s: %s", host, each)
    for each in left_out:
        LOG.error("report of host=%s: %s", host, each)


def _without_doubles(
    connection: Connection,
    host_id: int,
    recorded: list[RecordedDevice],
    checked: CheckedReport,
) -> tuple[Snapshot, list[LeftOut]]:
    """Return what of a report is this host's alone, each piece of hardware once, and the rest."""
    # Of two that report the same hardware, whoever has been given out keeps it.
    held = {
        handle.key: part.report.name
        for device in recorded
        for part in device.deployables
        for handle in part.handles
        if handle.is_owned or handle.is_busy
    }
    devices, left_out = without_doubles(checked.snapshot.devices, held)
    known = {part.report.name for device in recorded for part in device.deployables}
    new = {part.name for device in devices for part in device.deployables} - known
    others = inventory.hosts_of_names(connection, sorted(new), host_id) if new else {}
    kept = []
    for device in devices:
        taken = [part.name for part in device.deployables if part.name in others]
        left_out += [
            LeftOut(
                device.driver,
                device.identity,
                f"host {others[name]} has a deployable {name}: names are unique in the cloud",
                partly=True,
            )
            for name in taken
        ]
        parts = tuple(part for part in device.deployables if part.name not in taken)
        kept.append(replace(device, deployables=parts))
    return replace(checked.snapshot, devices=tuple(kept)), left_out


def _log(host: str, changes: Difference, new_devices: Mapping[str, str]) -> None:
    """Tell operators what a report has changed.

    :param new_devices: the uuids of devices by their identities.
    """
    for notice in changes.notices:
        level = _LEVELS.get(notice.event, logging.INFO)
        if notice.in_use and level == logging.WARNING:
            level = logging.ERROR
        LOG.log(
            level,
            "device %s device=%s name=%s host=%s in_use=%s%s",
            notice.event,
            notice.device_uuid or new_devices[notice.identity],
            notice.identity,
            host,
            notice.in_use,
            f": {notice.why}" if notice.why else "",
        )
    if changes:
        LOG.info(
            "inventory changed host=%s devices new=%d changed=%d absent=%d removed=%d "
            "deployables new=%d changed=%d moved=%d removed=%d handles new=%d changed=%d gone=%d",
            host,
            len(changes.new_devices),
            len(changes.changed_devices),
            len(changes.absent_devices),
            len(changes.removed_devices),
            len(changes.new_deployables),
            len(changes.changed_deployables),
            len(changes.moved_deployables),
            len(changes.removed_deployables),
            len(changes.new_handles),
            len(changes.changed_handles),
            len(changes.absent_handles) + len(changes.removed_handles),
        )
