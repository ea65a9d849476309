"""Providers in Placement follow the database: with a real Placement, on every kind of database."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from cyborg.clients.placement import Placement as Client
from cyborg.clients.placement import ProviderInventories
from cyborg.conductor import (
    binding,
    catalogue,
    comparing,
    creating,
    finishing,
    inventory,
    provider_sync,
    providers,
    releasing,
)
from cyborg.conductor.environment import Environment
from cyborg.db.attributes import list_attributes
from cyborg.db.devices import list_devices
from cyborg.db.tables import jobs
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.errors import InvalidInput
from cyborg.domain.inventory import DeviceReport, Snapshot
from cyborg.domain.model import DeviceStatus, ProviderJobKind
from cyborg.tests.helpers import (
    HOST,
    RecordingAgents,
    deployable,
    device,
    placement_client,
    profile,
    report,
)
from cyborg.tests.servers import Placement

NAME = f"{HOST}_FakeDevice"
UUID = provider_uuid(NAME)
OWNER = "OWNER_CYBORG"


@dataclasses.dataclass
class Cloud:
    """A conductor's environment and the Placement that it publishes to."""

    env: Environment
    placement: Placement

    def sweep(self) -> None:
        """Do all that is due."""
        while providers.sweep(self.env):
            pass

    def publish(self, *devices: DeviceReport, host: str = HOST) -> None:
        """Report these devices, and let Placement hear of it."""
        report(self.env, *devices, host=host)
        self.sweep()

    def waiting(self) -> list[Any]:
        """Return the jobs about providers that are left."""
        query = sa.select(jobs).where(jobs.c.kind.in_(list(ProviderJobKind)))
        with self.env.database.reader() as connection:
            return list(connection.execute(query))

    def let_time_pass(self) -> None:
        """Make every job due."""
        with self.env.database.engine.begin() as connection:
            connection.execute(
                jobs.update().values(leased_until=self.env.clock().replace(year=2000))
            )

    def shown(self, uuid: str = UUID) -> tuple[int, int]:
        """Return total and reserved of the class FPGA."""
        found = self.placement.inventories(uuid)["FPGA"]
        return found["total"], found["reserved"]

    def calls(self) -> list[tuple[str, str]]:
        """Return what Placement was asked, without uuids and queries."""
        return [
            (call.method, call.path.partition("?")[0].replace(UUID, "U"))
            for call in self.placement.requests()
        ]

    def bind(self, *uuids: str, by_service: bool = True, rp: str = UUID) -> str:
        """Bind ARQs to an instance, and allocate for it as Nova does; return the instance."""
        instance = new_uuid()
        if by_service:
            self.placement.allocate(instance, {rp: {"FPGA": len(uuids)}})
        values = {"hostname": HOST, "device_rp_uuid": rp, "instance_uuid": instance}
        binding.bind(self.env, dict.fromkeys(uuids, values), "project", by_service)
        return instance

    def arqs(self, count: int = 1) -> list[str]:
        return [creating.create(self.env, "one", "project")[0].uuid for _ in range(count)]

    def device_uuid(self) -> str:
        with self.env.database.reader() as connection:
            return list_devices(connection)[0].uuid


@pytest.fixture
def cloud(env: Environment, empty_placement: Placement) -> Cloud:
    """The compute node's provider is there, and nothing of ours."""
    empty_placement.make_root(HOST)
    empty_placement.forget_requests()
    client = placement_client(empty_placement.url)
    return Cloud(dataclasses.replace(env, placement=client), empty_placement)


def card(count: int = 16, **values: Any) -> DeviceReport:
    return device("card", deployable(NAME, count, **values))


def test_a_new_deployable_becomes_a_provider_below_its_host(cloud: Cloud) -> None:
    cloud.publish(card(traits=("CUSTOM_FAKE_DEVICE", "HW_CPU_X86_AVX2")))
    found = cloud.placement.provider(UUID)
    assert found is not None
    assert found["name"] == NAME
    parent = cloud.placement.provider(found["parent_provider_uuid"])
    assert parent is not None
    assert parent["name"] == HOST
    assert cloud.placement.traits(UUID) == {OWNER, "CUSTOM_FAKE_DEVICE", "HW_CPU_X86_AVX2"}
    assert cloud.placement.inventories(UUID) == {
        "FPGA": {
            "total": 16,
            "reserved": 0,
            "min_unit": 1,
            "max_unit": 16,
            "step_size": 1,
            "allocation_ratio": 1.0,
        }
    }
    assert cloud.waiting() == []


def test_a_new_provider_costs_four_calls_and_one_for_its_host(cloud: Cloud) -> None:
    cloud.placement.set_traits(cloud.placement.make_root("other"), {"CUSTOM_FAKE_DEVICE"})
    cloud.placement.forget_requests()
    cloud.publish(card())
    assert cloud.calls() == [
        ("GET", "/resource_providers/U"),
        ("GET", "/resource_providers"),
        ("POST", "/resource_providers"),
        ("PUT", "/resource_providers/U/traits"),
        ("PUT", "/resource_providers/U/inventories"),
    ]


def test_the_hosts_provider_is_asked_for_once_however_many_devices_there_are(cloud: Cloud) -> None:
    cards = [device(f"card-{n}", deployable(f"{HOST}_{n}", 2)) for n in range(8)]
    cloud.publish(*cards)
    assert cloud.calls().count(("GET", "/resource_providers")) == 1
    assert len(cloud.placement.providers()) == 9


def test_nothing_changed_is_no_call(cloud: Cloud) -> None:
    cloud.publish(card())
    cloud.placement.forget_requests()
    snapshot = Snapshot(devices=(card(),))
    assert inventory.heartbeat(cloud.env, HOST, snapshot.digest())
    cloud.publish(card())
    assert cloud.calls() == []


def test_another_trait_is_two_calls_more_handles_two_more(cloud: Cloud) -> None:
    cloud.publish(card(traits=("CUSTOM_A",)))
    cloud.placement.set_traits(cloud.placement.make_root("other"), {"CUSTOM_B"})
    cloud.placement.forget_requests()
    cloud.publish(card(8, traits=("CUSTOM_A", "CUSTOM_B")))
    assert sorted(cloud.calls()) == [
        ("GET", "/resource_providers/U/inventories"),
        ("GET", "/resource_providers/U/traits"),
        ("PUT", "/resource_providers/U/inventories"),
        ("PUT", "/resource_providers/U/traits"),
    ]
    assert cloud.placement.traits(UUID) == {OWNER, "CUSTOM_A", "CUSTOM_B"}
    assert cloud.shown() == (8, 0)


def test_an_operators_trait_attribute_is_a_trait_of_the_provider(cloud: Cloud) -> None:
    cloud.publish(card())
    made = catalogue.create_attribute(cloud.env, UUID, "trait_room", "CUSTOM_ROOM_12")
    catalogue.create_attribute(cloud.env, UUID, "room", "CUSTOM_NOT_A_TRAIT")
    cloud.sweep()
    assert cloud.placement.traits(UUID) == {OWNER, "CUSTOM_FAKE_DEVICE", "CUSTOM_ROOM_12"}
    catalogue.delete_attribute(cloud.env, made.uuid)
    cloud.sweep()
    assert cloud.placement.traits(UUID) == {OWNER, "CUSTOM_FAKE_DEVICE"}
    with pytest.raises(InvalidInput):
        catalogue.create_attribute(cloud.env, UUID, "trait_room", "room 12")
    with cloud.env.database.reader() as connection:
        assert "trait_room" not in {a.key for a in list_attributes(connection)}


def test_a_trait_that_placement_does_not_know_is_left_out(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.publish(card(traits=("CUSTOM_NEW", "HW_NO_SUCH_THING")))
    assert cloud.placement.traits(UUID) == {OWNER, "CUSTOM_NEW"}
    assert "HW_NO_SUCH_THING" in caplog.text
    assert cloud.shown() == (16, 0)


def test_a_custom_class_is_created(cloud: Cloud) -> None:
    cloud.publish(card(resource_class="CUSTOM_ENGINE"))
    assert set(cloud.placement.inventories(UUID)) == {"CUSTOM_ENGINE"}


def test_the_compute_nodes_provider_is_waited_for(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    parts = [deployable(f"late_{n}", 1) for n in range(5)]
    cloud.publish(device("late", *parts), host="late-host")
    for _ in range(5):
        cloud.let_time_pass()
        cloud.sweep()
    lines = [r for r in caplog.records if "providers wait" in r.message]
    assert len(lines) == 6, "not one line an attempt"
    assert all(line.levelno == logging.WARNING for line in lines)
    assert len(cloud.waiting()) == 5
    cloud.placement.make_root("late-host")
    cloud.let_time_pass()
    cloud.sweep()
    assert cloud.waiting() == []
    assert cloud.placement.provider(provider_uuid("late_4")) is not None


def test_the_next_look_is_not_put_off_for_long(cloud: Cloud) -> None:
    cloud.publish(device("late", deployable("late", 1)), host="late-host")
    for _ in range(20):
        cloud.let_time_pass()
        cloud.sweep()
    with cloud.env.database.reader() as connection:
        [due] = connection.scalars(sa.select(jobs.c.leased_until))
    assert (due - cloud.env.clock()).total_seconds() <= providers.SOON + 1


def existing(cloud: Cloud, *traits: str, parent: str | None = None) -> None:
    """Make the provider as somebody else has made it before us."""
    root = parent or cloud.placement.providers()[0]["uuid"]
    body = {"uuid": UUID, "name": NAME, "parent_provider_uuid": root}
    assert cloud.placement.ask("POST", "/resource_providers", body).status_code in (200, 201)
    cloud.placement.set_inventory(UUID, "FPGA", total=4)
    cloud.placement.set_traits(UUID, traits)
    cloud.placement.forget_requests()


def test_an_existing_deployments_provider_is_recognised(cloud: Cloud) -> None:
    existing(cloud, "CUSTOM_OLD")
    instance = new_uuid()
    cloud.placement.allocate(instance, {UUID: {"FPGA": 2}})
    cloud.publish(card())
    assert cloud.placement.traits(UUID) == {OWNER, "CUSTOM_FAKE_DEVICE"}
    assert cloud.shown() == (16, 0)
    assert cloud.placement.allocations(instance) == {UUID: {"FPGA": 2}}


def untouched(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    """Publish, and see that nothing was changed and somebody was told."""
    before = (
        cloud.placement.providers(),
        cloud.placement.traits(UUID) if cloud.placement.provider(UUID) else None,
    )
    cloud.publish(card())
    after = (
        cloud.placement.providers(),
        cloud.placement.traits(UUID) if cloud.placement.provider(UUID) else None,
    )
    assert after == before
    errors = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "provider not synchronised" in errors[0].message
    assert len(cloud.waiting()) == 1


def test_a_provider_of_novas_is_never_touched(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    existing(cloud, "OWNER_NOVA")
    untouched(cloud, caplog)


def test_a_provider_below_another_host_is_not_touched_unless_it_is_ours(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    existing(cloud, "CUSTOM_OLD", parent=cloud.placement.make_root("another"))
    untouched(cloud, caplog)
    caplog.clear()
    cloud.placement.set_traits(UUID, {OWNER})
    cloud.let_time_pass()
    cloud.sweep()
    found = cloud.placement.provider(UUID)
    assert found is not None
    parent = cloud.placement.provider(found["parent_provider_uuid"])
    assert parent is not None
    assert parent["name"] == HOST
    assert cloud.shown() == (16, 0)


def test_a_name_that_is_taken_is_not_taken_over(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    body = {"uuid": new_uuid(), "name": NAME}
    assert cloud.placement.ask("POST", "/resource_providers", body).status_code == 200
    untouched(cloud, caplog)


# What is reserved


@pytest.fixture
def dirty(cloud: Cloud) -> Cloud:
    """Four handles that must be cleaned after use."""
    profile(cloud.env)
    cloud.publish(card(4, needs_release=True))
    return cloud


def test_what_is_cleaned_is_reserved_before_the_delete_is_answered(
    dirty: Cloud, agents: RecordingAgents
) -> None:
    instance = dirty.bind(*dirty.arqs(3))
    assert dirty.shown() == (4, 0), "a handle with an allocation was reserved besides"
    releasing.delete_of_instance(dirty.env, instance)
    assert dirty.shown() == (4, 3)
    dirty.placement.deallocate(instance)
    works = [work for _, work in agents.sent]
    assert [work.kind for work in works] == ["release"] * 3
    for left, work in zip((2, 1, 0), works, strict=True):
        finishing.finish(dirty.env, HOST, work.job_uuid, work.generation, None)
        dirty.sweep()
        assert dirty.shown() == (4, left)


def test_an_unbind_reserves_before_it_is_answered(dirty: Cloud) -> None:
    [uuid] = dirty.arqs()
    dirty.bind(uuid)
    releasing.unbind(dirty.env, [uuid])
    assert dirty.shown() == (4, 1)


def test_all_of_it_can_be_reserved_beside_its_allocations(dirty: Cloud) -> None:
    instance = dirty.bind(*dirty.arqs(4))
    releasing.delete_of_instance(dirty.env, instance)
    assert dirty.shown() == (4, 4)
    assert dirty.placement.allocations(instance) == {UUID: {"FPGA": 4}}


def test_the_inventory_alone_is_written_before_the_answer(dirty: Cloud) -> None:
    instance = dirty.bind(*dirty.arqs())
    dirty.placement.forget_requests()
    releasing.delete_of_instance(dirty.env, instance)
    assert dirty.calls() == [
        ("GET", "/resource_providers/U/inventories"),
        ("PUT", "/resource_providers/U/inventories"),
    ]
    assert dirty.waiting() == []


def test_a_clean_life_does_not_concern_placement(cloud: Cloud) -> None:
    profile(cloud.env)
    cloud.publish(card(4))
    instance = cloud.bind(*cloud.arqs(2))
    cloud.placement.forget_requests()
    releasing.delete_of_instance(cloud.env, instance)
    assert (cloud.calls(), cloud.waiting()) == ([], [])


def test_a_quarantined_handle_stays_reserved(dirty: Cloud, agents: RecordingAgents) -> None:
    instance = dirty.bind(*dirty.arqs())
    releasing.delete_of_instance(dirty.env, instance)
    dirty.placement.deallocate(instance)
    for _ in range(dirty.env.conf.conductor.release_attempts):
        _, work = agents.sent[-1]
        finishing.finish(dirty.env, HOST, work.job_uuid, work.generation, "stuck")
        dirty.let_time_pass()
        finishing.sweep(dirty.env)
    dirty.sweep()
    assert dirty.shown() == (4, 1)
    dirty.publish(card(4, needs_release=True, traits=("CUSTOM_OTHER",)))
    assert dirty.shown() == (4, 1)


def test_a_failed_bind_is_reserved_until_it_is_cleaned(
    cloud: Cloud, agents: RecordingAgents
) -> None:
    profile(cloud.env)
    cloud.publish(card(4, needs_prepare=True, needs_release=True))
    instance = cloud.bind(*cloud.arqs())
    for _ in range(cloud.env.conf.conductor.prepare_attempts):
        _, work = agents.sent[-1]
        finishing.finish(cloud.env, HOST, work.job_uuid, work.generation, "stuck")
        cloud.let_time_pass()
        finishing.sweep(cloud.env)
    cloud.sweep()
    assert cloud.shown() == (4, 1)
    releasing.delete_of_instance(cloud.env, instance)
    assert cloud.shown() == (4, 1)
    _, work = agents.sent[-1]
    finishing.finish(cloud.env, HOST, work.job_uuid, work.generation, None)
    cloud.sweep()
    assert cloud.shown() == (4, 0)


def test_what_is_bound_without_nova_is_reserved_since_nobody_allocates_it(cloud: Cloud) -> None:
    profile(cloud.env)
    cloud.publish(card(4))
    uuids = cloud.arqs(2)
    cloud.bind(*uuids, by_service=False)
    assert cloud.shown() == (4, 2)
    releasing.unbind(cloud.env, uuids[:1])
    assert cloud.shown() == (4, 1)
    releasing.delete(cloud.env, uuids)
    assert cloud.shown() == (4, 0)


def test_a_disabled_device_is_reserved_before_the_answer(cloud: Cloud) -> None:
    profile(cloud.env)
    cloud.publish(card(4))
    instance = cloud.bind(*cloud.arqs())
    catalogue.set_device_status(cloud.env, cloud.device_uuid(), DeviceStatus.MAINTAINING)
    assert cloud.shown() == (4, 4)
    assert cloud.placement.allocations(instance)
    catalogue.set_device_status(cloud.env, cloud.device_uuid(), DeviceStatus.ENABLED)
    assert cloud.shown() == (4, 0)


def test_placement_away_does_not_keep_a_delete_from_its_answer(
    dirty: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    instance = dirty.bind(*dirty.arqs(2))
    dirty.placement.kill()
    releasing.delete_of_instance(dirty.env, instance)
    assert len([r for r in caplog.records if "not synchronised" in r.message]) == 1
    dirty.placement.start()
    dirty.let_time_pass()
    dirty.sweep()
    assert dirty.shown() == (4, 2)
    assert dirty.waiting() == []


# Devices that go


def test_a_device_that_goes_takes_its_provider_with_it(cloud: Cloud) -> None:
    cloud.publish(card())
    for _ in range(3):
        cloud.publish()
    assert cloud.placement.provider(UUID) is None
    assert cloud.waiting() == []


def test_a_provider_with_allocations_is_never_deleted(cloud: Cloud) -> None:
    """The device is missing and reserved; when nobody has it any more, it goes."""
    profile(cloud.env)
    cloud.publish(card(4))
    instance = cloud.bind(*cloud.arqs())
    for _ in range(3):
        cloud.publish()
    assert cloud.shown() == (4, 4)
    # The ARQ goes first, and the device with it; Nova's allocation is still there.
    releasing.delete_of_instance(cloud.env, instance)
    cloud.publish()
    cloud.let_time_pass()
    cloud.sweep()
    assert cloud.shown() == (4, 4)
    assert cloud.placement.allocations(instance) == {UUID: {"FPGA": 1}}
    assert len(cloud.waiting()) == 1
    cloud.placement.deallocate(instance)
    cloud.let_time_pass()
    cloud.sweep()
    assert cloud.placement.provider(UUID) is None
    assert cloud.waiting() == []


def test_what_somebody_else_has_allocated_keeps_its_provider_but_gets_no_company(
    cloud: Cloud,
) -> None:
    cloud.publish(card(4))
    stranger = new_uuid()
    cloud.placement.allocate(stranger, {UUID: {"FPGA": 1}})
    for _ in range(3):
        cloud.publish()
    with cloud.env.database.reader() as connection:
        assert list_devices(connection) == []
    assert cloud.shown() == (4, 4)
    assert len(cloud.waiting()) == 1


def test_a_device_that_comes_back_has_its_provider_again(cloud: Cloud) -> None:
    cloud.publish(card())
    for _ in range(3):
        report(cloud.env)
    report(cloud.env, card(8))
    cloud.sweep()
    assert cloud.shown() == (8, 0)


def test_another_class_while_the_old_one_is_in_use(cloud: Cloud) -> None:
    profile(cloud.env)
    cloud.publish(card(4))
    instance = cloud.bind(*cloud.arqs())
    cloud.publish(card(4, resource_class="CUSTOM_ENGINE"))
    found = cloud.placement.inventories(UUID)
    # No allocation of the new class stands for the handle that is in use.
    assert (found["FPGA"]["reserved"], found["CUSTOM_ENGINE"]["reserved"]) == (4, 1)
    releasing.delete_of_instance(cloud.env, instance)
    cloud.placement.deallocate(instance)
    comparing.compare(cloud.env)
    cloud.sweep()
    assert set(cloud.placement.inventories(UUID)) == {"CUSTOM_ENGINE"}


def test_nothing_to_give_is_no_inventory(cloud: Cloud) -> None:
    cloud.publish(card(4))
    cloud.publish(card(0))
    assert cloud.placement.inventories(UUID) == {}
    cloud.publish(card(2))
    assert cloud.shown() == (2, 0)


# Others write too


class Interrupted(Client):
    """Lets somebody else write just before or after it reads a provider's inventories."""

    interruptions: list[Callable[[], None]]
    before = False

    def inventories(self, uuid: str, timeout: float | None = None) -> ProviderInventories | None:
        interruption = self.interruptions.pop(0) if self.interruptions else None
        if interruption and self.before:
            interruption()
        found = super().inventories(uuid, timeout)
        if interruption and not self.before:
            interruption()
        return found


def interrupted(cloud: Cloud, *interruptions: Callable[[], None], before: bool = False) -> Cloud:
    assert cloud.env.placement is not None
    client = Interrupted(cloud.env.placement._service._adapter)
    client.interruptions = list(interruptions)
    client.before = before
    return Cloud(dataclasses.replace(cloud.env, placement=client), cloud.placement)


@pytest.mark.parametrize("before", [True, False])
def test_what_another_conductor_wrote_meanwhile_is_not_overwritten(
    dirty: Cloud, agents: RecordingAgents, before: bool
) -> None:
    """One has begun to write "2 reserved", when the other writes "1 reserved"."""
    instance = dirty.bind(*dirty.arqs(3))
    releasing.delete_of_instance(dirty.env, instance)
    dirty.placement.deallocate(instance)
    first, second = (work for _, work in agents.sent[:2])

    def another() -> None:
        finishing.finish(dirty.env, HOST, second.job_uuid, second.generation, None)
        dirty.let_time_pass()
        dirty.sweep()

    finishing.finish(dirty.env, HOST, first.job_uuid, first.generation, None)
    slow = interrupted(dirty, another, before=before)
    slow.sweep()
    assert dirty.shown() == (4, 1)
    slow.let_time_pass()
    slow.sweep()
    assert dirty.shown() == (4, 1)
    assert dirty.waiting() == []


def test_a_provider_that_changes_all_the_time_is_left_for_later(cloud: Cloud) -> None:
    cloud.publish(card(4))

    def meddle() -> None:
        cloud.placement.set_inventory(UUID, "FPGA", total=99)

    busy = interrupted(cloud, *[meddle] * provider_sync.TRIES)
    busy.publish(card(8))
    assert [job.failures for job in busy.waiting()] == [1]
    busy.let_time_pass()
    busy.sweep()
    assert cloud.shown() == (8, 0)


def test_what_is_marked_again_while_it_is_done_is_done_again(cloud: Cloud) -> None:
    profile(cloud.env)
    cloud.publish(card(4))
    uuids = cloud.arqs(2)

    def another() -> None:
        with pytest.MonkeyPatch.context() as patch:
            # Its own publishing comes too late, as if that conductor had died.
            patch.setattr(providers.Publish, "do", lambda *_: None)
            cloud.bind(uuids[1], by_service=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(providers.Publish, "do", lambda *_: None)
        cloud.bind(uuids[0], by_service=False)
    cloud.let_time_pass()
    interrupted(cloud, another).sweep()
    assert len(cloud.waiting()) == 1
    cloud.let_time_pass()
    cloud.sweep()
    assert cloud.shown() == (4, 2)


def test_many_at_once_end_in_the_truth(dirty: Cloud, agents: RecordingAgents) -> None:
    """Deletes, ends of releases and two conductors' sweeps, all at the same time."""
    instances = [dirty.bind(uuid) for uuid in dirty.arqs(4)]
    stop = threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            providers.sweep(dirty.env)
            stop.wait(0.02)

    def delete(instance: str) -> None:
        releasing.delete_of_instance(dirty.env, instance)

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    deleters = [threading.Thread(target=delete, args=(instance,)) for instance in instances]
    for thread in (*sweepers, *deleters):
        thread.start()
    for thread in deleters:
        thread.join()
    assert dirty.shown() == (4, 4)
    for _, work in list(agents.sent)[:3]:
        finishing.finish(dirty.env, HOST, work.job_uuid, work.generation, None)
    stop.set()
    for thread in sweepers:
        thread.join()
    dirty.let_time_pass()
    dirty.sweep()
    assert dirty.shown() == (4, 1)
    assert dirty.waiting() == []


# Placement is not there, or is not what it was


def test_placement_away_is_one_line_an_attempt_and_heals_by_itself(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.placement.kill()
    cloud.publish(*(device(f"card-{n}", deployable(f"{HOST}_{n}", 1)) for n in range(5)))
    for _ in range(2):
        cloud.let_time_pass()
        providers.sweep(cloud.env)
    lines = [r for r in caplog.records if "not synchronised" in r.message]
    assert len(lines) == 3
    assert len(cloud.waiting()) == 5
    cloud.placement.start()
    cloud.let_time_pass()
    cloud.sweep()
    assert cloud.waiting() == []
    assert len(cloud.placement.providers()) == 6


def test_a_comparison_of_what_is_right_is_one_call_a_host(cloud: Cloud) -> None:
    cloud.publish(*(device(f"card-{n}", deployable(f"{HOST}_{n}", 1)) for n in range(5)))
    comparing.compare(cloud.env)
    cloud.sweep()
    cloud.placement.forget_requests()
    assert comparing.compare(cloud.env) == 0
    assert cloud.calls() == [("GET", "/resource_providers")]


def wipe(cloud: Cloud) -> None:
    cloud.placement.wipe()
    cloud.placement.make_root(HOST)


def lose_traits(cloud: Cloud) -> None:
    cloud.placement.set_traits(UUID, ())


def lose_inventory(cloud: Cloud) -> None:
    cloud.placement.remove_inventory(UUID, "FPGA")


def change_inventory(cloud: Cloud) -> None:
    cloud.placement.set_inventory(UUID, "FPGA", total=99, reserved=1, allocation_ratio=2.0)


def delete_provider(cloud: Cloud) -> None:
    assert cloud.placement.delete_provider(UUID) == 204


@pytest.mark.parametrize(
    "harm", [wipe, lose_traits, lose_inventory, change_inventory, delete_provider]
)
def test_whatever_drifts_is_restored(cloud: Cloud, harm: Callable[[Cloud], None]) -> None:
    cloud.publish(card())
    before = (cloud.placement.inventories(UUID), cloud.placement.traits(UUID))
    harm(cloud)
    assert comparing.compare(cloud.env) == 1
    cloud.sweep()
    assert (cloud.placement.inventories(UUID), cloud.placement.traits(UUID)) == before
    comparing.compare(cloud.env)
    cloud.sweep()
    assert comparing.compare(cloud.env) == 0, "it does not come to rest"


def test_what_has_no_device_any_more_is_removed_and_what_is_not_ours_stays(cloud: Cloud) -> None:
    cloud.publish(card())
    root = cloud.placement.providers()[0]["uuid"]
    for name, traits in (("orphan", {OWNER}), ("foreign", {"CUSTOM_X"}), ("nova", {"OWNER_NOVA"})):
        body = {"uuid": provider_uuid(name), "name": name, "parent_provider_uuid": root}
        cloud.placement.ask("POST", "/resource_providers", body)
        cloud.placement.set_traits(provider_uuid(name), traits)
    comparing.compare(cloud.env)
    cloud.sweep()
    names = {found["name"] for found in cloud.placement.providers()}
    assert names == {HOST, NAME, "foreign", "nova"}


def test_without_placement_nothing_is_marked(env: Environment) -> None:
    profile(env)
    report(env, card(4, needs_release=True))
    [arq] = creating.create(env, "one", "project")
    values = {"hostname": HOST, "device_rp_uuid": UUID, "instance_uuid": new_uuid()}
    binding.bind(env, {arq.uuid: values}, "project", False)
    with env.database.reader() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(jobs)) == 0
