"""Programming a deployable: who may, what is kept from whom meanwhile, and every end of it."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest

from cyborg.conductor import finishing, inventory, programming, providers, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.database import Database
from cyborg.db.devices import list_deployables
from cyborg.db.providers import recorded_providers
from cyborg.db.tables import deployables, hosts, jobs
from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import (
    Conflict,
    CyborgError,
    DeployableBusy,
    DeployableInUse,
    DeployableMissing,
    DeployableNotFound,
    DeviceNotAvailable,
    NotProgrammable,
    ServiceUnavailable,
)
from cyborg.domain.inventory import Snapshot
from cyborg.domain.model import Deployable, JobKind, ProgrammingState
from cyborg.domain.recorded import ABSENCES_UNTIL_GONE
from cyborg.domain.work import Program, Region
from cyborg.tests.functional.conductor.harness import (
    OTHER_PROJECT,
    PROJECT,
    RP,
    answer,
    bind,
    card,
    everything,
    held,
    let_run_out,
    make,
    rows,
)
from cyborg.tests.functional.conductor.test_races import at_once
from cyborg.tests.helpers import (
    HOST,
    RecordingAgents,
    counted_statements,
    placement_client,
    profile,
    report,
)
from cyborg.tests.servers import Placement

IMAGE, OTHER_IMAGE = new_uuid(), new_uuid()
STATE = ProgrammingState


@pytest.fixture
def ready(env: Environment) -> Environment:
    """A programmable deployable with four handles, and a profile of one FPGA."""
    report(env, card(4, programmable=True))
    profile(env)
    return env


def program(env: Environment, image: str = IMAGE, project: str | None = PROJECT) -> str:
    return programming.program(env, RP, image, project)


def now(env: Environment) -> Deployable:
    with env.database.reader() as connection:
        [found] = list_deployables(connection, uuids=[RP])
    return found


def begin(env: Environment, uuid: str, generation: int | None = None) -> bool:
    """Ask as the agent does, under the newest generation."""
    newest = [row.generation for row in rows(env, jobs) if row.uuid == uuid]
    return finishing.begin(env, HOST, uuid, generation or max(newest, default=1), 0)


def end(env: Environment, error: str | None = None, uuid: str | None = None) -> None:
    """Answer as the agent does, under the newest generation."""
    [job] = [row for row in rows(env, jobs) if row.kind == JobKind.PROGRAM]
    finishing.finish(env, HOST, uuid or job.uuid, job.generation, error)


def fail(env: Environment, error: str = "the card is stuck") -> None:
    for _ in range(env.conf.conductor.program_attempts):
        end(env, error)


def offered(env: Environment) -> bool:
    with env.database.reader() as connection:
        return recorded_providers(connection, [RP])[RP].offered


def require_bindable(env: Environment, bindable: bool) -> None:
    """Check that a bind gets a handle, or does not because of the programming."""
    [uuid] = make(env)
    if bindable:
        bind(env, uuid, instance=new_uuid())
    else:
        before = everything(env)
        with pytest.raises(DeviceNotAvailable, match=r"being programmed|half way"):
            bind(env, uuid, instance=new_uuid())
        assert everything(env) == before
    releasing.delete(env, [uuid])
    assert offered(env) is bindable


def test_a_programming_that_works(ready: Environment, agents: RecordingAgents) -> None:
    job = program(ready)
    [(host, work)] = agents.sent
    assert (host, work.kind, work.job_uuid) == (HOST, JobKind.PROGRAM, job)
    device = f"card-{now(ready).name}"
    assert (work.device, work.driver) == (device, "fake_driver")
    region = Region(device, now(ready).name, {"bus": "0c"})
    assert work.steps == (Program(region, IMAGE, PROJECT),)
    assert (now(ready).programming_state, now(ready).bitstream_id) == (STATE.PROGRAMMING, None)
    require_bindable(ready, False)

    assert begin(ready, job)
    assert now(ready).content_unknown
    require_bindable(ready, False)
    end(ready)
    found = now(ready)
    assert (found.programming_state, found.bitstream_id) == (STATE.PROGRAMMED, IMAGE)
    assert (found.content_unknown, found.programming_reason) == (False, None)
    assert rows(ready, jobs) == []
    require_bindable(ready, True)


def test_a_failure_before_it_is_touched_leaves_it_as_it_was(ready: Environment) -> None:
    begin(ready, program(ready))
    end(ready)
    program(ready, OTHER_IMAGE)
    fail(ready, "Image could not be found.")
    found = now(ready)
    assert (found.programming_state, found.bitstream_id) == (STATE.FAILED, IMAGE)
    assert found.programming_reason == "Image could not be found."
    assert not found.content_unknown
    assert rows(ready, jobs) == []
    require_bindable(ready, True)


def test_a_failure_half_way_keeps_it_from_everybody_until_a_success(ready: Environment) -> None:
    begin(ready, program(ready))
    end(ready)
    begin(ready, program(ready, OTHER_IMAGE))
    fail(ready)
    found = now(ready)
    assert (found.programming_state, found.bitstream_id) == (STATE.FAILED, None)
    assert (found.content_unknown, found.programming_reason) == (True, "the card is stuck")
    require_bindable(ready, False)

    # Even a failure that touches nothing: what was half written before still is.
    program(ready)
    fail(ready, "Image could not be found.")
    assert now(ready).content_unknown
    require_bindable(ready, False)

    begin(ready, program(ready))
    end(ready)
    assert now(ready).bitstream_id == IMAGE
    require_bindable(ready, True)


def test_a_failed_attempt_is_followed_by_another(
    ready: Environment, agents: RecordingAgents
) -> None:
    job = program(ready)
    end(ready, "once")
    assert now(ready).programming_state is STATE.PROGRAMMING
    [row] = rows(ready, jobs)
    assert (row.failures, row.last_error) == (1, "once")
    let_run_out(ready, jobs)
    finishing.sweep(ready)
    [first, second] = [work for _, work in agents.sent]
    assert second.job_uuid == job
    assert second.steps == first.steps
    assert second.generation > first.generation
    begin(ready, job)
    end(ready)
    assert now(ready).bitstream_id == IMAGE


def test_answers_to_earlier_attempts_have_no_effect(
    ready: Environment, agents: RecordingAgents
) -> None:
    """Fencing: the lease ran out, another conductor has sent it again."""
    job = program(ready)
    let_run_out(ready, jobs)
    assert finishing.sweep(ready) == 1
    stale = agents.sent[0][1].generation
    before = everything(ready)
    finishing.finish(ready, HOST, job, stale, None)
    finishing.finish(ready, HOST, job, stale, "late")
    assert everything(ready) == before
    assert not begin(ready, job, stale)
    assert everything(ready) == before
    assert begin(ready, job)
    finishing.finish(ready, HOST, job, agents.sent[1][1].generation, None)
    assert now(ready).bitstream_id == IMAGE


def test_a_conductor_that_dies_is_taken_over(
    ready: Environment, other_database: Database, agents: RecordingAgents
) -> None:
    agents.error = ServiceUnavailable("this conductor is gone")
    program(ready)
    assert agents.sent == []
    agents.error = None
    let_run_out(ready, jobs)
    other = dataclasses.replace(ready, database=other_database)
    assert finishing.sweep(other) == 1
    begin(other, agents.sent[0][1].job_uuid)
    end(other)
    assert now(ready).bitstream_id == IMAGE


@pytest.mark.parametrize("touched", [False, True])
def test_the_deadline_ends_it(ready: Environment, touched: bool) -> None:
    job = program(ready)
    if touched:
        assert begin(ready, job)
    let_run_out(ready, jobs, "deadline")
    finishing.sweep(ready)
    assert now(ready).programming_state is STATE.FAILED
    assert now(ready).content_unknown is touched
    assert rows(ready, jobs) == []
    # What the agent does or says afterwards: nothing.
    before = everything(ready)
    assert not begin(ready, job)
    finishing.finish(ready, HOST, job, 1, None)
    assert everything(ready) == before
    require_bindable(ready, not touched)


def test_only_what_is_programmed_is_recorded_as_touched(env: Environment) -> None:
    report(env, card(programmable=True, needs_prepare=True, needs_release=True))
    profile(env)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    [job] = rows(env, jobs)
    before = everything(env)
    assert begin(env, job.uuid)
    assert not begin(env, new_uuid())
    assert everything(env) == before


def refused(
    env: Environment,
    error: type[CyborgError],
    image: str = IMAGE,
    project: str | None = PROJECT,
) -> None:
    before = everything(env)
    with pytest.raises(error) as caught:
        program(env, image, project)
    assert OTHER_PROJECT not in str(caught.value)
    assert everything(env) == before


def test_what_cannot_be_programmed(env: Environment) -> None:
    report(env, card())
    refused(env, NotProgrammable)
    with pytest.raises(DeployableNotFound):
        programming.program(env, new_uuid(), IMAGE, PROJECT)


def test_a_missing_device(env: Environment) -> None:
    report(env, card(programmable=True))
    profile(env)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    for _ in range(ABSENCES_UNTIL_GONE):
        report(env)
    refused(env, DeployableMissing)


def test_what_another_project_holds_nobody_programs(ready: Environment) -> None:
    [uuid] = make(ready)
    bind(ready, uuid, instance=new_uuid(), owner=OTHER_PROJECT)
    refused(ready, DeployableInUse)
    refused(ready, DeployableInUse, project=None)
    releasing.delete(ready, [uuid])
    program(ready)


def test_what_the_own_project_holds_may_be_programmed(ready: Environment) -> None:
    [mine, others] = make(ready), make(ready)
    bind(ready, *mine, instance=new_uuid())
    program(ready)
    # And given back meanwhile: nothing of Nova's waits for a programming.
    releasing.delete(ready, mine)
    assert held(ready) == 0
    end(ready)
    bind(ready, *others, instance=new_uuid())


def test_not_while_a_handle_is_made_ready_or_cleaned(env: Environment) -> None:
    report(env, card(4, programmable=True, needs_prepare=True, needs_release=True))
    profile(env)
    [uuid] = make(env)
    bind(env, uuid, instance=new_uuid())
    refused(env, DeployableBusy)
    answer(env, uuid, None)
    job = program(env)
    # It is cleaned when the card has been programmed: the agent does one after the other.
    releasing.delete(env, [uuid])
    assert len(rows(env, jobs)) == 2
    begin(env, job)
    end(env)
    refused(env, DeployableBusy)
    [release] = rows(env, jobs)
    finishing.finish(env, HOST, release.uuid, release.generation, None)
    assert held(env) == 0
    program(env)


def test_a_second_programming_waits_its_turn(ready: Environment, agents: RecordingAgents) -> None:
    job = program(ready)
    refused(ready, DeployableBusy, image=OTHER_IMAGE)
    refused(ready, DeployableBusy, project=OTHER_PROJECT)
    before = everything(ready)
    assert program(ready) == job, "the same again is the same"
    assert everything(ready) == before
    assert len(agents.sent) == 1
    end(ready)
    assert program(ready, OTHER_IMAGE) != job


def test_binds_and_a_programming_at_once(ready: Environment) -> None:
    """Either it is programmed, and nobody of another project got a part; or somebody did."""
    for _ in range(10):
        uuids = [make(ready)[0] for _ in range(4)]
        binds = [
            partial(bind, ready, uuid, instance=new_uuid(), owner=OTHER_PROJECT) for uuid in uuids
        ]
        ends = at_once([*binds, partial(program, ready)])
        assert held(ready) == ends[:-1].count("ok")
        if ends[-1] == "ok":
            assert set(ends[:-1]) == {"cyborg.arq.device_not_available"}
            end(ready)
        else:
            assert ends[-1] == "cyborg.deployable.in_use"
            assert "ok" in ends
        releasing.delete(ready, uuids)


def test_programmings_at_once(ready: Environment) -> None:
    for _ in range(5):
        images = [new_uuid() for _ in range(6)]
        ends = at_once([partial(program, ready, image) for image in images])
        assert sorted(ends) == [*["cyborg.deployable.busy"] * 5, "ok"]
        job = next(row for row in rows(ready, jobs))
        begin(ready, job.uuid)
        end(ready)
        assert now(ready).bitstream_id == images[ends.index("ok")]


def test_the_same_programming_at_once_is_one(ready: Environment, agents: RecordingAgents) -> None:
    assert set(at_once([partial(program, ready)] * 6)) == {"ok"}
    assert len(rows(ready, jobs)) == len(agents.sent) == 1


def test_a_report_does_not_hide_what_is_being_programmed(ready: Environment) -> None:
    """A card may leave its bus while it is written; nor is a half-written one forgotten."""
    job = program(ready)
    for _ in range(ABSENCES_UNTIL_GONE + 1):
        report(ready)
    assert now(ready).programming_state is STATE.PROGRAMMING
    begin(ready, job)
    fail(ready)
    report(ready)
    assert now(ready).content_unknown
    report(ready, card(4, programmable=True))
    require_bindable(ready, False)
    begin(ready, program(ready))
    end(ready)
    for _ in range(ABSENCES_UNTIL_GONE + 1):
        report(ready)
    assert rows(ready, deployables) == []


def test_what_is_gone_from_a_device_stays_while_it_is_programmed(ready: Environment) -> None:
    program(ready)
    bare = dataclasses.replace(card(), deployables=())
    report(ready, bare)
    assert now(ready).programming_state is STATE.PROGRAMMING
    end(ready)
    for _ in range(ABSENCES_UNTIL_GONE):
        assert len(rows(ready, deployables)) == 1
        report(ready, bare)
    assert rows(ready, deployables) == []


def test_what_the_driver_says_that_it_holds(ready: Environment) -> None:
    holding = partial(card, 4, programmable=True)
    report(ready, holding(bitstream_id=OTHER_IMAGE))
    assert now(ready).bitstream_id == OTHER_IMAGE
    report(ready, holding())
    assert now(ready).bitstream_id == OTHER_IMAGE, "who cannot tell changes nothing"

    begin(ready, program(ready))
    report(ready, holding(bitstream_id=OTHER_IMAGE))
    assert now(ready).bitstream_id is None, "a scan from before"
    [host] = rows(ready, hosts)
    assert host.report_digest is None, "it is asked for again"
    end(ready)
    report(ready, holding(bitstream_id=IMAGE))
    assert now(ready).bitstream_id == IMAGE
    before = everything(ready)["deployables"]
    report(ready, holding(bitstream_id=IMAGE))
    assert everything(ready)["deployables"] == before


def test_a_report_that_was_read_before_a_programming_began(ready: Environment) -> None:
    """It must not remove what has become worth keeping since."""
    for _ in range(5):
        ends = at_once(
            [
                partial(program, ready),
                partial(report, ready, dataclasses.replace(card(), deployables=())),
            ]
        )
        assert ends[1] == "ok"
        if ends[0] == "ok":
            assert now(ready).programming_state is STATE.PROGRAMMING
            end(ready)
        else:
            assert ends[0] == "cyborg.deployable.not_found"
        report(ready, card(4, programmable=True))


def test_an_agent_of_the_release_before_reports_no_programming(env: Environment) -> None:
    report(env, card(4, programmable=True))
    wire = Snapshot((card(4),)).to_wire()
    for part in wire["devices"][0]["deployables"]:
        del part["programmable"], part["bitstream_id"]
    inventory.report(env, HOST, wire)
    assert not now(env).programmable


def test_cost(ready: Environment) -> None:
    with counted_statements(ready.database.engine) as statements:
        job = program(ready)
    assert len(statements) == 5, statements
    with counted_statements(ready.database.engine) as statements:
        finishing.begin(ready, HOST, job, 1, 0)
    assert len(statements) == 2, statements
    with counted_statements(ready.database.engine) as statements:
        end(ready)
    # One of them is the test's own.
    assert len(statements) - 1 == 4, statements


def test_placement_offers_nothing_of_it_meanwhile(
    env: Environment, empty_placement: Placement
) -> None:
    cloud = dataclasses.replace(env, placement=placement_client(empty_placement.url))
    empty_placement.make_root(HOST)
    report(cloud, card(4, programmable=True))
    providers.sweep(cloud)

    def reserved() -> int:
        found: int = empty_placement.inventories(RP)["FPGA"]["reserved"]
        return found

    assert reserved() == 0
    job = program(cloud)
    assert reserved() == 4, "before the caller is answered"
    begin(cloud, job)
    fail(cloud)
    providers.sweep(cloud)
    assert reserved() == 4
    begin(cloud, program(cloud))
    end(cloud)
    providers.sweep(cloud)
    assert reserved() == 0


def test_conflicts_are_conflicts() -> None:
    for error in (DeployableBusy, DeployableInUse, DeployableMissing, NotProgrammable):
        assert issubclass(error, Conflict)
