"""The audit beside a real Placement and a stand-in for Nova."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from cyborg.conductor import comparing, leftovers, providers, releasing
from cyborg.conductor.audit import healing, looking
from cyborg.conductor.audit.disagreement import Disagreement, Kind
from cyborg.conductor.audit.looking import LOOKED_AT, NOT_CONFIGURED, NOT_LOOKED_AT, Part
from cyborg.conductor.environment import Environment
from cyborg.db.tables import accelerator_requests, jobs
from cyborg.db.types import database_now
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.tests.functional.conductor.harness import (
    NAME,
    PROJECT,
    RP,
    bind,
    card,
    let_run_out,
    make,
    rows,
)
from cyborg.tests.functional.conductor.racing import parts, whole
from cyborg.tests.helpers import HOST, device, profile, report
from cyborg.tests.servers import NovaStandIn, Placement, StandInServer

WHOLE, PARTS = provider_uuid(whole().name), provider_uuid(parts().name)


@dataclasses.dataclass
class Cloud:
    """A conductor, Placement, Nova, and a server that has a device."""

    env: Environment
    placement: Placement
    nova: NovaStandIn
    root: str
    instance: str = ""
    arq: str = ""

    def found(self) -> list[Disagreement]:
        """Return what a look finds, where everybody is asked."""
        look = looking.twice(self.env, lambda: None)
        assert set(look.parts.values()) == {LOOKED_AT}
        return list(look.disagreements)

    def boot(self, rp: str = RP, resource_class: str = "FPGA", name: str = "one") -> None:
        """Let a server be there, with a device."""
        self.instance = new_uuid()
        self.nova.servers[self.instance] = StandInServer(PROJECT, HOST)
        [self.arq] = make(self.env, name)
        self.placement.allocate(self.instance, {rp: {resource_class: 1}})
        bind(self.env, self.arq, instance=self.instance, rp=rp)

    def settle(self) -> None:
        """Let Placement hear of everything."""
        let_run_out(self.env, jobs)
        while providers.sweep(self.env):
            pass

    def let_grace_pass(self) -> None:
        """Let it be long ago that anything was bound, or lost its allocation."""
        long_ago = accelerator_requests.update().values(bound_at=database_now(-10_000))
        since = accelerator_requests.c.leftover_since
        with self.env.database.engine.begin() as connection:
            connection.execute(long_ago)
            over = accelerator_requests.update().where(since.is_not(None))
            connection.execute(over.values(leftover_since=database_now(-10_000)))


@pytest.fixture
def cloud(cloud_env: Environment, empty_placement: Placement, nova: NovaStandIn) -> Cloud:
    cloud = Cloud(cloud_env, empty_placement, nova, empty_placement.make_root(HOST))
    profile(cloud_env, "one", {"resources:FPGA": "1"})
    profile(cloud_env, "whole", {"resources:PGPU": "1"})
    report(cloud_env, card(4), device("card-shapes", whole(), parts()))
    cloud.settle()
    cloud.boot()
    return cloud


def too_many(cloud: Cloud) -> str:
    cloud.placement.set_inventory(RP, "FPGA", total=9, reserved=2, max_unit=4)
    return (
        f"Resource provider {NAME} ({RP}) differs: total of FPGA is 9 and not 4; "
        "reserved of FPGA is 2 and not 0."
    )


def nothing_of_it(cloud: Cloud) -> str:
    cloud.placement.remove_inventory(WHOLE, "PGPU")
    return "it has no PGPU, of which there are 1."


def something_else(cloud: Cloud) -> str:
    cloud.placement.set_inventory(WHOLE, "CUSTOM_OTHER", total=1)
    return "it has CUSTOM_OTHER, which it should not."


def other_traits(cloud: Cloud) -> str:
    cloud.placement.set_traits(RP, ["OWNER_CYBORG", "CUSTOM_OTHER"])
    return (
        "it lacks the trait CUSTOM_FAKE_DEVICE; it has the trait CUSTOM_OTHER, which it should not."
    )


def without_owner(cloud: Cloud) -> str:
    cloud.placement.set_traits(RP, ["CUSTOM_FAKE_DEVICE"])
    return "it lacks the trait OWNER_CYBORG."


def wiped(cloud: Cloud) -> str:
    assert cloud.placement.delete_provider(WHOLE) == 204
    return f"Resource provider {whole().name} ({WHOLE}) is not in Placement."


def below_another(cloud: Cloud) -> str:
    cloud.placement.delete_provider(WHOLE)
    other = cloud.placement.make_root("elsewhere")
    body = {"name": whole().name, "uuid": WHOLE, "parent_provider_uuid": other}
    assert cloud.placement.ask("POST", "/resource_providers", body).ok
    inventory = {"total": 1, "max_unit": 1, "step_size": 1, "min_unit": 1}
    cloud.placement.set_inventory(WHOLE, "PGPU", **inventory)
    cloud.placement.set_traits(WHOLE, ["OWNER_CYBORG"])
    return f"it is below {other} and not below {cloud.root}."


def orphan(cloud: Cloud) -> str:
    uuid = new_uuid()
    body = {"name": "orphan", "uuid": uuid, "parent_provider_uuid": cloud.root}
    assert cloud.placement.ask("POST", "/resource_providers", body).ok
    cloud.placement.set_traits(uuid, ["OWNER_CYBORG"])
    return f"Resource provider orphan ({uuid}) is ours by its trait, and no device is behind it."


def foreign(cloud: Cloud) -> str:
    cloud.placement.set_traits(RP, ["OWNER_CYBORG", "OWNER_NOVA", "CUSTOM_FAKE_DEVICE"])
    return f"Resource provider {NAME} ({RP}) is owned by another: OWNER_CYBORG, OWNER_NOVA."


def unused_allocation(cloud: Cloud) -> str:
    server = new_uuid()
    cloud.nova.servers[server] = StandInServer(PROJECT, HOST)
    cloud.placement.allocate(server, {RP: {"FPGA": 1}})
    return (
        f"{server} has an allocation on resource provider {NAME} ({RP}), and no accelerator "
        "request there."
    )


def left_behind(cloud: Cloud) -> str:
    cloud.placement.deallocate(cloud.instance)
    del cloud.nova.servers[cloud.instance]
    leftovers.compare(cloud.env)
    cloud.settle()
    cloud.let_grace_pass()
    return f"belongs to server {cloud.instance}, which has no allocation for it and is not there."


def doubtful(cloud: Cloud) -> str:
    cloud.placement.deallocate(cloud.instance)
    leftovers.compare(cloud.env)
    cloud.settle()
    cloud.let_grace_pass()
    return "which has no allocation for it and is on that host: it keeps the device."


def gone(cloud: Cloud) -> str:
    del cloud.nova.servers[cloud.instance]
    return f"request {cloud.arq} belongs to server {cloud.instance}, which Nova does not know."


def elsewhere(cloud: Cloud) -> str:
    cloud.nova.servers[cloud.instance] = StandInServer(PROJECT, "compute-2")
    return f"is for host {HOST}, and its server {cloud.instance} is on compute-2."


CASES: dict[Callable[[Cloud], str], tuple[Kind, bool]] = {
    too_many: (Kind.PROVIDER_DIFFERS, True),
    nothing_of_it: (Kind.PROVIDER_DIFFERS, True),
    something_else: (Kind.PROVIDER_DIFFERS, True),
    other_traits: (Kind.PROVIDER_DIFFERS, True),
    without_owner: (Kind.PROVIDER_DIFFERS, True),
    below_another: (Kind.PROVIDER_DIFFERS, True),
    wiped: (Kind.PROVIDER_MISSING, True),
    orphan: (Kind.PROVIDER_ORPHANED, True),
    foreign: (Kind.PROVIDER_FOREIGN, False),
    unused_allocation: (Kind.ALLOCATION_WITHOUT_REQUEST, False),
    left_behind: (Kind.REQUEST_WITHOUT_ALLOCATION, True),
    doubtful: (Kind.REQUEST_WITHOUT_ALLOCATION, False),
    gone: (Kind.SERVER_GONE, False),
    elsewhere: (Kind.SERVER_ELSEWHERE, False),
}


@pytest.mark.parametrize("broken", CASES, ids=lambda case: case.__name__)
def test_it_is_found_and_healed(cloud: Cloud, broken: Callable[[Cloud], str]) -> None:
    kind, healable = CASES[broken]
    words = broken(cloud)
    [found] = cloud.found()
    assert (found.kind, found.healable, words in found.words) == (kind, healable, True), found
    assert healing.heal(cloud.env, [found]) == [found] * healable
    assert [each.kind for each in cloud.found()] == [kind] * (not healable)


def test_a_cloud_at_work_is_sound(cloud: Cloud) -> None:
    """Also with what is given out in another shape, is being released, or is yet to be bound."""
    assert cloud.found() == []
    cloud.boot(WHOLE, "PGPU", "whole")
    assert cloud.found() == []
    releasing.delete(cloud.env, [cloud.arq])
    cloud.placement.deallocate(cloud.instance)
    cloud.settle()
    assert cloud.found() == []
    server = new_uuid()
    cloud.nova.servers[server] = StandInServer(PROJECT, None, task_state="scheduling")
    cloud.placement.allocate(server, {RP: {"FPGA": 1}})
    assert cloud.found() == []


def test_a_class_that_has_gone_stays_as_long_as_somebody_has_it(cloud: Cloud) -> None:
    report(cloud.env, card(4, resource_class="CUSTOM_NEW"))
    cloud.settle()
    assert set(cloud.placement.inventories(RP)) == {"FPGA", "CUSTOM_NEW"}
    assert [each for each in cloud.found() if each.which == RP] == []


def test_what_a_conductor_is_about_to_do_is_no_disagreement(cloud: Cloud) -> None:
    too_many(cloud)
    comparing.compare(cloud.env)
    assert rows(cloud.env, jobs)
    assert cloud.found() == []


def test_what_was_tried_in_vain_is_said_with_the_reason(cloud: Cloud) -> None:
    orphan(cloud)
    uuid = next(p["uuid"] for p in cloud.placement.providers() if p["name"] == "orphan")
    cloud.placement.set_inventory(uuid, "FPGA", total=1)
    cloud.placement.allocate(new_uuid(), {uuid: {"FPGA": 1}})
    comparing.compare(cloud.env)
    cloud.settle()
    kinds = {each.kind: each.words for each in cloud.found()}
    assert "It was tried in vain: provider orphan has no device" in kinds[Kind.PROVIDER_ORPHANED]


def test_within_its_grace_an_arq_may_be_without_allocation(cloud: Cloud) -> None:
    cloud.placement.deallocate(cloud.instance)
    del cloud.nova.servers[cloud.instance]
    assert cloud.found() == []


def test_who_does_not_answer_is_said_and_the_others_are_asked(cloud: Cloud) -> None:
    gone(cloud)
    cloud.placement.kill()
    look = looking.disagreements(cloud.env)
    assert [each.kind for each in look.disagreements] == [Kind.SERVER_GONE]
    assert look.parts[Part.PLACEMENT].startswith(f"{NOT_LOOKED_AT}: Placement: ")
    assert look.parts[Part.NOVA] == LOOKED_AT
    assert not look.is_whole
    cloud.placement.start()
    too_many(cloud)
    cloud.nova.failing(503)
    look = looking.disagreements(cloud.env)
    assert [each.kind for each in look.disagreements] == [Kind.PROVIDER_DIFFERS]
    assert look.parts[Part.NOVA].startswith(f"{NOT_LOOKED_AT}: Nova: ")


def test_where_there_is_no_nova_the_allocations_are_compared(cloud: Cloud) -> None:
    env = dataclasses.replace(cloud.env, nova=None)
    cloud.placement.deallocate(cloud.instance)
    unused_allocation(cloud)
    cloud.let_grace_pass()
    look = looking.disagreements(env)
    kinds = [each.kind for each in look.disagreements]
    assert kinds == [Kind.ALLOCATION_WITHOUT_REQUEST, Kind.REQUEST_WITHOUT_ALLOCATION]
    assert (look.parts[Part.NOVA], look.is_whole) == (NOT_CONFIGURED, True)
    assert not any(each.healable for each in look.disagreements)
