"""What an audit reads."""

from __future__ import annotations

import datetime
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from cyborg.db.job_rows import found
from cyborg.db.statements import MARIADB
from cyborg.db.tables import (
    accelerator_requests,
    attach_handles,
    consumptions,
    counters,
    deployables,
    devices,
    hosts,
    jobs,
    outbox,
)
from cyborg.db.types import UtcDateTime, database_now
from cyborg.db.unclean import CAN_BE_CLEANED
from cyborg.domain.facts import (
    CounterFact,
    DeployableFact,
    DeviceFact,
    EventFact,
    Facts,
    HandleFact,
    HostFact,
    JobFact,
    RequestFact,
)
from cyborg.domain.hardware import Share
from cyborg.domain.model import ProviderJobKind

_handles = attach_handles

_CARD_HOSTS = hosts.alias("card_hosts")

_HANDLES = (
    sa.select(
        _handles.c.id,
        _handles.c.uuid,
        _handles.c.hardware,
        _handles.c.shares,
        _handles.c.condition,
        _handles.c.accelerator_request_id,
        _handles.c.generation,
        sa.func.coalesce(_handles.c.updated_at, _handles.c.created_at, type_=UtcDateTime).label(
            "changed_at"
        ),
        deployables.c.rp_uuid,
        devices.c.uuid.label("device_uuid"),
        hosts.c.name.label("host"),
        _CARD_HOSTS.c.name.label("device_host"),
        sa.case((CAN_BE_CLEANED, 1), else_=0).label("can_be_cleaned"),
    )
    .select_from(
        _handles.join(deployables, deployables.c.id == _handles.c.deployable_id)
        .join(devices, devices.c.id == deployables.c.device_id)
        .join(hosts, hosts.c.id == _handles.c.host_id)
        .join(_CARD_HOSTS, _CARD_HOSTS.c.id == devices.c.host_id)
    )
    .order_by(_handles.c.id)
)


def hold_still(connection: sa.Connection) -> None:
    """Let all that a connection reads until it is closed be of one moment.

    To be called first. In a file of SQLite it is so by itself.
    """
    if connection.dialect.name in (*MARIADB, "postgresql"):
        # Of the transaction that begins now: the next one is as always.
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


def read_facts(connection: sa.Connection) -> Facts:
    """Return all that the database says. Nine statements, whatever it holds."""
    now = connection.scalars(sa.select(database_now())).one()
    return Facts(
        requests={each.id: each for each in _requests(connection, now)},
        handles={row.id: _handle(row, now) for row in connection.execute(_HANDLES)},
        devices=tuple(_devices(connection)),
        deployables={each.uuid: each for each in _deployables(connection)},
        jobs=tuple(_jobs(connection, now)),
        events=tuple(_event(row, now) for row in _rows(connection, outbox)),
        hosts={row.name: _host(row, now) for row in _rows(connection, hosts)},
        counters=tuple(_counters(connection)),
    )


@dataclass(frozen=True, slots=True)
class ProviderWork:
    """What is under way about a provider."""

    is_there: bool
    #: How often in a row one of it was tried in vain, and how it ended last.
    failures: int = 0
    last_error: str | None = None


NO_JOB = ProviderWork(is_there=False)


def provider_jobs(connection: sa.Connection) -> dict[str, ProviderWork]:
    """Return what is under way, by the provider's uuid. One statement."""
    query = sa.select(jobs).where(jobs.c.kind.in_(list(ProviderJobKind))).order_by(jobs.c.failures)
    return {
        row.subject.partition("/")[2]: ProviderWork(
            True, row.failures, row.last_error if row.failures else None
        )
        for row in connection.execute(query)
    }


def _rows(connection: sa.Connection, table: sa.Table) -> sa.CursorResult[Any]:
    return connection.execute(sa.select(table).order_by(table.c.id))


def _requests(connection: sa.Connection, now: datetime.datetime) -> list[RequestFact]:
    return [
        RequestFact(
            id=row.id,
            uuid=row.uuid,
            state=row.state,
            hostname=row.hostname,
            device_rp_uuid=row.device_rp_uuid,
            instance_uuid=row.instance_uuid,
            bound_by_service=row.bound_by_service,
            bound_for=_since(row.bound_at, now),
            generation=row.generation,
        )
        for row in _rows(connection, accelerator_requests)
    ]


def _handle(row: sa.Row[Any], now: datetime.datetime) -> HandleFact:
    return HandleFact(
        id=row.id,
        uuid=row.uuid,
        host=row.host,
        device_host=row.device_host,
        rp_uuid=row.rp_uuid,
        device_uuid=row.device_uuid,
        hardware=row.hardware,
        shares=tuple(Share(**share) for share in json.loads(row.shares)),
        condition=row.condition,
        owner=row.accelerator_request_id,
        can_be_cleaned=bool(row.can_be_cleaned),
        unchanged_for=(now - row.changed_at).total_seconds(),
        generation=row.generation,
    )


def _devices(connection: sa.Connection) -> list[DeviceFact]:
    query = sa.select(devices, hosts.c.name.label("host")).join_from(devices, hosts)
    return [
        DeviceFact(row.uuid, row.host, row.status, row.presence, row.condition, row.generation)
        for row in connection.execute(query.order_by(devices.c.id))
    ]


def _deployables(connection: sa.Connection) -> list[DeployableFact]:
    query = (
        sa.select(deployables, hosts.c.name.label("host"))
        .join_from(deployables, devices)
        .join(hosts)
        .order_by(deployables.c.id)
    )
    return [
        DeployableFact(
            uuid=row.uuid,
            name=row.name,
            rp_uuid=row.rp_uuid,
            host=row.host,
            programming_state=row.programming_state,
            programming_job=row.programming_job,
            content_unknown=row.content_unknown,
            bitstream_id=row.bitstream_id,
            generation=row.generation,
        )
        for row in connection.execute(query)
    ]


def _jobs(connection: sa.Connection, now: datetime.datetime) -> list[JobFact]:
    rows = _rows(connection, jobs).all()
    # The conductors' own have nothing to be read.
    of_agents = [row for row in rows if row.kind not in set(ProviderJobKind)]
    unreadable = {each.uuid: each.why for each in found(of_agents).unreadable}
    return [_job(row, now, unreadable.get(row.uuid)) for row in rows]


def _job(row: sa.Row[Any], now: datetime.datetime, unreadable: str | None) -> JobFact:
    return JobFact(
        id=row.id,
        uuid=row.uuid,
        kind=row.kind,
        subject=row.subject,
        host=row.host,
        request=row.accelerator_request_id,
        handle=row.attach_handle_id,
        generation=row.generation,
        failures=row.failures,
        last_error=row.last_error,
        due_for=(now - row.leased_until).total_seconds(),
        late_for=_since(row.deadline, now),
        unreadable=unreadable,
    )


def _event(row: sa.Row[Any], now: datetime.datetime) -> EventFact:
    return EventFact(
        id=row.id,
        batch=row.batch,
        request=row.accelerator_request_id,
        request_uuid=row.accelerator_request_uuid,
        instance_uuid=row.instance_uuid,
        status=row.status,
        state=row.state,
        attempt=row.attempt,
        age=(now - row.created_at).total_seconds(),
        due_for=(now - row.leased_until).total_seconds(),
        late_for=_since(row.deadline, now),
    )


def _host(row: sa.Row[Any], now: datetime.datetime) -> HostFact:
    return HostFact(
        id=row.id,
        name=row.name,
        silence=(now - row.last_seen_at).total_seconds(),
        interval=row.report_interval,
        is_asked=row.report_digest is None,
        withheld=row.withheld,
    )


def _counters(connection: sa.Connection) -> list[CounterFact]:
    query = (
        sa.select(
            counters.c.id,
            counters.c.name,
            counters.c.capacity,
            hosts.c.name.label("host"),
            consumptions.c.amount,
            _handles.c.hardware,
        )
        .select_from(counters.join(hosts).outerjoin(consumptions).outerjoin(_handles))
        .order_by(counters.c.id)
    )
    by_id: dict[int, sa.Row[Any]] = {}
    amounts: dict[int, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(query):
        by_id[row.id] = row
        if row.hardware is not None:
            amounts[row.id][row.hardware] = row.amount
    return [
        CounterFact(row.host, row.name, row.capacity, amounts[id_]) for id_, row in by_id.items()
    ]


def _since(time: datetime.datetime | None, now: datetime.datetime) -> float | None:
    return None if time is None else (now - time).total_seconds()
