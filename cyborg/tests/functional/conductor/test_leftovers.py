"""ARQs that Nova has left behind are released; nothing else ever is.

With a real Placement, which knows the allocations, and a stand-in for Nova.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Callable
from typing import Any

import pytest

from cyborg.conductor import leftovers, providers, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.database import Database
from cyborg.db.tables import accelerator_requests, jobs, outbox
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.errors import ServiceUnavailable
from cyborg.domain.states import ArqState
from cyborg.tests.functional.conductor.harness import (
    PROJECT,
    RP,
    answer,
    arq,
    arqs,
    bind,
    card,
    everything,
    fail_to_prepare,
    held,
    interrupted,
    make,
    only_sqlite,
    rows,
    server,
)
from cyborg.tests.helpers import HOST, RecordingAgents, placement_client, profile, report
from cyborg.tests.servers import NovaStandIn, Placement, StandInServer


@dataclasses.dataclass
class Cloud:
    """A conductor with Nova and Placement."""

    env: Environment
    placement: Placement
    nova: NovaStandIn

    def boot(self, rp: str = RP, *, allocate: bool = True) -> tuple[str, str]:
        """Let Nova boot a server; return its ARQ and its uuid."""
        [uuid], instance = make(self.env), server(self.nova)
        if allocate:
            self.placement.allocate(instance, {rp: {"FPGA": 1}})
        bind(self.env, uuid, instance=instance, rp=rp)
        return uuid, instance

    def leave(self) -> tuple[str, str]:
        """Let Nova leave an ARQ behind: the server is gone. Return the ARQ and the server."""
        uuid, instance = self.boot(allocate=False)
        del self.nova.servers[instance]
        return uuid, instance

    def look(self) -> int:
        return leftovers.compare(self.env)

    def suspected(self) -> list[str]:
        found = rows(self.env, accelerator_requests)
        return [row.uuid for row in found if row.leftover_since is not None]

    def wait(self, seconds: float) -> None:
        """Let so much time pass for ARQs that are suspected."""
        table = accelerator_requests
        past = datetime.timedelta(seconds=seconds)
        with self.env.database.engine.begin() as connection:
            for row in rows(self.env, table):
                if row.leftover_since is not None:
                    change = table.update().where(table.c.id == row.id)
                    connection.execute(change.values(leftover_since=row.leftover_since - past))

    def wait_long_enough(self) -> None:
        self.wait(self.env.conf.conductor.leftover_grace_period + 1)

    def reserved(self, rp: str = RP) -> int:
        """Let Placement hear of everything; return how many accelerators are reserved there."""
        while providers.sweep(self.env):
            pass
        found: int = self.placement.inventories(rp)["FPGA"]["reserved"]
        return found


def publish(cloud: Cloud, **values: Any) -> Cloud:
    """Let there be sixteen handles of one provider, and a profile of one."""
    report(cloud.env, card(**values))
    profile(cloud.env)
    assert cloud.reserved() == 0
    cloud.placement.forget_requests()
    return cloud


@pytest.fixture
def bare(cloud_env: Environment, empty_placement: Placement, nova: NovaStandIn) -> Cloud:
    """Nothing but the compute node's provider."""
    empty_placement.make_root(HOST)
    return Cloud(cloud_env, empty_placement, nova)


@pytest.fixture
def cloud(bare: Cloud) -> Cloud:
    """A device that needs neither preparing nor releasing."""
    return publish(bare)


def looked(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was written that somebody should see."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "cyborg.conductor.leftovers" and record.levelno >= logging.WARNING
    ]


def test_a_left_over_arq_is_released_after_the_grace_period(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    uuid, instance = cloud.leave()
    assert cloud.look() == 0
    assert cloud.suspected() == [uuid]
    grace = cloud.env.conf.conductor.leftover_grace_period
    cloud.wait(grace - 10)
    assert cloud.look() == 0
    assert arq(cloud.env, uuid).state is ArqState.BOUND
    assert held(cloud.env) == 1
    assert len(looked(caplog)) == 1
    cloud.wait(grace + 1)
    assert cloud.look() == 1
    assert arqs(cloud.env) == []
    assert held(cloud.env) == 0
    assert all(uuid in line and instance in line for line in looked(caplog))
    assert len(looked(caplog)) == 2
    assert cloud.look() == 0


@only_sqlite
def test_what_has_an_allocation_is_never_touched(cloud: Cloud) -> None:
    uuids = []
    for change in ({"vm_state": "error"}, {"host": "elsewhere"}, None):
        uuid, instance = cloud.boot()
        uuids.append(uuid)
        if change is None:
            del cloud.nova.servers[instance]
        else:
            vars(cloud.nova.servers[instance]).update(change)
    before = everything(cloud.env)
    assert cloud.look() == 0
    assert everything(cloud.env) == before
    assert not any(method == "GET" for method, _ in cloud.nova.requests)


@only_sqlite
def test_an_allocation_of_something_else_of_the_instance_does_not_count(cloud: Cloud) -> None:
    """Only one on the provider of the ARQ does."""
    report(cloud.env, card(), card(1, "other"))
    cloud.reserved()
    uuid, instance = cloud.leave()
    cloud.placement.allocate(instance, {provider_uuid("other"): {"FPGA": 1}})
    cloud.look()
    assert cloud.suspected() == [uuid]


@pytest.mark.parametrize(
    "values",
    [
        {"vm_state": "error", "host": None},
        {"vm_state": "active", "host": "elsewhere"},
        {"vm_state": "shelved_offloaded", "host": None},
        {"vm_state": "building", "host": None},
    ],
    ids=lambda values: values["vm_state"],
)
@only_sqlite
def test_an_arq_is_left_over_too_if_its_server_lives_without_it(
    cloud: Cloud, values: dict[str, str | None]
) -> None:
    uuid, instance = cloud.boot(allocate=False)
    vars(cloud.nova.servers[instance]).update(values)
    assert cloud.look() == 0
    assert cloud.suspected() == [uuid]
    cloud.wait_long_enough()
    assert cloud.look() == 1
    assert arqs(cloud.env) == []


@only_sqlite
def test_nova_means_the_compute_node_not_the_service_on_it(cloud: Cloud) -> None:
    _, instance = cloud.boot(allocate=False)
    cloud.nova.servers[instance].host = "service"
    cloud.nova.servers[instance].node = HOST
    cloud.look()
    cloud.wait_long_enough()
    assert cloud.look() == 0


@only_sqlite
def test_while_nova_works_on_the_server_it_is_not_suspected(cloud: Cloud) -> None:
    _, instance = cloud.boot(allocate=False)
    for vm_state, host in (("building", None), ("active", "elsewhere"), ("error", HOST)):
        vars(cloud.nova.servers[instance]).update(
            vm_state=vm_state, host=host, task_state="spawning"
        )
        assert cloud.look() == 0
        assert cloud.suspected() == []


@pytest.mark.parametrize("what", ["an allocation", "a task"])
def test_what_is_needed_after_all_is_suspected_no_more(
    cloud: Cloud, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    uuid, instance = cloud.boot(allocate=False)
    cloud.nova.servers[instance].host = None
    cloud.look()
    cloud.wait_long_enough()
    if what == "a task":
        cloud.nova.servers[instance].task_state = "rebuilding"
    else:
        cloud.placement.allocate(instance, {RP: {"FPGA": 1}})
    assert cloud.look() == 0
    assert cloud.suspected() == []
    assert "needed after all" in looked(caplog)[-1]
    if what == "a task":
        cloud.nova.servers[instance].task_state = None
    else:
        cloud.placement.deallocate(instance)
    assert cloud.look() == 0, "the grace period did not begin anew"
    assert cloud.suspected() == [uuid]
    assert arq(cloud.env, uuid).state is ArqState.BOUND


@pytest.mark.parametrize("vm_state", ["active", "stopped", "shelved", "soft-delete", "error"])
@only_sqlite
def test_a_server_that_is_on_the_arqs_host_keeps_it(
    cloud: Cloud, caplog: pytest.LogCaptureFixture, vm_state: str
) -> None:
    """Its allocation is lost, not the guest that has the device."""
    uuid, instance = cloud.boot(allocate=False)
    cloud.nova.servers[instance].vm_state = vm_state
    before = arq(cloud.env, uuid)
    for _ in range(3):
        assert cloud.look() == 0
        cloud.wait_long_enough()
    assert arq(cloud.env, uuid) == before
    assert held(cloud.env) == 1
    [line] = looked(caplog)
    assert uuid in line


@only_sqlite
def test_the_grace_period_does_not_begin_while_it_is_only_doubtful(cloud: Cloud) -> None:
    """Two looks, a grace period apart, must find it left over."""
    uuid, instance = cloud.boot(allocate=False)
    cloud.look()
    cloud.wait_long_enough()
    del cloud.nova.servers[instance]
    assert cloud.look() == 0
    assert cloud.reserved() == 1
    cloud.wait(cloud.env.conf.conductor.leftover_grace_period - 10)
    assert cloud.look() == 0
    # It is there again, and gone again: the count begins anew.
    cloud.nova.servers[instance] = StandInServer(PROJECT, HOST)
    cloud.look()
    cloud.wait_long_enough()
    del cloud.nova.servers[instance]
    assert cloud.look() == 0
    assert cloud.suspected() == [uuid]
    cloud.wait_long_enough()
    assert cloud.look() == 1


@only_sqlite
def test_a_cell_that_is_down_keeps_no_others_from_being_looked_at(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    _, unknown = cloud.boot(allocate=False)
    vars(cloud.nova.servers[unknown]).update(cell_down=True)
    uuid, _ = cloud.leave()
    cloud.look()
    cloud.wait_long_enough()
    assert cloud.suspected() == [uuid]
    assert cloud.look() == 1
    assert len(arqs(cloud.env)) == 1
    assert "not looked at" in caplog.text


@only_sqlite
def test_what_a_user_bound_directly_is_reported_and_stays(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody ever allocates for it."""
    [uuid] = make(cloud.env)
    bind(cloud.env, uuid, instance=new_uuid(), by_service=False)
    before = arq(cloud.env, uuid)
    for _ in range(3):
        assert cloud.look() == 0
        cloud.wait_long_enough()
    assert arq(cloud.env, uuid) == before
    [line] = looked(caplog)
    assert uuid in line
    assert "bound_by_service=False" in line


TROUBLES: dict[str, Callable[[Cloud], None]] = {
    "Nova is down": lambda cloud: cloud.nova.down(),
    "Nova fails": lambda cloud: cloud.nova.failing(500),
    "Nova does not let us": lambda cloud: cloud.nova.failing(403),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("ripe", [False, True])
@only_sqlite
def test_if_nova_cannot_be_asked_nothing_is_done(cloud: Cloud, trouble: str, ripe: bool) -> None:
    _, instance = cloud.boot(allocate=False)
    cloud.nova.servers[instance].host = None
    if ripe:
        cloud.look()
        cloud.wait_long_enough()
    before = everything(cloud.env)
    TROUBLES[trouble](cloud)
    with pytest.raises(ServiceUnavailable, match="Nova"):
        cloud.look()
    assert everything(cloud.env) == before


@pytest.mark.parametrize("ripe", [False, True])
@only_sqlite
def test_if_placement_cannot_be_asked_nothing_is_done(cloud: Cloud, ripe: bool) -> None:
    cloud.leave()
    if ripe:
        cloud.look()
        cloud.wait_long_enough()
    before = everything(cloud.env)
    cloud.nova.forget()
    nowhere = placement_client("http://127.0.0.1:9")
    with pytest.raises(ServiceUnavailable, match="Placement"):
        leftovers.compare(dataclasses.replace(cloud.env, placement=nowhere))
    assert everything(cloud.env) == before
    assert not cloud.nova.requests


@pytest.mark.parametrize("ripe", [False, True])
@only_sqlite
def test_if_placement_has_lost_the_provider_nothing_is_done(cloud: Cloud, ripe: bool) -> None:
    cloud.leave()
    if ripe:
        cloud.look()
        cloud.wait_long_enough()
    before = everything(cloud.env)
    cloud.placement.wipe()
    assert cloud.look() == 0
    assert everything(cloud.env) == before


@only_sqlite
def test_without_nova_or_placement_nothing_is_done(cloud: Cloud) -> None:
    cloud.leave()
    before = everything(cloud.env)
    assert leftovers.compare(dataclasses.replace(cloud.env, nova=None)) == 0
    assert leftovers.compare(dataclasses.replace(cloud.env, placement=None)) == 0
    assert everything(cloud.env) == before
    assert cloud.placement.requests() == []


@pytest.mark.parametrize("ripe", [False, True])
def test_an_arq_that_changes_while_it_is_looked_at_stays(
    cloud: Cloud, other_database: Database, caplog: pytest.LogCaptureFixture, ripe: bool
) -> None:
    uuid, _ = cloud.leave()
    if ripe:
        cloud.look()
        cloud.wait_long_enough()
        caplog.clear()
    other, instance = dataclasses.replace(cloud.env, database=other_database), server(cloud.nova)

    def meanwhile() -> None:
        cloud.placement.allocate(instance, {RP: {"FPGA": 1}})
        releasing.unbind(other, [uuid])
        bind(other, uuid, instance=instance)

    assert leftovers.compare(interrupted(cloud.env, meanwhile)) == 0
    found = arq(cloud.env, uuid)
    assert (found.state, found.instance_uuid) == (ArqState.BOUND, instance)
    assert looked(caplog) == []
    assert cloud.suspected() == []
    assert held(cloud.env) == 1


def test_an_arq_that_goes_while_it_is_looked_at_is_no_trouble(
    cloud: Cloud, other_database: Database
) -> None:
    uuid, _ = cloud.leave()
    other = dataclasses.replace(cloud.env, database=other_database)
    leftovers.compare(interrupted(cloud.env, lambda: releasing.delete(other, [uuid])))
    assert arqs(cloud.env) == []
    assert held(cloud.env) == 0


def test_a_dirty_device_is_released_by_its_agent(bare: Cloud, agents: RecordingAgents) -> None:
    cloud = publish(bare, needs_release=True)
    uuid, _ = cloud.leave()
    cloud.look()
    cloud.wait_long_enough()
    assert cloud.look() == 1
    assert arqs(cloud.env) == []
    assert held(cloud.env) == 1, "the handle is free, but not clean"
    assert cloud.reserved() == 1
    [(_, work)] = agents.sent
    assert work.kind == "release"
    assert cloud.look() == 0
    answer(cloud.env, uuid, None)
    assert held(cloud.env) == 0
    assert cloud.reserved() == 0


@pytest.mark.parametrize("action", ["unbind", "delete"])
@only_sqlite
def test_what_is_being_released_is_not_looked_at(bare: Cloud, action: str) -> None:
    cloud = publish(bare, needs_release=True)
    uuid, _ = cloud.leave()
    getattr(releasing, action)(cloud.env, [uuid])
    cloud.placement.forget_requests()
    before = everything(cloud.env)
    assert cloud.look() == 0
    assert everything(cloud.env) == before
    assert cloud.placement.requests() == []


@only_sqlite
def test_a_bind_that_has_failed_may_be_left_over(bare: Cloud, agents: RecordingAgents) -> None:
    """Nova is told of it in vain for as long as there is the ARQ."""
    cloud = publish(bare, needs_prepare=True)
    uuid, _ = cloud.leave()
    fail_to_prepare(cloud.env, uuid)
    assert len(rows(cloud.env, outbox)) == 1
    cloud.look()
    cloud.wait_long_enough()
    assert cloud.look() == 1
    assert arqs(cloud.env) == rows(cloud.env, outbox) == []
    assert agents.sent[-1][1].kind == "release"


@only_sqlite
def test_what_was_never_bound_or_is_not_bound_any_more_is_not_looked_at(cloud: Cloud) -> None:
    make(cloud.env)
    uuid, _ = cloud.leave()
    releasing.unbind(cloud.env, [uuid])
    before = everything(cloud.env)
    assert cloud.look() == 0
    assert everything(cloud.env) == before
    assert cloud.placement.requests() == []


def test_while_it_is_suspected_its_handle_is_reserved_in_placement(cloud: Cloud) -> None:
    uuid, instance = cloud.leave()
    cloud.boot()
    assert cloud.reserved() == 0
    cloud.look()
    assert [row.kind for row in rows(cloud.env, jobs)] == ["inventory"]
    assert cloud.reserved() == 1
    cloud.placement.allocate(instance, {RP: {"FPGA": 1}})
    cloud.look()
    assert cloud.reserved() == 0
    cloud.placement.deallocate(instance)
    cloud.look()
    assert cloud.reserved() == 1
    cloud.wait_long_enough()
    assert cloud.look() == 1
    assert cloud.placement.inventories(RP)["FPGA"]["reserved"] == 0, "not told at once"
    assert rows(cloud.env, jobs) == []
    assert [a.uuid for a in arqs(cloud.env)] != [uuid]


@only_sqlite
def test_a_suspected_arq_that_is_bound_anew_is_not_suspected(cloud: Cloud) -> None:
    uuid, _ = cloud.leave()
    cloud.look()
    releasing.unbind(cloud.env, [uuid])
    assert cloud.suspected() == []
    assert cloud.reserved() == 0
    bind(cloud.env, uuid, instance=server(cloud.nova))
    assert cloud.suspected() == []


@pytest.mark.parametrize("page", [2, 100])
@only_sqlite
def test_one_call_for_each_provider_however_many_arqs_there_are(
    bare: Cloud, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(leftovers, "PAGE", page)
    names = [f"provider-{n}" for n in range(5)]
    report(bare.env, *(card(4, name) for name in names))
    profile(bare.env)
    while providers.sweep(bare.env):
        pass
    used = sorted(provider_uuid(name) for name in names[:4])
    for count, rp in enumerate(used, start=1):
        for _ in range(count):
            bare.boot(rp)
    bare.placement.forget_requests()
    bare.nova.forget()
    assert bare.look() == 0
    assert [(one.method, one.path) for one in bare.placement.requests()] == [
        ("GET", f"/resource_providers/{rp}/allocations") for rp in used
    ]
    assert not bare.nova.requests
    assert bare.suspected() == []


@only_sqlite
def test_every_page_is_looked_at(bare: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "PAGE", 2)
    names = [f"provider-{n}" for n in range(5)]
    report(bare.env, *(card(1, name) for name in names))
    profile(bare.env)
    while providers.sweep(bare.env):
        pass
    for name in names:
        _, instance = bare.boot(provider_uuid(name), allocate=False)
        del bare.nova.servers[instance]
    assert bare.look() == 0
    assert len(bare.suspected()) == 5
    bare.wait_long_enough()
    assert bare.look() == 5
    assert arqs(bare.env) == []
