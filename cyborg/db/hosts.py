"""Hosts: that their agents were heard, and which of them is believed.

When an agent was heard is the database's time (:class:`cyborg.db.types.database_now`): how long
ago that is decides whether another agent is believed, whichever conductor is asked.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from oslo_db import exception as db_exception

from cyborg.db.database import Contention
from cyborg.db.statements import next_generation
from cyborg.db.tables import attach_handles, deployables, devices, hosts
from cyborg.db.types import database_now
from cyborg.db.unclean import CAN_BE_CLEANED
from cyborg.domain.agents import INTERVALS, AgentIdentity, HeardAgent
from cyborg.domain.model import Withheld

#: Something is there that can be cleaned, which begins with a report. What is away, or does not
#: work, is waited for: the report changes when that ends.
_HAS_UNCLEAN = (
    sa.exists()
    .select_from(attach_handles.join(deployables).join(devices))
    .where(attach_handles.c.host_id == hosts.c.id, CAN_BE_CLEANED)
)


@dataclass(frozen=True, slots=True)
class LockedHost:
    """A host that is held until the transaction ends."""

    id: int
    heard: HeardAgent
    #: The database's present.
    now: datetime.datetime
    #: Why nothing of it is offered; None: it is.
    withheld: Withheld | None


@dataclass(frozen=True, slots=True)
class SeenHost:
    """When a host was heard last."""

    name: str
    heard: HeardAgent


def touch_host(
    connection: sa.Connection, name: str, digest: str, agent: AgentIdentity | None
) -> bool:
    """Note that a host lives. One statement.

    Returns whether that is all that it has to say: this digest is the one that is recorded,
    the agent's boot too, nothing there can be cleaned, the host is offered and was heard lately.
    Else nothing is noted.
    """
    wanted = [
        hosts.c.name == name,
        hosts.c.report_digest == digest,
        ~_HAS_UNCLEAN,
        hosts.c.withheld.is_(None),
    ]
    if agent is not None:
        wanted.append(hosts.c.boot_id == agent.boot_id)
        wanted.append(hosts.c.last_seen_at > database_now(-INTERVALS * agent.interval))
    interval = {} if agent is None else {"report_interval": agent.interval}
    result = connection.execute(
        hosts.update().where(*wanted).values(last_seen_at=database_now(), **interval)
    )
    return result.rowcount == 1


def lock_host(connection: sa.Connection, name: str) -> LockedHost | None:
    """Hold a host, None if it is not known; two reports of one host wait for each other."""
    query = sa.select(
        hosts.c.id,
        hosts.c.boot_id,
        hosts.c.report_interval,
        hosts.c.last_seen_at,
        hosts.c.withheld,
        database_now().label("now"),
    )
    row = connection.execute(query.where(hosts.c.name == name).with_for_update()).first()
    if row is None:
        return None
    withheld = None if row.withheld is None else Withheld(row.withheld)
    return LockedHost(row.id, _heard(row), row.now, withheld)


def seen_hosts(connection: sa.Connection) -> list[SeenHost]:
    """Return all hosts of which something may be offered, and when they were heard."""
    query = sa.select(
        hosts.c.name,
        hosts.c.boot_id,
        hosts.c.report_interval,
        hosts.c.last_seen_at,
        database_now().label("now"),
    ).where(sa.func.coalesce(hosts.c.withheld, "") != Withheld.SILENT)
    rows = connection.execute(query.order_by(hosts.c.id))
    return [SeenHost(row.name, _heard(row)) for row in rows]


def _heard(row: sa.Row[Any]) -> HeardAgent:
    silence = (row.now - row.last_seen_at).total_seconds()
    return HeardAgent(row.boot_id, row.report_interval, silence)


def withhold(connection: sa.Connection, host_id: int, why: Withheld | None) -> None:
    """Offer nothing of a host, or offer it again."""
    connection.execute(hosts.update().where(hosts.c.id == host_id).values(withheld=why))


def record_boot(
    connection: sa.Connection, host_id: int, agent: AgentIdentity, now: datetime.datetime
) -> None:
    """Record that a host's machine was booted, whose agent was heard just now."""
    connection.execute(
        hosts.update()
        .where(hosts.c.id == host_id)
        .values(
            boot_id=agent.boot_id,
            report_interval=agent.interval,
            last_seen_at=database_now(),
            # What it reports then is applied, whatever was reported before.
            report_digest=None,
            updated_at=now,
            **next_generation(hosts),
        )
    )


def insert_host(connection: sa.Connection, name: str, now: datetime.datetime) -> int:
    """Store a host that was not known, and return its id.

    :raises Contention: it is known now.
    """
    try:
        inserted = connection.execute(
            hosts.insert().values(name=name, last_seen_at=database_now(), created_at=now)
        ).inserted_primary_key
    except db_exception.DBDuplicateEntry as error:
        raise Contention from error
    assert inserted is not None
    return int(inserted[0])


def record_report(
    connection: sa.Connection,
    host_id: int,
    digest: str | None,
    agent: AgentIdentity | None,
    now: datetime.datetime,
) -> None:
    """Record a report as applied, and whose it was.

    :param digest: None: the host will be asked for it again.
    """
    heard: dict[str, Any] = {
        "last_seen_at": database_now(),
        "boot_id": agent and agent.boot_id,
        "report_interval": agent and agent.interval,
    }
    connection.execute(
        hosts.update()
        .where(hosts.c.id == host_id)
        .values(report_digest=digest, updated_at=now, **heard, **next_generation(hosts))
    )


def want_report_about(connection: sa.Connection, device_uuid: str) -> None:
    """Let the host of a device report in full, even if nothing changes there."""
    host = sa.select(devices.c.host_id).where(devices.c.uuid == device_uuid).scalar_subquery()
    connection.execute(hosts.update().where(hosts.c.id == host).values(report_digest=None))
