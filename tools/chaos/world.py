"""The world: servers, the ways to them, and our processes, all of them real and separate."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from load import Load, Target
from processes import API, CONDUCTORS, Processes
from proxy import address_in, through
from settings import NARROW, Groups, Host, Settings
from ways import Ways

from cyborg.domain.clock import provider_uuid
from cyborg.tests.functional.processes.cloud import Cloud
from cyborg.tests.functional.processes.harness import Api, Deployment, quorum_queues, wait_for
from cyborg.tests.servers import (
    GlanceStandIn,
    Keystone,
    MariaDB,
    NovaStandIn,
    Placement,
    PostgreSQL,
    RabbitMQ,
)
from cyborg.tests.servers.databases import DatabaseServer
from cyborg.tests.servers.keystone import REGION

_SERVICES = {
    "placement": "placement",
    "compute": "nova",
    "image": "glance",
    "identity": "keystone",
}
_TIMEOUTS = {"placement": 10, "nova": 5, "glance": 10}
_DATABASES: dict[str, Callable[[], DatabaseServer]] = {"mariadb": MariaDB, "postgresql": PostgreSQL}


class World(Processes):
    """Everything there is. Used by one thread; the load has its own."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        super().__init__(folder, settings)
        self.database = _DATABASES[settings.database]()
        self.queue = RabbitMQ()
        self.keystone = Keystone()
        self.placement = Placement(self.keystone)
        self._stack = ExitStack()

    # -- all of it

    def start(self) -> None:
        """Start everything, and wait until all of it works."""
        self._start_servers()
        self._deploy()
        self.cloud.ours.dbsync()
        for name in (*CONDUCTORS, *self.hosts, API):
            self.begin(name)
        self._wait()
        targets = [
            Target(host.name, uuid)
            for host in self.hosts.values()
            if host.name != NARROW
            for uuid in providers(host)
        ]
        self.load = Load(self.cloud, targets, self.settings.clients)
        self._stack.callback(self.load.close)

    def close(self) -> None:
        """End everything."""
        self.thaw_all()
        self._stack.close()

    def _start_servers(self) -> None:
        with ThreadPoolExecutor() as pool:
            begun = [pool.submit(server.start) for server in (self.database, self.queue)]
            begun.append(pool.submit(self._start_openstack))
            for server in (self.database, self.queue, self.placement, self.keystone):
                self._stack.callback(server.stop)
            for each in begun:
                each.result()

    def _start_openstack(self) -> None:
        self.keystone.start()
        self.keystone.provision()
        self.placement.start()
        # Not before: they are told where a Keystone is that runs.
        self.nova, self.glance = NovaStandIn(self.keystone), GlanceStandIn(self.keystone)
        for stand_in in (self.nova, self.glance):
            stand_in.start()
            self._stack.callback(stand_in.stop)

    def _deploy(self) -> None:
        self.database_url = self.database.create_database()
        self.queue_url = self.queue.create_vhost()
        urls = {
            "database": self.database_url,
            "queue": self.queue_url,
            "keystone": self.keystone.url,
            "placement": self.placement.url,
            "nova": self.nova.url,
            "glance": self.glance.url,
        }
        self.ways = Ways({name: address_in(url, 0) for name, url in urls.items()})
        self._stack.callback(self.ways.close)
        self.urls = {name: through(url, self.ways[name].port) for name, url in urls.items()}
        for kind, name in _SERVICES.items():
            self.keystone.register(kind, name, self.urls[name])
        for host in self.hosts:
            self.placement.make_root(host)
        ours = Deployment(self.folder, self.urls["database"], self.urls["queue"], **self._groups())
        self._stack.callback(ours.end)
        # As operators may set it: with a pool of memory for each thread, it grows for longer.
        for name in ("uwsgi", *CONDUCTORS, *self.hosts):
            ours.environments[name] = {"MALLOC_ARENA_MAX": "2"}
        self.cloud = Cloud(ours, self.keystone, self.placement, self.nova)
        self.engine = sa.create_engine(self.database_url, poolclass=sa.NullPool)

    def _groups(self) -> Groups:
        credentials = {**self.keystone.credentials("cyborg"), "auth_url": self.urls["keystone"]}
        groups = {name: dict(options) for name, options in self.settings.groups.items()}
        groups["DEFAULT"] |= {
            "transport_url": self.urls["queue"],
            "auth_strategy": "keystone",
            "state_path": self.folder,
        }
        groups["keystone_authtoken"] = credentials | {
            "www_authenticate_uri": self.urls["keystone"],
            # By default a Keystone that takes a request and says nothing is waited for for ever.
            "http_connect_timeout": 3,
        }
        for name, seconds in _TIMEOUTS.items():
            groups[name] = credentials | {"region_name": REGION, "timeout": seconds}
        groups["oslo_messaging_rabbit"] = {
            "rabbit_retry_backoff": 1,
            "rabbit_interval_max": 2,
            # After which what was meant for a killed process is gone.
            "rabbit_transient_queues_ttl": 30,
        }
        if self.settings.queues == "quorum":
            quorum = self._stack.enter_context(quorum_queues(self.folder))
            for name, options in quorum.items():
                groups[name] = groups.get(name, {}) | options
        return groups

    def _wait(self) -> None:
        for host in self.hosts.values():
            for uuid in providers(host):
                wait_for(f"the provider {uuid}", partial(self._is_published, uuid))
        admin = self.cloud.as_user("admin")
        wait_for("the API", lambda: admin.status("GET", "/v2/devices") == 200)
        self.cloud.profile()

    def _is_published(self, uuid: str) -> bool:
        dead = [name for name, process in self.processes.items() if not process.alive()]
        assert not dead, f"ended: {dead}"
        return self.placement.provider(uuid) is not None and bool(self.placement.inventories(uuid))

    def mend(self) -> None:
        """Let everything be there and work again."""
        self.ways.mend()
        for stand_in in (self.nova, self.glance):
            stand_in.normal()
            stand_in.up()
        for server in (self.database, self.queue, self.keystone, self.placement):
            server.start()
        self.thaw_all()
        for name in (*CONDUCTORS, *self.hosts, API):
            if name not in self.processes:
                self.begin(name)

    # -- views of it

    def slots(self, number: int) -> list[Target]:
        """Return so many targets, each as often as its share of the handles allows."""
        of = {host.name: host.handles for host in self.hosts.values()}
        places = [
            (at / of[target.host], target)
            for target in self.load.targets
            for at in range(of[target.host])
        ]
        return [target for _, target in sorted(places, key=lambda place: place[0])][:number]

    def as_admin(self) -> Api:
        """Return the API as an operator uses it."""
        return self.cloud.as_user("operator")

    def seen(self, host: str) -> Any:
        """Return when a host's agent was heard last, by the database's clock."""
        return self.rows("SELECT last_seen_at FROM hosts WHERE name = :name", name=host)[0][0]

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Return what the database says, asked directly.

        :param statement: with ``{condition}`` for the column of that name.
        """
        with self.engine.connect() as connection:
            found = connection.execute(sa.text(self._spelled(statement)), values)
            return [tuple(row) for row in found]

    def change(self, statement: str) -> None:
        """Change the database as an operator with SQL does.

        :param statement: with ``{condition}`` for the column of that name.
        """
        with self.engine.begin() as connection:
            connection.execute(sa.text(self._spelled(statement)))

    def _spelled(self, statement: str) -> str:
        # A word of MariaDB's own.
        is_mariadb = self.settings.database == "mariadb"
        return statement.replace("{condition}", "`condition`" if is_mariadb else "condition")

    def log(self, name: str) -> str:
        """Return all that a process has printed."""
        return (self.folder / f"{'uwsgi' if name == API else name}.log").read_text(errors="replace")


def providers(host: Host) -> list[str]:
    """Return the providers of a host's devices."""
    names = [f"{host.name}_FakeDevice", *(f"{host.name}_FakeDevice_{n}" for n in range(1, 256))]
    return [provider_uuid(name) for name in names[: host.devices]]
