"""A cloud small enough to be put back before each case, with something in every state.

The API is the real one, behind the real keystonemiddleware: only the call of Keystone is
replaced. The conductor is the real one, in this process. Uuids are always the same ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from keystonemiddleware.auth_token import _exceptions
from oslo_config import cfg

from cyborg.api.app import build_application
from cyborg.api.authentication import register_options
from cyborg.conductor import binding, catalogue, creating, finishing, releasing
from cyborg.conductor.environment import Environment
from cyborg.db import schema
from cyborg.db.database import Database, ReadDatabase
from cyborg.db.devices import list_deployables
from cyborg.db.tables import accelerator_requests, jobs, metadata
from cyborg.domain import clock
from cyborg.domain.clock import provider_uuid
from cyborg.domain.model import DeviceCondition, DeviceStatus
from cyborg.domain.states import BINDABLE
from cyborg.rpc.conductor import ConductorClient
from cyborg.tests.functional.in_process import InProcess
from cyborg.tests.helpers import HOST, RecordingAgents, deployable, device, make_conf, report

MINE = "a" * 32
OTHERS = "b" * 32

#: Persona to roles and project. Each token is called as the persona.
PERSONAS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "admin": (("admin", "manager", "member", "reader"), MINE),
    "manager": (("manager", "member", "reader"), MINE),
    "accelerator_user": (("accelerator_user", "reader"), MINE),
    "member": (("member", "reader"), MINE),
    "reader": (("reader",), MINE),
    "service": (("service",), "5" * 32),
    "other": (("member", "reader"), OTHERS),
}
NOBODY = "nobody"

FAST, SLOW, OFF, BLANK = (f"{HOST}_{name}" for name in ("fast", "slow", "off", "blank"))


def headers_of(persona: str) -> dict[str, str]:
    """Return what a persona sends. Nova sends the user's token and its own."""
    if persona == NOBODY:
        return {}
    if persona == "service":
        return {"X-Auth-Token": "member", "X-Service-Token": "service"}
    return {"X-Auth-Token": persona}


def fetch_token(_middleware: object, sent: str, **_options: object) -> dict[str, Any]:
    """Answer as Keystone does; stands in for keystonemiddleware's call of it."""
    if sent not in PERSONAS:
        raise _exceptions.InvalidToken
    roles, project = PERSONAS[sent]
    domain = {"id": "default", "name": "Default"}
    return {
        "token": {
            "methods": ["password"],
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "user": {"id": "c" * 32, "name": sent, "domain": domain},
            "project": {"id": project, "name": project, "domain": domain},
            "roles": [{"id": role, "name": role} for role in roles],
            "catalog": [],
        }
    }


@dataclass
class Known:
    """What there is, for cases that are about something."""

    devices: list[str] = field(default_factory=list)
    deployables: list[str] = field(default_factory=list)
    handles: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    profiles: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    arqs: list[str] = field(default_factory=list)
    #: Made by an operator, who may delete them.
    own_attributes: list[str] = field(default_factory=list)
    bindable: list[str] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)


class World:
    """The service with its rows."""

    def __init__(self, url: str) -> None:
        # Nothing here outlives a crash of the machine.
        database = {"sqlite_synchronous": False}
        # There are no agents: a programming does not end.
        self.conf = make_conf(url, database=database, api={"program_wait": 0})
        keystone(self.conf)
        self.database = Database(self.conf)
        schema.upgrade(self.database.engine)
        self.env = Environment(
            conf=self.conf,
            database=self.database,
            agents=RecordingAgents(),
            clock=clock.utcnow,
            new_uuid=uuids().__next__,
        )
        client = ConductorClient(None, lambda: 1.0, InProcess(self.env))
        self.reading = ReadDatabase(self.conf)
        self.application = build_application(self.conf, self.reading, client)
        self.known = Known()
        fill(self.env)
        self._rows = self.rows()
        self._note()
        self._written = False
        sa.event.listen(self.database.engine, "before_cursor_execute", self._watch)

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Return all that is in the database."""
        with self.database.reader() as connection:
            return {
                table.name: [dict(row._mapping) for row in connection.execute(sa.select(table))]
                for table in metadata.sorted_tables
            }

    def changed(self) -> bool:
        """Return whether there is anything else than at the beginning."""
        return self._written and self.rows() != self._rows

    def put_back(self) -> None:
        """Make everything as it was at the beginning."""
        if not self._written:
            return
        with self.database.engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
            for table in metadata.sorted_tables:
                if self._rows[table.name]:
                    connection.execute(table.insert(), self._rows[table.name])
        self._written = False

    def close(self) -> None:
        self.reading.dispose()
        self.database.dispose()

    def _watch(self, *event: Any) -> None:
        if event[2].lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE"):
            self._written = True

    def _note(self) -> None:
        rows, known = self._rows, self.known
        known.devices = [row["uuid"] for row in rows["devices"]]
        known.deployables = [row["uuid"] for row in rows["deployables"]]
        known.handles = [row["uuid"] for row in rows["attach_handles"]]
        known.attributes = [row["uuid"] for row in rows["attributes"]]
        known.own_attributes = [r["uuid"] for r in rows["attributes"] if not r["reported"]]
        known.profiles = [row["uuid"] for row in rows["device_profiles"]]
        known.names = [row["name"] for row in rows["device_profiles"]]
        known.arqs = [row["uuid"] for row in rows["accelerator_requests"]]
        known.bindable = [
            row["uuid"]
            for row in rows["accelerator_requests"]
            if row["state"] in BINDABLE and row["project_id"] == MINE
        ]
        instances = {row["instance_uuid"] for row in rows["accelerator_requests"]}
        known.instances = sorted(instances - {None})


def keystone(conf: cfg.ConfigOpts) -> None:
    """Let a configuration need tokens."""
    register_options(conf)
    conf.set_override("www_authenticate_uri", "http://keystone", "keystone_authtoken")
    conf.set_override("auth_type", "none", "keystone_authtoken")


def uuids() -> Iterator[str]:
    """Return uuids that are the same in each run."""
    for number in itertools.count(1):
        yield f"00000000-0000-4000-8000-{number:012x}"


def fill(env: Environment) -> None:
    """Make devices, profiles, and an ARQ of two projects in each state."""
    report(
        env,
        device("card", deployable(FAST, 16)),
        device("slow", deployable(SLOW, 16, needs_prepare=True, needs_release=True)),
        device("off", deployable(OFF, 2), **FAILED),
        device("blank", deployable(BLANK, 1, programmable=True)),
    )
    with env.database.reader() as connection:
        [off] = list_deployables(connection, name=OFF)
    catalogue.set_device_status(env, off.device_uuid, DeviceStatus.MAINTAINING)
    for name in (FAST, SLOW, OFF):
        for key, value in (("colour", "green"), ("place", "left"), ("trait9", "CUSTOM_FINE")):
            catalogue.create_attribute(env, provider_uuid(name), key, value)
    for name, groups in PROFILES.items():
        catalogue.create_device_profile(
            env, name=name, groups=groups, description=f"The {name} one.", uuid=None
        )
    for project in (MINE, OTHERS):
        for make in STATES:
            [arq] = creating.create(env, "one", project)
            make(env, arq.uuid, project)


FAILED = {"condition": DeviceCondition.FAILED, "condition_reason": "It does not answer."}

PROFILES: dict[str, list[dict[str, str]]] = {
    "one": [{"resources:FPGA": "1", "trait:CUSTOM_FAKE_DEVICE": "required"}],
    "two": [{"resources:FPGA": "1"}, {"resources:FPGA": "1", "accel:note": "x"}],
    "spare": [{"resources:CUSTOM_X": "1"}],
    "spare-too": [{"resources:GPU": "2"}],
}


def _initial(env: Environment, arq: str, project: str) -> None:
    pass


def _bind(name: str, by_service: bool = True) -> Callable[[Environment, str, str], None]:
    def bind(env: Environment, arq: str, project: str) -> None:
        values = {
            "hostname": HOST,
            "device_rp_uuid": provider_uuid(name),
            "instance_uuid": env.new_uuid(),
        }
        binding.bind(env, {arq: values}, project, by_service)

    return bind


def _answer(env: Environment, arq: str, error: str | None) -> None:
    query = sa.select(jobs).join(
        accelerator_requests, jobs.c.accelerator_request_id == accelerator_requests.c.id
    )
    with env.database.reader() as connection:
        job = connection.execute(query.where(accelerator_requests.c.uuid == arq)).one()
    finishing.finish(env, job.host, job.uuid, job.generation, error)


def _bind_failed(env: Environment, arq: str, project: str) -> None:
    _bind(SLOW)(env, arq, project)
    for _ in range(env.conf.conductor.prepare_attempts):
        _answer(env, arq, "the card is stuck")


def _slowly_bound(env: Environment, arq: str, project: str) -> None:
    _bind(SLOW)(env, arq, project)
    _answer(env, arq, None)


def _unbound(env: Environment, arq: str, project: str) -> None:
    _bind(FAST)(env, arq, project)
    releasing.unbind(env, [arq])


def _deleting(env: Environment, arq: str, project: str) -> None:
    _slowly_bound(env, arq, project)
    releasing.delete(env, [arq])


STATES: tuple[Callable[[Environment, str, str], None], ...] = (
    _initial,
    _initial,
    _bind(FAST),
    _bind(FAST, by_service=False),
    _bind(SLOW),
    _slowly_bound,
    _bind_failed,
    _unbound,
    _deleting,
)
