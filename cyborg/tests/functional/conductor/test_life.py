"""The life of ARQs through the conductor's use cases, on every kind of database."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from cyborg.conductor import binding, catalogue, creating, finishing, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.accelerator_requests import list_requests
from cyborg.db.attributes import list_attributes
from cyborg.db.device_profiles import list_profiles
from cyborg.db.devices import list_devices
from cyborg.db.tables import (
    accelerator_requests,
    attach_handles,
    instance_owners,
    jobs,
    outbox,
)
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.errors import (
    AcceleratorRequestNotFound,
    AcceleratorRequestStateConflict,
    AttributeExists,
    AttributeNotFound,
    AttributeReported,
    DeployableNotFound,
    DeviceNotAvailable,
    DeviceProfileExists,
    DeviceProfileInUse,
    DeviceProfileNotFound,
    InvalidInput,
    NoFreeHandle,
    ProviderNotFound,
    ServiceUnavailable,
    WrongHost,
)
from cyborg.domain.model import AcceleratorRequest, DeviceStatus, HandleCondition
from cyborg.domain.states import ArqState
from cyborg.domain.work import Prepare, Work
from cyborg.tests.helpers import (
    HOST,
    RecordingAgents,
    deployable,
    device,
    profile,
    report,
)

NAME = f"{HOST}_FakeDevice"
RP = provider_uuid(NAME)
PROJECT = "11111111111111111111111111111111"
OTHER_PROJECT = "22222222222222222222222222222222"


def bind(
    env: Environment,
    *uuids: str,
    instance: str,
    rp: str = RP,
    host: str = HOST,
    owner: str | None = PROJECT,
) -> None:
    values = {"hostname": host, "device_rp_uuid": rp, "instance_uuid": instance}
    binding.bind(env, dict.fromkeys(uuids, values), owner, True)


def arqs(env: Environment, **query: object) -> list[AcceleratorRequest]:
    with env.database.reader() as connection:
        return list_requests(connection, **query)  # type: ignore[arg-type]  # as given


def owners(env: Environment) -> list[int | None]:
    with env.database.reader() as connection:
        column = attach_handles.c.accelerator_request_id
        return list(connection.scalars(sa.select(column).order_by(attach_handles.c.id)))


def count(env: Environment, table: sa.Table) -> int:
    with env.database.reader() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def make(env: Environment, name: str = "one") -> list[str]:
    return [arq.uuid for arq in creating.create(env, name, PROJECT)]


@pytest.fixture
def ready(env: Environment) -> Environment:
    """One device that needs neither preparing nor releasing, and a profile of one FPGA."""
    report(env, device("card", deployable(NAME, 2)))
    profile(env)
    return env


def dirty(env: Environment, handles: int = 2) -> Environment:
    """One device that needs both."""
    report(
        env,
        device("card", deployable(NAME, handles, needs_prepare=True, needs_release=True)),
    )
    profile(env)
    return env


def expire_leases(env: Environment) -> None:
    """Let the time pass that a lease lasts."""
    with env.database.engine.begin() as connection:
        connection.execute(jobs.update().values(leased_until=env.clock().replace(year=2000)))


def test_create_makes_one_arq_a_unit_with_the_group_copied(ready: Environment) -> None:
    profile(
        ready,
        "two-groups",
        {"resources:FPGA": "2", "trait:CUSTOM_A": "required"},
        {"resources:CUSTOM_LOCAL_MEMORY": "1"},
    )
    made = creating.create(ready, "two-groups", PROJECT)
    assert [arq.device_profile_group_id for arq in made] == [0, 0, 1]
    stored = arqs(ready)
    assert [arq.uuid for arq in stored] == [arq.uuid for arq in made]
    assert {arq.state for arq in stored} == {ArqState.INITIAL}
    assert stored[0].group == {"resources:FPGA": "2", "trait:CUSTOM_A": "required"}
    assert stored[0].project_id == PROJECT
    assert stored[0].attach_handle is None


def test_a_class_of_no_device_beside_an_accelerator_makes_no_arq(ready: Environment) -> None:
    profile(ready, "memory", {"resources:FPGA": "1", "resources:CUSTOM_MEMORY": "4"})
    assert len(make(ready, "memory")) == 1
    part = deployable("other", 1, resource_class="CUSTOM_MEMORY")
    report(ready, device("card-2", part), host="compute-2")
    assert len(make(ready, "memory")) == 5


def test_bind_gives_a_handle_of_that_deployable(ready: Environment) -> None:
    [uuid] = make(ready)
    instance = new_uuid()
    bind(ready, uuid, instance=instance)
    [arq] = arqs(ready, instance_uuid=instance)
    assert arq.state is ArqState.BOUND
    assert (arq.hostname, arq.device_rp_uuid) == (HOST, RP)
    assert arq.attach_handle is not None
    assert arq.attach_handle.type == "TEST_PCI"
    assert dict(arq.attach_handle.info) in [dict(each.info) for each in deployable(NAME).handles]
    assert sorted(owners(ready), key=str) == [owners(ready)[0], None]
    with ready.database.reader() as connection:
        [event] = connection.execute(sa.select(outbox)).all()
    assert (event.instance_uuid, event.accelerator_request_uuid) == (instance, uuid)
    assert (event.status, event.state) == ("completed", "not_sent")


def test_the_same_bind_again_has_no_second_effect(ready: Environment) -> None:
    [uuid] = make(ready)
    instance = new_uuid()
    bind(ready, uuid, instance=instance)
    before = (arqs(ready), owners(ready), count(ready, outbox))
    bind(ready, uuid, instance=instance)
    assert (arqs(ready), owners(ready), count(ready, outbox)) == before


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"instance": new_uuid()}, AcceleratorRequestStateConflict),
        ({"host": "elsewhere"}, AcceleratorRequestStateConflict),
        ({"rp": new_uuid()}, AcceleratorRequestStateConflict),
    ],
)
def test_a_bound_arq_is_not_bound_otherwise(
    ready: Environment, change: dict[str, str], error: type[Exception]
) -> None:
    [uuid] = make(ready)
    instance = new_uuid()
    bind(ready, uuid, instance=instance)
    before = (arqs(ready), owners(ready))
    with pytest.raises(error):
        bind(ready, uuid, **{"instance": instance, **change})
    assert (arqs(ready), owners(ready)) == before


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"rp": new_uuid()}, ProviderNotFound),
        ({"host": "elsewhere"}, WrongHost),
    ],
)
def test_a_bind_that_names_the_wrong_place_changes_nothing(
    ready: Environment, change: dict[str, str], error: type[Exception]
) -> None:
    [uuid] = make(ready)
    before = arqs(ready)
    with pytest.raises(error):
        bind(ready, uuid, instance=new_uuid(), **change)
    assert arqs(ready) == before
    assert owners(ready) == [None, None]
    assert count(ready, outbox) == count(ready, instance_owners) == 0


def test_all_or_nothing_when_handles_run_out(ready: Environment) -> None:
    uuids = [make(ready)[0] for _ in range(3)]
    with pytest.raises(NoFreeHandle):
        bind(ready, *uuids, instance=new_uuid())
    assert owners(ready) == [None, None]
    assert {arq.state for arq in arqs(ready)} == {ArqState.INITIAL}
    bind(ready, *uuids[:2], instance=new_uuid())
    assert None not in owners(ready)


def test_all_or_nothing_when_one_arq_is_not_there(ready: Environment) -> None:
    [uuid] = make(ready)
    with pytest.raises(AcceleratorRequestNotFound):
        bind(ready, uuid, new_uuid(), instance=new_uuid())
    assert owners(ready) == [None, None]


def test_two_instances_in_one_bind_are_refused(ready: Environment) -> None:
    one, two = make(ready)[0], make(ready)[0]
    values = [{"hostname": HOST, "device_rp_uuid": RP, "instance_uuid": new_uuid()} for _ in "12"]
    with pytest.raises(InvalidInput):
        binding.bind(ready, dict(zip([one, two], values, strict=True)), PROJECT, True)
    assert owners(ready) == [None, None]


def test_handles_of_several_deployables_in_one_bind(env: Environment) -> None:
    names = [f"gpu-{n}" for n in range(8)]
    report(env, *(device(name, deployable(name, 1)) for name in names))
    profile(env, "eight", *({"resources:FPGA": "1"} for _ in names))
    uuids = make(env, "eight")
    instance = new_uuid()
    values = {
        uuid: {"hostname": HOST, "device_rp_uuid": provider_uuid(name), "instance_uuid": instance}
        for uuid, name in zip(uuids, names, strict=True)
    }
    binding.bind(env, values, PROJECT, True)
    assert [arq.device_rp_uuid for arq in arqs(env)] == [provider_uuid(name) for name in names]
    assert len(set(owners(env))) == 8
    with env.database.reader() as connection:
        pairs = sa.select(accelerator_requests.c.device_rp_uuid, attach_handles.c.deployable_id)
        rows = connection.execute(
            pairs.join_from(
                accelerator_requests,
                attach_handles,
                attach_handles.c.accelerator_request_id == accelerator_requests.c.id,
            )
        ).all()
    assert len({row.deployable_id for row in rows}) == 8


def test_a_disabled_device_takes_no_new_bind(ready: Environment) -> None:
    one, two = make(ready)[0], make(ready)[0]
    bind(ready, one, instance=new_uuid())
    with ready.database.reader() as connection:
        [card] = list_devices(connection)
    catalogue.set_device_status(ready, card.uuid, DeviceStatus.MAINTAINING)
    with pytest.raises(DeviceNotAvailable):
        bind(ready, two, instance=new_uuid())
    catalogue.set_device_status(ready, card.uuid, DeviceStatus.ENABLED)
    bind(ready, two, instance=new_uuid())


@pytest.mark.parametrize(
    "group",
    [
        {"resources:GPU": "1"},
        {"resources:CUSTOM_QAT": "1"},
        {"resources:GPU": "1", "resources:CUSTOM_MEMORY": "2"},
    ],
)
def test_a_group_gets_nothing_of_another_class(ready: Environment, group: dict[str, str]) -> None:
    profile(ready, "another", group)
    [uuid] = make(ready, "another")
    with pytest.raises(DeviceNotAvailable, match="of class FPGA"):
        bind(ready, uuid, instance=new_uuid())
    assert owners(ready) == [None, None]
    profile(ready, "both", {"resources:FPGA": "1", "resources:CUSTOM_MEMORY": "2"})
    [uuid] = make(ready, "both")
    bind(ready, uuid, instance=new_uuid())


def test_a_group_that_needs_a_bitstream_is_not_bound_without_it(ready: Environment) -> None:
    profile(ready, "image", {"resources:FPGA": "1", "accel:bitstream_id": new_uuid()})
    [uuid] = make(ready, "image")
    with pytest.raises(DeviceNotAvailable):
        bind(ready, uuid, instance=new_uuid())
    assert owners(ready) == [None, None]


def test_unbind_frees_and_the_arq_can_be_bound_again(ready: Environment) -> None:
    [uuid] = make(ready)
    bind(ready, uuid, instance=new_uuid())
    releasing.unbind(ready, [uuid])
    [arq] = arqs(ready)
    assert arq.state is ArqState.UNBOUND
    assert (arq.instance_uuid, arq.hostname, arq.device_rp_uuid) == (None, None, None)
    assert owners(ready) == [None, None]
    releasing.unbind(ready, [uuid])
    bind(ready, uuid, instance=new_uuid())
    assert arqs(ready)[0].state is ArqState.BOUND


def test_delete_frees_and_forgets(ready: Environment) -> None:
    one, two = make(ready)[0], make(ready)[0]
    instance = new_uuid()
    bind(ready, one, two, instance=instance)
    absent = new_uuid()
    assert releasing.delete(ready, [one, absent]) == [absent]
    assert [arq.uuid for arq in arqs(ready)] == [two]
    releasing.delete_of_instance(ready, instance)
    releasing.delete_of_instance(ready, instance)
    assert arqs(ready) == []
    assert owners(ready) == [None, None]
    assert count(ready, outbox) == count(ready, jobs) == 0
    assert count(ready, instance_owners) == 1


def test_an_arq_belongs_to_the_owner_of_its_instance_whoever_binds(ready: Environment) -> None:
    instance = new_uuid()
    bind(ready, *make(ready), instance=instance)
    releasing.delete_of_instance(ready, instance)
    made = creating.create(ready, "one", OTHER_PROJECT)
    bind(ready, made[0].uuid, instance=instance, owner=OTHER_PROJECT)
    assert arqs(ready)[0].project_id == PROJECT


def test_a_bind_that_needs_preparing_is_finished_by_its_agent(
    env: Environment, agents: RecordingAgents
) -> None:
    dirty(env)
    [uuid] = make(env)
    instance = new_uuid()
    bind(env, uuid, instance=instance)
    [arq] = arqs(env)
    assert (arq.state, arq.attach_handle) == (ArqState.BIND_STARTED, None)
    [(host, work)] = agents.sent
    [step] = work.steps
    assert isinstance(step, Prepare)
    assert (host, work.kind, step.handle.deployable) == (HOST, "prepare", NAME)
    assert count(env, outbox) == 0
    bind(env, uuid, instance=instance)
    assert len(agents.sent) == 1, "the same bind again began a second preparation"
    finishing.finish(env, HOST, work.job_uuid, work.generation, None)
    [arq] = arqs(env)
    assert arq.state is ArqState.BOUND
    assert arq.attach_handle is not None
    assert arq.attach_handle.uuid == step.handle.uuid
    assert (count(env, outbox), count(env, jobs)) == (1, 0)


def test_a_used_handle_is_free_only_after_its_release(
    env: Environment, agents: RecordingAgents
) -> None:
    dirty(env, handles=1)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    finishing.finish(env, HOST, agents.sent[0][1].job_uuid, 1, None)
    releasing.delete(env, [uuid])
    assert arqs(env) == [], "the user still sees what is being deleted"
    assert owners(env) != [None]
    [waiting] = make(env)
    with pytest.raises(NoFreeHandle):
        bind(env, waiting, instance=new_uuid())
    _, work = agents.sent[-1]
    assert work.kind == "release"
    finishing.finish(env, HOST, work.job_uuid, work.generation, None)
    assert owners(env) == [None]
    assert count(env, accelerator_requests) == 1
    bind(env, waiting, instance=new_uuid())


def test_unbinding_what_is_prepared_ends_with_the_release(
    env: Environment, agents: RecordingAgents
) -> None:
    dirty(env, handles=1)
    [uuid] = make(env)
    instance = new_uuid()
    bind(env, uuid, instance=instance)
    finishing.finish(env, HOST, agents.sent[0][1].job_uuid, 1, None)
    releasing.unbind(env, [uuid])
    releasing.unbind(env, [uuid])
    [arq] = arqs(env)
    assert (arq.state, arq.state.shows) == (ArqState.UNBINDING, ArqState.BOUND)
    assert arq.attach_handle is not None
    with pytest.raises(AcceleratorRequestStateConflict, match="is Bound, for instance"):
        bind(env, uuid, instance=instance)
    assert len(agents.sent) == 2, "the second unbind began a second release"
    _, work = agents.sent[1]
    finishing.finish(env, HOST, work.job_uuid, work.generation, None)
    assert arqs(env)[0].state is ArqState.UNBOUND
    assert owners(env) == [None]


def test_a_failed_release_by_unbind_keeps_instance_and_handle(
    env: Environment, agents: RecordingAgents
) -> None:
    dirty(env, handles=1)
    [uuid] = make(env)
    instance = new_uuid()
    bind(env, uuid, instance=instance)
    finishing.finish(env, HOST, agents.sent[0][1].job_uuid, 1, None)
    releasing.unbind(env, [uuid])
    fail_until_it_is_over(env, agents)
    [arq] = arqs(env)
    assert (arq.state, arq.instance_uuid) == (ArqState.UNBIND_FAILED, instance)
    assert arq.state_reason == "the card is stuck"
    assert owners(env) != [None]


def fail_until_it_is_over(env: Environment, agents: RecordingAgents) -> int:
    """Let every attempt at the live job fail; return how many there were."""
    attempts = 0
    while count(env, jobs):
        _, work = agents.sent[-1]
        finishing.finish(env, HOST, work.job_uuid, work.generation, "the card is stuck")
        attempts += 1
        expire_leases(env)
        finishing.sweep(env)
        assert attempts < 10
    return attempts


def test_a_handle_that_cannot_be_cleaned_is_quarantined(
    env: Environment, agents: RecordingAgents
) -> None:
    dirty(env, handles=1)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    finishing.finish(env, HOST, agents.sent[0][1].job_uuid, 1, None)
    releasing.delete(env, [uuid])
    assert fail_until_it_is_over(env, agents) == env.conf.conductor.release_attempts
    with env.database.reader() as connection:
        [handle] = connection.execute(sa.select(attach_handles)).all()
    assert handle.condition == HandleCondition.QUARANTINED
    assert handle.condition_reason == "the card is stuck"
    assert handle.accelerator_request_id is None
    [waiting] = make(env)
    with pytest.raises(NoFreeHandle):
        bind(env, waiting, instance=new_uuid())
    # Nor does it come back clean when the device is away for a while.
    for devices in ((), (), (), (device("card", deployable(NAME, 1)),)):
        report(env, *devices)
    with pytest.raises(NoFreeHandle):
        bind(env, waiting, instance=new_uuid())


def test_a_failed_preparation_fails_the_bind_and_is_cleaned_up(
    env: Environment, agents: RecordingAgents
) -> None:
    dirty(env, handles=1)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    assert fail_until_it_is_over(env, agents) == env.conf.conductor.prepare_attempts
    [arq] = arqs(env)
    assert (arq.state, arq.state_reason) == (ArqState.BIND_FAILED, "the card is stuck")
    with env.database.reader() as connection:
        assert connection.scalar(sa.select(outbox.c.status)) == "failed"
    assert owners(env) != [None], "a half prepared handle was given away"
    releasing.delete(env, [uuid])
    _, work = agents.sent[-1]
    assert work.kind == "release"
    finishing.finish(env, HOST, work.job_uuid, work.generation, None)
    assert owners(env) == [None]
    assert arqs(env) == []


def test_a_preparation_that_takes_too_long_fails_the_bind(
    env: Environment, agents: RecordingAgents
) -> None:
    dirty(env)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    finishing.sweep(env)
    assert arqs(env)[0].state is ArqState.BIND_STARTED
    with env.database.engine.begin() as connection:
        connection.execute(jobs.update().values(deadline=env.clock().replace(year=2000)))
    finishing.sweep(env)
    assert arqs(env)[0].state is ArqState.BIND_FAILED
    _, work = agents.sent[0]
    finishing.finish(env, HOST, work.job_uuid, work.generation, None)
    assert arqs(env)[0].state is ArqState.BIND_FAILED, "a late answer had an effect"


def test_an_answer_that_nobody_took_in_time_counts_before_the_deadline_does(
    env: Environment, agents: RecordingAgents
) -> None:
    """No conductor was there for as long as a bind may take; its agent was ready long before."""
    dirty(env)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    with env.database.engine.begin() as connection:
        connection.execute(jobs.update().values(deadline=env.clock().replace(year=2000)))
    assert finishing.sweep(env, expires=False) == 0
    _, work = agents.sent[0]
    finishing.finish(env, HOST, work.job_uuid, work.generation, None)
    assert arqs(env)[0].state is ArqState.BOUND
    assert finishing.sweep(env) == 0


def test_lost_work_is_sent_again_and_early_answers_are_fenced(
    env: Environment, agents: RecordingAgents
) -> None:
    dirty(env)
    agents.error = ServiceUnavailable("no queue")
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    agents.error = None
    assert finishing.sweep(env) == 0, "a job was taken although its lease holds"
    expire_leases(env)
    assert finishing.sweep(env) == 1
    [(_, work)] = agents.sent
    assert work.generation == 2
    finishing.finish(env, HOST, work.job_uuid, 1, None)
    assert arqs(env)[0].state is ArqState.BIND_STARTED
    finishing.finish(env, HOST, work.job_uuid, 2, None)
    assert arqs(env)[0].state is ArqState.BOUND


def test_an_agent_may_begin_the_newest_attempt_of_a_job_that_goes_on(
    env: Environment, agents: RecordingAgents
) -> None:
    dirty(env)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    expire_leases(env)
    finishing.sweep(env)
    first, second = (work for _, work in agents.sent)

    def may(work: Work) -> bool:
        return finishing.begin(env, HOST, work.job_uuid, work.generation, 0)

    assert (may(first), may(second), may(second)) == (False, True, True)
    releasing.delete(env, [uuid])
    release = agents.sent[-1][1]
    assert (may(second), may(release)) == (False, True)
    finishing.finish(env, HOST, release.job_uuid, release.generation, None)
    assert not may(release), "its handle is anybody's"
    bind(env, *make(env), instance=new_uuid())
    with env.database.engine.begin() as connection:
        connection.execute(jobs.update().values(deadline=env.clock().replace(year=2000)))
    assert not may(agents.sent[-1][1]), "its time is over, though nobody has looked yet"


def test_deleting_while_it_is_prepared_releases_and_ignores_the_preparation(
    env: Environment, agents: RecordingAgents
) -> None:
    dirty(env, handles=1)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    _, preparing = agents.sent[0]
    releasing.delete(env, [uuid])
    _, release = agents.sent[1]
    assert (release.kind, release.job_uuid) == ("release", preparing.job_uuid)
    assert release.generation > preparing.generation
    finishing.finish(env, HOST, preparing.job_uuid, preparing.generation, None)
    assert owners(env) != [None]
    finishing.finish(env, HOST, release.job_uuid, release.generation, None)
    assert owners(env) == [None]
    assert count(env, accelerator_requests) == count(env, jobs) == 0


def test_what_was_prepared_is_released_even_if_the_driver_no_longer_asks_for_it(
    env: Environment, agents: RecordingAgents
) -> None:
    dirty(env, handles=1)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    finishing.finish(env, HOST, agents.sent[0][1].job_uuid, 1, None)
    report(env, device("card", deployable(NAME, 1)))
    releasing.delete(env, [uuid])
    assert agents.sent[-1][1].kind == "release"
    assert owners(env) != [None]


def test_what_a_service_bound_meanwhile_is_not_a_users(ready: Environment) -> None:
    """The API let a user through while the ARQ was Initial; then Nova bound it."""
    [uuid] = make(ready)
    [seen] = arqs(ready)
    bind(ready, uuid, instance=new_uuid())
    before = (arqs(ready), owners(ready))
    values = {"hostname": HOST, "device_rp_uuid": RP, "instance_uuid": new_uuid()}
    generations = {uuid: seen.generation}
    for action in (
        lambda: releasing.unbind(ready, [uuid], generations),
        lambda: releasing.delete(ready, [uuid], generations),
        lambda: binding.bind(ready, {uuid: values}, PROJECT, False, generations),
    ):
        with pytest.raises(AcceleratorRequestStateConflict):
            action()
    assert (arqs(ready), owners(ready)) == before
    releasing.unbind(ready, [uuid], {uuid: before[0][0].generation})
    assert owners(ready) == [None, None]


def test_an_operators_attribute_can_go_and_a_drivers_stays(ready: Environment) -> None:
    made = catalogue.create_attribute(ready, RP, "room", "12")
    with pytest.raises(AttributeExists):
        catalogue.create_attribute(ready, made.deployable_id, "room", "13")
    with ready.database.reader() as connection:
        reported = [a for a in list_attributes(connection) if a.key == "rc"]
    with pytest.raises(AttributeReported):
        catalogue.delete_attribute(ready, reported[0].uuid)
    catalogue.delete_attribute(ready, made.uuid)
    with pytest.raises(AttributeNotFound):
        catalogue.delete_attribute(ready, made.uuid)
    with pytest.raises(DeployableNotFound):
        catalogue.create_attribute(ready, new_uuid(), "a", "b")


def test_device_profiles_are_unique_and_stay_while_they_are_used(ready: Environment) -> None:
    with pytest.raises(DeviceProfileExists, match="name"):
        profile(ready)
    with ready.database.reader() as connection:
        [one] = list_profiles(connection, names=["one"])
    with pytest.raises(DeviceProfileExists, match="uuid"):
        catalogue.create_device_profile(
            ready,
            name="other",
            groups=[{"resources:FPGA": "1"}],
            description=None,
            uuid=one.uuid,
        )
    [arq] = make(ready)
    profile(ready, "two")
    with ready.database.reader() as connection:
        [two] = list_profiles(connection, names=["two"])
    with pytest.raises(DeviceProfileInUse):
        catalogue.delete_device_profiles(ready, [two.uuid, one.uuid])
    with pytest.raises(DeviceProfileNotFound):
        catalogue.delete_device_profiles(ready, [two.uuid, new_uuid()])
    with ready.database.reader() as connection:
        assert len(list_profiles(connection)) == 2, "some were deleted, though not all could be"
    releasing.delete(ready, [arq])
    catalogue.delete_device_profiles(ready, [two.uuid, one.uuid])
    with pytest.raises(DeviceProfileNotFound):
        make(ready)
