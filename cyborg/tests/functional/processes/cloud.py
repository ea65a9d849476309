"""Our processes in a cloud: real Keystone and Placement, and a stand-in for Nova."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests

from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.tests.functional.processes.harness import Api, Deployment, Process, wait_for
from cyborg.tests.servers import Keystone, NovaStandIn, Placement
from cyborg.tests.servers.keystone import REGION
from cyborg.tests.servers.nova import StandInServer

HOSTS = ("compute-1", "compute-2")


@dataclass
class Cloud:
    """A deployment, and what surrounds it."""

    ours: Deployment
    keystone: Keystone
    placement: Placement
    nova: NovaStandIn

    def start(self, *, conductors: int = 2, **fake_driver: object) -> list[Process]:
        """Start everything of ours: the conductors first, then an agent a host, then the API."""
        started = [self.ours.conductor(f"conductor-{n + 1}") for n in range(conductors)]
        started += [self.ours.agent(host, fake_driver=fake_driver) for host in HOSTS]
        return [*started, self.ours.http()]

    def serve(self, *, conductors: int = 2, **fake_driver: object) -> list[Process]:
        """Do the same, wait until all of it works, and make a profile of one FPGA."""
        processes = self.start(conductors=conductors, **fake_driver)
        self.wait_for_providers()
        admin = self.as_user("admin")
        wait_for("the API", lambda: admin.status("GET", "/v2/devices") == 200)
        self.profile()
        return processes

    def make_roots(self) -> None:
        """Make the compute nodes' providers, as nova-compute does."""
        for host in HOSTS:
            self.placement.make_root(host)

    def wait_for_providers(self) -> None:
        """Wait until every host's provider has an inventory."""
        for uuid in map(provider, HOSTS):
            wait_for(f"the provider {uuid}", partial(self._has_inventory, uuid))

    def wait_for_event(self, server: str, status: str, code: int) -> None:
        """Wait until Nova has answered an event about a server so."""
        wait_for(
            f"an event {status} of {server} with {code}",
            lambda: code in self.events_of(server, status),
        )

    def _has_inventory(self, uuid: str) -> bool:
        return self.placement.provider(uuid) is not None and bool(self.placement.inventories(uuid))

    def as_user(self, user: str, *, service: str | None = None, **headers: str) -> Api:
        """Return the API as a user sees it, or a service on a user's behalf."""
        identity = {"X-Auth-Token": self.keystone.token(user), **headers}
        if service is not None:
            identity["X-Service-Token"] = self.keystone.token(service)
        api = Api(self.ours.api.url)
        api.session.headers.update(identity)
        return api

    def as_nova(self, user: str = "demo", **headers: str) -> Api:
        """Return the API as Nova uses it for a user's request."""
        return self.as_user(user, service="nova", **headers)

    def profile(self, name: str = "one", units: int = 1) -> str:
        """Make a device profile as the operator."""
        group = {"resources:FPGA": str(units), "trait:CUSTOM_FAKE_DEVICE": "required"}
        return self.as_user("admin").profile(name, group)

    def server(self, host: str | None = None, project: str = "demo", **values: Any) -> str:
        """Let Nova have a server; return its uuid."""
        uuid = new_uuid()
        self.nova.servers[uuid] = StandInServer(self.keystone.project_id(project), host, **values)
        return uuid

    def boot(
        self, nova: Api, profile: str = "one", host: str = HOSTS[0], *, server: str | None = None
    ) -> tuple[str, list[str], requests.Response]:
        """Do what Nova does at a boot, up to the bind: server, ARQs, and the bind's answer.

        The server is being built, and has no host yet.
        """
        server = server or self.server(vm_state="building", task_state="scheduling")
        uuids = nova.arqs(profile)
        self.placement.allocate(server, {provider(host): {"FPGA": len(uuids)}})
        return server, uuids, nova.bind(uuids, server, host, provider(host))

    def land(self, server: str, host: str = HOSTS[0]) -> None:
        """Let a server that is built have its host from now on."""
        old = self.nova.servers[server]
        self.nova.servers[server] = StandInServer(
            old.project_id, host, vm_state="building", task_state="spawning"
        )

    def finish(self, server: str) -> None:
        """Let a server be active."""
        old = self.nova.servers[server]
        self.nova.servers[server] = StandInServer(old.project_id, old.host)

    def events_of(self, server: str, status: str) -> list[int]:
        """Return Nova's codes for the events about a server, in the order in which they came."""
        return [
            code
            for request in self.nova.received
            for event, code in zip(
                request.events, request.codes or [request.status] * 99, strict=False
            )
            if event.get("server_uuid") == server and event.get("status") == status
        ]

    def reserved(self, host: str = HOSTS[0]) -> int:
        """Return how much of a host's provider Placement gives to nobody."""
        return int(self.placement.inventories(provider(host))["FPGA"]["reserved"])


def provider(host: str) -> str:
    """Return the uuid of the provider of a host's first fake device."""
    return provider_uuid(f"{host}_FakeDevice")


@contextmanager
def clouded(
    folder: Path, urls: tuple[str, str], keystone: Keystone, placement: Placement, nova: NovaStandIn
) -> Iterator[Cloud]:
    """Return a cloud with a schema and no process of ours; end them all afterwards.

    :param urls: of the database and of the message queue.
    """
    ours = {**keystone.credentials("cyborg"), "region_name": REGION}
    deployment = Deployment(
        folder,
        *urls,
        DEFAULT={"auth_strategy": "keystone"},
        keystone_authtoken={
            **keystone.credentials("cyborg"),
            "www_authenticate_uri": keystone.url,
        },
        placement={**ours, "timeout": 10},
        nova={**ours, "timeout": 3},
        glance={**ours, "timeout": 10},
        conductor={
            "job_poll_interval": 0.2,
            "job_lease": 3,
            "provider_comparison_interval": 2,
            "leftover_comparison_interval": 1,
            "leftover_grace_period": 2,
            "bind_failure_patience": 300,
        },
    )
    try:
        deployment.dbsync()
        yield Cloud(deployment, keystone, placement, nova)
    finally:
        print(deployment.logs())
        deployment.end()
