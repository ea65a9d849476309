"""What a flow works with: the stack, our service, the cloud, and what it leaves behind."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from arqs import Arq
from cloud import PREFIX, Cloud
from hardware import Deployable, Hardware
from report import Report
from service import Service
from stack import Stack
from waiting import Unexpected, eventually, expect, wait_for


class Bench:
    """One for all flows. What a flow makes through it goes when the flow ends."""

    def __init__(self, stack: Stack, service: Service, cloud: Cloud, report: Report) -> None:
        self.stack = stack
        self.service = service
        self.cloud = cloud
        self.placement = cloud.placement
        self.database = service.database
        self.report = report
        self.hosts = stack.hosts
        #: A flow that breaks something on purpose asks for an empty database after it.
        self.spoilt = False
        self._number = itertools.count(1)
        self._servers: list[str] = []
        self._flavors: list[str] = []
        self._profiles: list[str] = []

    # -- checks

    def check(self, what: str) -> AbstractContextManager[None]:
        """Return a block that is one check."""
        return self.report.check(what)

    def need(self, what: str) -> AbstractContextManager[None]:
        """Return a block that is one check, without which the flow cannot go on."""
        return self.report.check(what, needed=True)

    # -- making

    def name(self, what: str) -> str:
        """Return a name of ours that nothing else has."""
        return f"{PREFIX}-{what}-{next(self._number)}"

    def flavor(self, groups: list[dict[str, str]] | None = None) -> str:
        """Make a profile, of one unit by default, and a flavor that names it; return its id."""
        name = self.name("flavor")
        self.keep_profile(self.cloud.make_profile(name, groups or self.hardware.groups))
        flavor = self.cloud.make_flavor(name, name)
        self._flavors.append(flavor)
        return flavor

    def boot(self, flavor: str, count: int = 1) -> list[str]:
        """Ask for servers as the member; returns their ids at once."""
        servers = self.cloud.boot(self.name("server"), flavor, count)
        self._servers += servers
        return servers

    def booted(self, flavor: str, count: int = 1) -> list[str]:
        """Boot servers and wait until they are ACTIVE."""
        servers = self.boot(flavor, count)
        self.cloud.settle_all(servers, "ACTIVE")
        return servers

    def booted_in_turn(self, flavor: str, count: int) -> list[str]:
        """Boot servers, each when the one before is ACTIVE.

        Nova tries a single one of a host's providers for a server. So of servers that want the last
        ones at the same time some may go without, though there is enough.
        """
        return [server for _ in range(count) for server in self.booted(flavor)]

    def delete(self, servers: Sequence[str]) -> None:
        """Delete servers and wait until they are gone."""
        self.cloud.delete(servers)
        self._servers = [server for server in self._servers if server not in servers]

    def keep_server(self, server: str) -> None:
        """Remember a server that was made in another way."""
        self._servers.append(server)

    def keep_profile(self, profile: str) -> None:
        """Remember a profile that was made in another way."""
        self._profiles.append(profile)

    def keep_flavor(self, flavor: str) -> None:
        """Remember a flavor that was made in another way."""
        self._flavors.append(flavor)

    def servers(self) -> list[str]:
        """Return the flow's servers that were not deleted."""
        return list(self._servers)

    # -- the hardware

    @property
    def hardware(self) -> Hardware:
        """What the hosts have."""
        return self.service.hardware

    def deployable(self, host: str) -> Deployable:
        """Return what a host has, if that is one deployable only."""
        return self.hardware.deployable(host)

    def equip(self, hardware: type[Hardware]) -> None:
        """Let the hosts have hardware of a kind; if it is another one, all begins anew."""
        if not isinstance(self.hardware, hardware):
            self.service.equip(hardware)
            self.fresh()

    def change(self, **changes: Any) -> None:
        """Change the hardware; returns when Placement has heard of it too."""
        self.service.change(**changes)
        self.wait_for_providers()

    # -- looking

    def wait_for_providers(self, patience: float = 30) -> None:
        """Wait until Placement has all providers as they must be."""

        eventually(self._expect_providers, patience)

    def holds(self, server: str, count: int = 1, *, host: str | None = None) -> list[Arq]:
        """Wait until a server has just so many accelerators, in every respect; return its ARQs.

        :raises Unexpected: with the first respect in which it has not.
        """
        return eventually(lambda: self._expect_holds(server, count, host), 15)

    def expect_nothing_left(self) -> None:
        """Fail unless nobody has, waits for, or loses anything."""
        arqs = [f"{arq['uuid']} {arq['state']}" for arq in self.cloud.arqs()]
        expect(not arqs, f"ARQs are left: {', '.join(arqs)}")
        left = {what: n for what, n in self.database.leftovers().items() if n}
        expect(not left, f"in our database are left: {left}")
        total = clean = 0
        for deployable in self.hardware.deployables():
            consumers = self.placement.consumers(deployable.uuid)
            expect(not consumers, f"allocations of {deployable.name}: {', '.join(consumers)}")
            total += deployable.total
            clean += self.database.clean_handles(deployable.uuid)
        self._expect_providers()
        expect(
            clean + len(self.database.quarantined()) == total,
            f"{clean} of {total} handles are free",
        )

    def _expect_providers(self) -> None:
        quarantined = Counter(row["provider"] for row in self.database.quarantined())
        for deployable in self.hardware.deployables():
            self.placement.expect_whole(deployable, quarantined[deployable.uuid])

    def _expect_holds(self, server: str, count: int, host: str | None) -> list[Arq]:
        arqs = self.cloud.arqs(server)
        expect(len(arqs) == count, f"it has {len(arqs)} ARQs instead of {count}")
        for arq in arqs:
            expect(arq["state"] == "Bound", f"an ARQ is {arq['state']}")
            expect(arq["instance_uuid"] == server, f"an ARQ is of {arq['instance_uuid']}")
            owner = arq["project_id"].replace("-", "")
            expect(owner == self.cloud.demo_project, f"an ARQ belongs to project {owner}")
            self.hardware.expect_handle(arq)
            expect(host in (None, arq["hostname"]), f"an ARQ is on {arq['hostname']}, not {host}")
            ours = [each.uuid for each in self.hardware.deployables(arq["hostname"])]
            expect(arq["device_rp_uuid"] in ours, f"an ARQ of provider {arq['device_rp_uuid']}")
        allocated = self.placement.allocated(server, self.hardware.resource_class)
        wanted = {arq["device_rp_uuid"] for arq in arqs}
        expect(
            set(allocated) == wanted and sum(allocated.values()) == count,
            f"it has {allocated} of our providers allocated, and {count} ARQs",
        )
        owned = self.database.handles_of(server)
        expect(owned == count, f"it owns {owned} handles instead of {count}")
        return arqs

    # -- cleaning up

    def wait_for_compute(self, host: str) -> None:
        """Wait for a host's nova-compute, and take back that it is dead if somebody said so."""

        def look() -> None:
            try:
                self.cloud.force_down(host, False)
                state = self.cloud.service_of(host).state
            except Exception as error:  # nova-api starts, or nova-compute has yet to clear up
                raise Unexpected(f"nova-compute of {host} stays forced down: {error}") from error
            expect(state == "up", f"nova-compute of {host} is {state}")

        eventually(look, 60)

    def wait_for_computes(self) -> None:
        """Wait until servers can be booted on all hosts."""
        for host in self.hosts:
            self.wait_for_compute(host)

    def stop_computes(self) -> None:
        """Stop every nova-compute, which Nova does not notice for a while."""
        self.stack.stop(*(f"nova-compute-{host}" for host in self.hosts))

    def clean_up(self) -> None:
        """Take away what the flow has made, and mend what it has stopped or changed.

        :raises Unexpected: something cannot be taken away or mended.
        """
        self.stack.release_events()
        if not self.stack.complete():
            self.stack.start_again()
        self.wait_for_computes()
        self.cloud.delete(self._servers)
        self._servers.clear()
        for flavor in self._flavors:
            self.cloud.admin.compute.delete_flavor(flavor)
        self._flavors.clear()

    def forget_profiles(self) -> None:
        """Delete the flow's profiles, which must be in use no more."""
        for profile in self._profiles:
            self.cloud.admin.accelerator.delete_device_profile(profile)
        self._profiles.clear()

    def fresh(self) -> None:
        """Start our service again, on an empty database, with nothing allocated."""
        self._profiles.clear()
        self.service.stop()
        self.sweep()
        self.service.start()
        self.service.wait_for_reports()
        self.wait_for_providers()

    def sweep(self) -> None:
        """Take away all of ours, whoever made it, and our providers."""
        cloud = self.cloud
        cloud.delete(
            server.id
            for server in cloud.admin.compute.servers(all_projects=True, name=PREFIX)
            if server.name.startswith(PREFIX)
        )
        for flavor in cloud.admin.compute.flavors():
            if flavor.name.startswith(PREFIX):
                cloud.admin.compute.delete_flavor(flavor)
        ours = {deployable.uuid for deployable in self.hardware.deployables()}
        for provider in {*ours, *self.placement.ours()}:
            for consumer in self.placement.consumers(provider):
                expect(cloud.status(consumer) == "gone", f"{consumer} has something of {provider}")
                self.placement.release(consumer)
            self.placement.delete_provider(provider)
        # A nova-compute fails boots as long as it remembers a provider that has gone.
        self._restart_computes()

    def _restart_computes(self) -> None:
        """Restart every nova-compute, and wait until each has said that it is there."""
        self.stop_computes()
        last = {host: self.cloud.service_of(host).updated_at for host in self.hosts}
        self.stack.start_again()
        for host, before in last.items():
            wait_for(f"nova-compute of {host}", partial(self._has_said_more, host, before))

    def _has_said_more(self, host: str, before: str) -> bool:
        return self.cloud.service_of(host).updated_at != before
