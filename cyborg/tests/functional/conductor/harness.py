"""What tests of the conductor's dealings with Nova and Placement share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from cyborg.clients.nova import Nova, Server
from cyborg.conductor import binding, creating, finishing
from cyborg.conductor.audit.database import database_disagreements
from cyborg.conductor.audit.disagreement import Disagreement
from cyborg.conductor.audit.limits import Limits
from cyborg.conductor.environment import Environment, LeftToOthers
from cyborg.db.accelerator_requests import list_requests
from cyborg.db.audit import hold_still
from cyborg.db.tables import accelerator_requests, attach_handles, jobs, metadata
from cyborg.db.types import database_now
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.inventory import DeviceReport
from cyborg.domain.model import AcceleratorRequest, EventStatus
from cyborg.tests.helpers import HOST, deployable, device
from cyborg.tests.servers import NovaStandIn, StandInServer

NAME = f"{HOST}_FakeDevice"
RP = provider_uuid(NAME)
PROJECT = "11111111111111111111111111111111"
OTHER_PROJECT = "22222222222222222222222222222222"

#: For what does not depend on the kind of database.
only_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def card(handles: int = 16, name: str = NAME, **values: Any) -> DeviceReport:
    """Return a device of one deployable."""
    return device(f"card-{name}", deployable(name, handles, **values))


def make(env: Environment, profile: str = "one") -> list[str]:
    """Make the ARQs of a profile; return their uuids."""
    return [arq.uuid for arq in creating.create(env, profile, PROJECT)]


def bind(
    env: Environment,
    *uuids: str,
    instance: str,
    rp: str = RP,
    owner: str | None = PROJECT,
    by_service: bool = True,
    certain: bool = True,
) -> None:
    """Bind ARQs to an instance on the only host."""
    values = {"hostname": HOST, "device_rp_uuid": rp, "instance_uuid": instance}
    binding.bind(env, dict.fromkeys(uuids, values), owner, by_service, owner_is_certain=certain)


def arqs(env: Environment, **query: Any) -> list[AcceleratorRequest]:
    """Return ARQs as users see them."""
    with env.database.reader() as connection:
        return list_requests(connection, **query)


def arq(env: Environment, uuid: str) -> AcceleratorRequest:
    """Return one ARQ as users see it."""
    [found] = arqs(env, uuids=[uuid])
    return found


def rows(env: Environment, table: sa.Table) -> list[sa.Row[Any]]:
    """Return all rows of a table."""
    with env.database.reader() as connection:
        return list(connection.execute(sa.select(table)))


def everything(env: Environment) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables."""
    return {
        table.name: [tuple(row) for row in rows(env, table)] for table in metadata.sorted_tables
    }


def held(env: Environment) -> int:
    """Return how many handles have an owner."""
    with env.database.reader() as connection:
        owner = attach_handles.c.accelerator_request_id
        return connection.scalar(sa.select(sa.func.count(owner))) or 0


def disagreements(env: Environment, limits: Limits | None = None) -> list[Disagreement]:
    """Return what the database contradicts itself in, at one moment."""
    with env.database.reader() as connection:
        hold_still(connection)
        return database_disagreements(connection, limits)


def check_audit(env: Environment) -> None:
    """See that an audit finds nothing in the database."""
    found = [str(each) for each in disagreements(env)]
    assert found == [], found


def let_run_out(env: Environment, table: sa.Table, column: str = "leased_until") -> None:
    """Let the time pass until every lease, or deadline, of a table is over."""
    past = table.update().where(table.c[column].is_not(None)).values({column: database_now(-1)})
    with env.database.engine.begin() as connection:
        connection.execute(past)


def answer(env: Environment, uuid: str, error: str | None) -> None:
    """Answer the job about an ARQ, as its agent does."""
    query = sa.select(jobs).join(
        accelerator_requests, jobs.c.accelerator_request_id == accelerator_requests.c.id
    )
    with env.database.reader() as connection:
        job = connection.execute(query.where(accelerator_requests.c.uuid == uuid)).one()
    finishing.finish(env, job.host, job.uuid, job.generation, error)


def fail_to_prepare(env: Environment, *uuids: str, error: str = "the card is stuck") -> None:
    """Let every attempt at preparing the devices of these ARQs fail."""
    for uuid in uuids:
        for _ in range(env.conf.conductor.prepare_attempts):
            answer(env, uuid, error)


def server(nova: NovaStandIn, host: str | None = HOST) -> str:
    """Let Nova know a server on the only host, or on none; return its uuid."""
    uuid = new_uuid()
    nova.servers[uuid] = StandInServer(PROJECT, host)
    return uuid


def told(nova: NovaStandIn) -> list[tuple[str, str]]:
    """Return what Nova was told, in order: ARQ and status."""
    return [(event["tag"], event["status"]) for sent in nova.received for event in sent.events]


def silent(env: Environment) -> Environment:
    """Return a conductor that is gone when it should send its events."""
    return dataclasses.replace(env, senders=LeftToOthers())


def interrupted(env: Environment, meanwhile: Callable[[], object]) -> Environment:
    """Return a conductor to which something else happens just before it asks Nova."""
    return dataclasses.replace(env, nova=Interrupted(env, meanwhile))


class Interrupted(Nova):
    """Nova as it is, but something happens just before it is asked for the first time."""

    def __init__(self, env: Environment, meanwhile: Callable[[], object]) -> None:
        assert env.nova is not None
        self._nova = env.nova
        self._meanwhile = [meanwhile]

    def send_events(
        self,
        instance_uuid: str,
        status: EventStatus,
        request_uuids: Sequence[str],
        timeout: float | None = None,
    ) -> dict[str, int]:
        self._interrupt()
        return self._nova.send_events(instance_uuid, status, request_uuids)

    def server(self, uuid: str) -> Server | None:
        self._interrupt()
        return self._nova.server(uuid)

    def _interrupt(self) -> None:
        while self._meanwhile:
            self._meanwhile.pop()()
