"""A host dies; its servers, and their accelerators, come back on another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cards import VirtualFunctions
from waiting import eventually, expect, wait_for

from flows.base import Flow

if TYPE_CHECKING:
    from bench import Bench


def evacuate(bench: Bench) -> None:
    """An administrator evacuates a server from a dead host; its owner goes on with it."""
    cloud = bench.cloud
    with bench.need("boots"):
        [server] = bench.booted(bench.flavor())
        [arq] = bench.holds(server)
    old = arq["hostname"]
    new = next(host for host in bench.hosts if host != old)
    with bench.need("its host dies, and the administrator says so"):
        bench.stack.stop(f"nova-compute-{old}")
        cloud.force_down(old, True)
        wait_for("Nova to know it", lambda: cloud.service_of(old).state == "down")
    with bench.need("the administrator evacuates it: ACTIVE on the other host"):
        answer = cloud.act(server, "evacuate", {"host": new})
        expect(answer.status_code == 200, f"Nova answers {answer.status_code} {answer.text[:300]}")
        eventually(lambda: _expect_on(bench, server, new), 90)
        cloud.settle(server, "ACTIVE")
    with bench.need("its ARQ is there too, and still the member's"):
        _holds_on(bench, server, new)
    with bench.check("the member reboots it"):
        cloud.demo.compute.reboot_server(server, "HARD")
        cloud.settle(server, "ACTIVE")
        _holds_on(bench, server, new)
    with bench.need("the dead host comes back, and has nothing of it any more"):
        bench.stack.start_again()
        bench.wait_for_compute(old)
        eventually(lambda: _expect_unused(bench, old), 90)
    with bench.check("the server has what it should, and nothing else"):
        bench.holds(server, host=new)
    with bench.check("the member deletes it: nothing is left"):
        cloud.demo.compute.delete_server(server)
        cloud.wait_gone([server])
        eventually(bench.expect_nothing_left)


def _holds_on(bench: Bench, server: str, host: str) -> None:
    """What :meth:`Bench.holds` checks, but for the allocation on the dead host.

    Nova keeps that until the host is back.
    """

    def look() -> None:
        arqs = bench.cloud.arqs(server)
        expect(len(arqs) == 1, f"it has {len(arqs)} ARQs")
        [arq] = arqs
        seen = arq["state"], arq["hostname"], arq["instance_uuid"], arq["project_id"]
        owner = bench.cloud.demo_project
        plain = (*seen[:3], seen[3].replace("-", ""))
        expect(plain == ("Bound", host, server, owner), f"its ARQ is {seen}")
        expect(bench.database.owned_handles() == 1, "more than one handle is taken")
        allocated = bench.placement.allocated(server, bench.hardware.resource_class)
        expect(bench.deployable(host).uuid in allocated, f"its allocations are {allocated}")

    eventually(look)


def _expect_on(bench: Bench, server: str, host: str) -> None:
    found = bench.cloud.server(server)
    expect(found.compute_host == host, f"it is on {found.compute_host}, {found.task_state}")


def _expect_unused(bench: Bench, host: str) -> None:
    deployable = bench.deployable(host)
    consumers = bench.placement.consumers(deployable.uuid)
    expect(not consumers, f"allocations are left there: {consumers}")
    bench.placement.expect_whole(deployable)
    clean = bench.database.clean_handles(deployable.uuid)
    expect(clean == deployable.total, f"only {clean} handles are free there")


FLOWS = (
    Flow("evacuate", evacuate),
    Flow("vf-evacuate", evacuate, VirtualFunctions),
)
