"""The cloud as its users see it: Nova and our API through openstacksdk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import openstack
from arqs import Arq, fault
from openstack import exceptions
from placement import Placement
from waiting import Hopeless, eventually, expect, wait_for

#: All that we make in the cloud has a name that begins so.
PREFIX = "cyborg-nova"


class Cloud:
    """Connections of an administrator, of a member, and of a member of another project."""

    def __init__(self) -> None:
        self.admin = openstack.connect(cloud="ms-admin")
        self.demo = openstack.connect(cloud="ms-demo")
        self.other = openstack.connect(cloud="ms-other")
        self.placement = Placement(self.admin.placement)
        self.images = [self.admin.image.find_image(n).id for n in ("ms-image", "ms-image-2")]
        self.demo_project = str(self.demo.current_project_id)

    # -- servers

    def boot(self, name: str, flavor: str, count: int = 1) -> list[str]:
        """Ask for servers as the member; returns their ids at once."""
        servers = [
            self.demo.compute.create_server(
                name=f"{name}-{number}",
                flavor_id=flavor,
                image_id=self.images[0],
                networks="none",
            )
            for number in range(count)
        ]
        return [server.id for server in servers]

    def server(self, server: str) -> Any:
        """Return a server as the administrator sees it."""
        return self.admin.compute.get_server(server)

    def status(self, server: str) -> str:
        """Return a server's status, ``gone`` if there is none."""
        try:
            return str(self.server(server).status)
        except exceptions.NotFoundException:
            return "gone"

    def settle(self, server: str, status: str, patience: float = 60) -> Any:
        """Wait until a server has a status and nothing goes on; return it.

        :raises Unexpected: it came to rest in another one, or did not come to rest.
        """

        def look() -> Any:
            found = self.server(server)
            if found.status == "ERROR" and status != "ERROR":
                raise Hopeless(f"the server is in ERROR: {fault(found)}")
            seen = f"the server is in {found.status}, {found.task_state}, not in {status}"
            expect(found.status == status and found.task_state is None, seen)
            return found

        return eventually(look, patience)

    def settle_all(self, servers: Iterable[str], status: str, patience: float = 90) -> None:
        """Wait for the same status of several servers."""
        for server in servers:
            self.settle(server, status, patience)

    def settle_any(self, servers: Sequence[str], patience: float = 90) -> dict[str, list[Any]]:
        """Wait until no server is being built; return them by status."""

        def built() -> list[Any]:
            found = [self.server(server) for server in servers]
            return [] if any(server.status == "BUILD" for server in found) else found

        by_status: dict[str, list[Any]] = {}
        for server in wait_for("servers to be built", built, patience):
            by_status.setdefault(server.status, []).append(server)
        return by_status

    def delete(self, servers: Iterable[str], patience: float = 60) -> None:
        """Delete servers and wait until they are gone."""
        wanted = list(servers)
        for server in wanted:
            self.admin.compute.delete_server(server)
        self.wait_gone(wanted, patience)

    def wait_gone(self, servers: Iterable[str], patience: float = 60) -> None:
        """Wait until servers that were deleted are gone."""
        wanted = list(servers)

        def look() -> None:
            left = [server for server in wanted if self.status(server) != "gone"]
            expect(not left, f"servers that were deleted are still there: {', '.join(left)}")

        eventually(look, patience)

    def act(self, server: str, action: str, body: Any = None, *, connection: Any = None) -> Any:
        """Ask for an action, as the administrator by default; return the answer, any answer."""
        return (connection or self.admin).compute.post(
            f"/servers/{server}/action", json={action: body}, microversion="2.79", raise_exc=False
        )

    def service_of(self, host: str) -> Any:
        """Return the record of a host's nova-compute."""
        [found] = self.admin.compute.services(binary="nova-compute", host=host)
        return found

    def force_down(self, host: str, down: bool) -> None:
        """Say, or take back, that a host's nova-compute is dead."""
        service = self.service_of(host)
        if service.is_forced_down != down:
            self.admin.compute.update_service_forced_down(service, forced=down)

    # -- flavors and profiles

    def make_profile(self, name: str, groups: list[dict[str, str]]) -> str:
        """Make a device profile; return its uuid."""
        return str(self.admin.accelerator.create_device_profile(name=name, groups=groups).uuid)

    def make_flavor(self, name: str, profile: str) -> str:
        """Make a flavor that asks for a profile's accelerators; return its id."""
        flavor = self.admin.compute.create_flavor(
            name=name, ram=64, vcpus=1, disk=1, is_public=True
        )
        self.admin.compute.create_flavor_extra_specs(flavor, {"accel:device_profile": profile})
        return str(flavor.id)

    # -- our API

    def handles(self, deployable: str) -> list[dict[str, Any]]:
        """Return the attach handles of a deployable, as the administrator sees them."""
        path = f"/deployables/{deployable}/attach_handles"
        found: list[dict[str, Any]] = self.ask(path, microversion="2.4")["attach_handles"]
        return found

    def arqs(self, instance: str | None = None, connection: Any = None) -> list[Arq]:
        """Return ARQs, of an instance or all, as the administrator sees them by default."""
        path = "/accelerator_requests" + (f"?instance={instance}" if instance else "")
        found: list[Arq] = self.ask(path, connection)["arqs"]
        return found

    def devices(self) -> dict[str, dict[str, Any]]:
        """Return the first device of each host, by host."""
        found = self.ask("/devices")["devices"]
        return {device["hostname"]: device for device in reversed(found)}

    def ask(
        self, path: str, connection: Any = None, *, microversion: str = "2.3", **more: Any
    ) -> dict[str, Any]:
        """GET something of our API, as the administrator by default."""
        answer = (connection or self.admin).accelerator.get(
            path, microversion=microversion, raise_exc=False, **more
        )
        expect(answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text[:300]}")
        body: dict[str, Any] = answer.json()
        return body

    def arqs_as_nova(self, instance: str) -> list[Arq]:
        """Return an instance's ARQs as Nova reads them, to give them to the hypervisor."""
        path = f"/accelerator_requests?instance={instance}"
        found: list[Arq] = self.ask(path, self.demo, microversion="2.0", headers=_of_nova())["arqs"]
        return found

    def delete_arqs_as_nova(self, instance: str) -> int:
        """Delete an instance's ARQs in the way that Nova does; return the answer's status."""
        answer = self.demo.accelerator.delete(
            f"/accelerator_requests?instance={instance}", headers=_of_nova(), raise_exc=False
        )
        return int(answer.status_code)


def _of_nova() -> dict[str, str]:
    """Return what Nova adds to its users' requests."""
    return {"X-Service-Token": str(openstack.connect(cloud="ms-nova").session.get_token())}
