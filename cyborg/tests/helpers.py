"""What many tests need: configuration, statement counts, inventories."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import sqlalchemy as sa
from keystoneauth1.adapter import Adapter
from keystoneauth1.session import Session
from keystoneauth1.token_endpoint import Token as AdminToken
from oslo_config import cfg

from cyborg.clients.glance import Glance
from cyborg.clients.nova import Nova
from cyborg.clients.placement import Placement
from cyborg.conductor import catalogue, inventory
from cyborg.conductor.environment import Environment
from cyborg.conf import opts
from cyborg.db.tables import attach_handles
from cyborg.db.tables import deployables as deployables_table
from cyborg.db.tables import devices as devices_table
from cyborg.domain.inventory import DeployableReport, DeviceReport, HandleReport, Snapshot
from cyborg.domain.work import Work

HOST = "compute-1"

_NOT_COUNTED = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA", "SET SESSION")


def make_conf(connection: str, **groups: dict[str, Any]) -> cfg.ConfigOpts:
    """Return a private configuration on this database, with overrides by group."""
    conf = cfg.ConfigOpts()
    opts.register(conf)
    conf([], project="cyborg", default_config_files=[], default_config_dirs=[])
    conf.set_override("connection", connection, group="database")
    # As many as threads use at once: those beyond it are opened and closed for each transaction.
    conf.set_default("max_pool_size", 50, group="database")
    for group, values in groups.items():
        for name, value in values.items():
            conf.set_override(name, value, group=None if group == "DEFAULT" else group)
    return conf


@contextmanager
def counted_statements(engine: sa.Engine) -> Iterator[list[str]]:
    """Collect the statements that run meanwhile, transaction control left out."""
    statements: list[str] = []

    def note(*event: Any) -> None:
        _connection, _cursor, statement, parameters, _context, many = event
        if not statement.lstrip().upper().startswith(_NOT_COUNTED):
            # Several sets of parameters are as many statements on the wire.
            statements.extend([statement] * (len(parameters) if many else 1))

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def handles(count: int, bus: str = "0c", domain: str = "0000") -> tuple[HandleReport, ...]:
    """Return so many distinct handles."""
    return tuple(
        HandleReport(
            "TEST_PCI",
            {"domain": domain, "bus": bus, "device": str(n // 8), "function": str(n % 8)},
        )
        for n in range(1, count + 1)
    )


def deployable(name: str, count: int = 16, **values: Any) -> DeployableReport:
    """Return a deployable of class FPGA with ``count`` handles, at addresses of its own."""
    at = crc32(name.encode())
    values = {
        "resource_class": "FPGA",
        "num_accelerators": count,
        "driver_name": "fake",
        "traits": ("CUSTOM_FAKE_DEVICE",),
        "handles": handles(count, f"{at >> 16 & 0xFF:02x}", f"{at & 0xFFFF:04x}"),
        **values,
    }
    return DeployableReport(name=name, **values)


def device(identity: str, *parts: DeployableReport, **values: Any) -> DeviceReport:
    """Return a device."""
    values = {
        "driver": "fake_driver",
        "type": "FPGA",
        "vendor": "0xABCD",
        "model": "model",
        "control_path": {"bus": "0c"},
        **values,
    }
    return DeviceReport(identity=identity, deployables=parts, **values)


@dataclass
class RecordingAgents:
    """The agents, at the border of the conductor: keeps what they were sent."""

    sent: list[tuple[str, Work]] = field(default_factory=list)
    error: Exception | None = None

    def start(self, host: str, work: Work) -> None:
        """Keep the work, or fail as told."""
        if self.error is not None:
            raise self.error
        self.sent.append((host, work))


def placement_client(url: str) -> Placement:
    """Return the client of a Placement that authenticates nobody."""
    auth = AdminToken(url, "admin")
    return Placement(Adapter(Session(auth=auth, timeout=10), service_type="placement"))


def nova_client(url: str, timeout: float = 10) -> Nova:
    """Return the client of a Nova that takes any token."""
    auth = AdminToken(url, "any")
    return Nova(Adapter(Session(auth=auth, timeout=timeout), service_type="compute"))


def glance_client(url: str, timeout: float = 10) -> Glance:
    """Return the client of a Glance that takes any token."""
    auth = AdminToken(url, "any")
    return Glance(Adapter(Session(auth=auth, timeout=timeout), service_type="image"))


def an_interval_later(env: Environment) -> None:
    """Let so much time have passed that the next report counts what it lacks."""
    before = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    with env.database.engine.begin() as connection:
        for table in (devices_table, deployables_table, attach_handles):
            connection.execute(
                table.update().where(table.c.absent_at.is_not(None)).values(absent_at=before)
            )


def report(env: Environment, *devices: DeviceReport, host: str = HOST) -> None:
    """Report these devices as all that a host has, an interval after the report before."""
    an_interval_later(env)
    inventory.report(env, host, Snapshot(devices=devices).to_wire())


def profile(env: Environment, name: str = "one", *groups: dict[str, str]) -> str:
    """Make a device profile of these groups, one FPGA by default; return its name."""
    catalogue.create_device_profile(
        env,
        name=name,
        groups=list(groups) or [{"resources:FPGA": "1"}],
        description=None,
        uuid=None,
    )
    return name
