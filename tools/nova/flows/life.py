"""What can be done with a server that has an accelerator, and what Nova refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from cards import VirtualFunctions
from waiting import eventually, expect

from flows.base import Flow

if TYPE_CHECKING:
    from bench import Bench


class Operation(NamedTuple):
    """Something that a member does with a server, which keeps its accelerators meanwhile."""

    name: str
    action: Callable[[], Any]
    #: The server's status afterwards.
    status: str


def operations(bench: Bench, server: str) -> list[Operation]:
    """Return all that keep a server's accelerators, in an order in which Nova allows them."""
    nova, image = bench.cloud.demo.compute, bench.cloud.images[1]
    return [
        Operation("soft reboot", lambda: nova.reboot_server(server, "SOFT"), "ACTIVE"),
        Operation("hard reboot", lambda: nova.reboot_server(server, "HARD"), "ACTIVE"),
        Operation("stop", lambda: nova.stop_server(server), "SHUTOFF"),
        Operation("start", lambda: nova.start_server(server), "ACTIVE"),
        Operation("pause", lambda: nova.pause_server(server), "PAUSED"),
        Operation("unpause", lambda: nova.unpause_server(server), "ACTIVE"),
        Operation("rebuild", lambda: nova.rebuild_server(server, image=image), "ACTIVE"),
    ]


def life(bench: Bench) -> None:
    """A member reboots, stops, starts, pauses, unpauses and rebuilds a server."""
    with bench.need("boots"):
        [server] = bench.booted(bench.flavor())
        [arq] = bench.holds(server)
    for operation in operations(bench, server):
        with bench.check(operation.name):
            operation.action()
            bench.cloud.settle(server, operation.status)
            [now] = bench.holds(server)
            expect(now == arq, f"it has another ARQ, or that has changed: {now}")
            expect(bench.database.owned_handles() == 1, "other handles are taken")
    with bench.check("the rebuilt server has the other image"):
        expect(bench.cloud.server(server).image.id == bench.cloud.images[1], "it has the old one")


def shelve(bench: Bench) -> None:
    """A member shelves and unshelves a server; an administrator unshelves it, it stays theirs."""
    member, admin = bench.cloud.demo.compute, bench.cloud.admin.compute
    with bench.need("boots"):
        [server] = bench.booted(bench.flavor())
        bench.holds(server)

    def offload() -> None:
        member.shelve_server(server)
        bench.cloud.settle(server, "SHELVED_OFFLOADED")
        bench.holds(server, 0)
        eventually(bench.expect_nothing_left)

    def back(nova: Any) -> None:
        nova.unshelve_server(server)
        bench.cloud.settle(server, "ACTIVE")
        bench.holds(server)
        expect(bench.database.owned_handles() == 1, "other handles are taken")

    with bench.need("the member shelves it: its accelerator is free"):
        offload()
    with bench.need("the member unshelves it: it has one again"):
        back(member)
    with bench.need("the member shelves it again"):
        offload()
    with bench.need("the administrator unshelves it: the ARQ is the member's"):
        back(admin)
    with bench.check("the member still sees the ARQ"):
        seen = bench.cloud.arqs(server, bench.cloud.demo)
        expect(len(seen) == 1, f"the member sees {seen}")
    with bench.check("the member still reboots it"):
        member.reboot_server(server, "HARD")
        bench.cloud.settle(server, "ACTIVE")
        bench.holds(server)
    with bench.check("the member still deletes it: nothing is left"):
        _delete_as_member(bench, server)


def refused(bench: Bench) -> None:
    """Nova refuses to resize, to migrate and to suspend; nothing changes."""
    cloud = bench.cloud
    with bench.need("boots"):
        [server] = bench.booted(bench.flavor())
        before = bench.holds(server)
    other = cloud.admin.compute.find_flavor("ms.small").id
    migration = {"host": None, "block_migration": "auto"}
    for what, connection, action, body in (
        ("resize", cloud.demo, "resize", {"flavorRef": other}),
        ("suspend", cloud.demo, "suspend", None),
        ("cold migration", cloud.admin, "migrate", None),
        ("live migration", cloud.admin, "os-migrateLive", migration),
    ):
        with bench.check(f"{what} is refused, and changes nothing"):
            answer = cloud.act(server, action, body, connection=connection)
            seen = f"Nova answers {answer.status_code} {answer.text[:200]}"
            expect(answer.status_code in (400, 409), seen)
            expect("ccelerator" in answer.text, seen)
            cloud.settle(server, "ACTIVE")
            expect(bench.holds(server) == before, "its ARQ has changed")


def _delete_as_member(bench: Bench, server: str) -> None:
    bench.cloud.demo.compute.delete_server(server)
    bench.cloud.wait_gone([server])
    eventually(bench.expect_nothing_left)


FLOWS = (
    Flow("life", life),
    Flow("shelve", shelve),
    Flow("refused", refused),
    Flow("vf-life", life, VirtualFunctions),
    Flow("vf-shelve", shelve, VirtualFunctions),
    Flow("vf-refused", refused, VirtualFunctions),
)
