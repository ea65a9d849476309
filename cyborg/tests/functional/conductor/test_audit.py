"""The audit: whatever the database contradicts itself in is made by hand, found and healed.

Each case says what is broken, how it is said, and what is left once it was healed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from cyborg.conductor import finishing, programming, releasing, restoring
from cyborg.conductor.audit import healing, looking
from cyborg.conductor.audit.disagreement import REMEDIES, Disagreement, Kind
from cyborg.conductor.environment import Environment, LeftToOthers
from cyborg.db.database import Database
from cyborg.db.tables import (
    accelerator_requests,
    attach_handles,
    counters,
    deployables,
    devices,
    hosts,
    jobs,
    outbox,
)
from cyborg.db.types import database_now
from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.domain.model import EventStatus
from cyborg.tests.functional.conductor.harness import (
    PROJECT,
    answer,
    bind,
    check_audit,
    disagreements,
    fail_to_prepare,
    make,
    rows,
)
from cyborg.tests.functional.conductor.racing import parts, whole
from cyborg.tests.helpers import (
    HOST,
    RecordingAgents,
    counted_statements,
    deployable,
    device,
    profile,
    report,
)
from cyborg.tests.servers import NovaStandIn

DIRTY, READY, CLEAN = "dirty", "prepared", "clean"
NEEDS: dict[str, dict[str, Any]] = {
    CLEAN: {"programmable": True},
    DIRTY: {"needs_release": True},
    READY: {"needs_prepare": True, "needs_release": True},
}


def cards() -> list[Any]:
    """Return a host's cards: one of each need, and one whole and in parts."""
    plain = [device(f"card-{name}", deployable(name, 3, **NEEDS[name])) for name in NEEDS]
    return [*plain, device("card-shapes", whole(), parts())]


@pytest.fixture
def busy(nova_env: Environment) -> Environment:
    """Something in every state that there is, but those that a failure makes."""
    env = nova_env
    report(env, *cards())
    for name, groups in (("one", {"resources:FPGA": "1"}), ("whole", {"resources:PGPU": "1"})):
        profile(env, name, groups)
    make(env)
    for name in (CLEAN, DIRTY, READY):
        bound(env, name)
    return env


def bound(env: Environment, name: str, profile_name: str = "one") -> str:
    """Bind an ARQ to a device; return its uuid."""
    [uuid] = make(env, profile_name)
    bind(env, uuid, instance=new_uuid(), rp=provider_uuid(name))
    return uuid


@contextmanager
def without_foreign_keys(database: Database) -> Iterator[sa.Connection]:
    """Open a transaction in which rows may refer to nothing."""
    with database.engine.connect() as connection:
        off, on = {
            "sqlite": ("PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON"),
            "mysql": ("SET FOREIGN_KEY_CHECKS = 0", "SET FOREIGN_KEY_CHECKS = 1"),
            "postgresql": (
                "SET session_replication_role = replica",
                "SET session_replication_role = DEFAULT",
            ),
        }[connection.dialect.name]
        raw = connection.connection.cursor()
        raw.execute(off)
        try:
            with connection.begin_nested() if connection.in_transaction() else connection.begin():
                yield connection
        finally:
            connection.rollback()
            raw.execute(on)
            connection.commit()


def change(env: Environment, table: sa.Table, which: sa.ColumnElement[bool], **values: Any) -> None:
    """Break something by hand."""
    with env.database.engine.begin() as connection:
        changed = connection.execute(table.update().where(which).values(**values))
        assert changed.rowcount >= 1, "nothing was broken"


def row_of(env: Environment, table: sa.Table, uuid: str) -> Any:
    [row] = [each for each in rows(env, table) if each.uuid == uuid]
    return row


def handle_of(env: Environment, uuid: str) -> Any:
    id_ = row_of(env, accelerator_requests, uuid).id
    [row] = [each for each in rows(env, attach_handles) if each.accelerator_request_id == id_]
    return row


def a_free_handle(env: Environment) -> Any:
    return next(
        row
        for row in rows(env, attach_handles)
        if row.accelerator_request_id is None and row.condition == "ready"
    )


# How each is broken. Each returns words that must be said.


def unknown_state(env: Environment) -> str:
    uuid = bound(env, CLEAN)
    change(env, accelerator_requests, accelerator_requests.c.uuid == uuid, state="Lost")
    return f"Accelerator request {uuid} has the state 'Lost', which there is not."


def unknown_condition(env: Environment) -> str:
    handle = rows(env, attach_handles)[0]
    change(env, attach_handles, attach_handles.c.id == handle.id, condition="odd")
    return f"Attach handle {handle.uuid} has the condition 'odd', which there is not."


def unknown_presence(env: Environment) -> str:
    card = rows(env, devices)[0]
    change(env, devices, devices.c.id == card.id, presence="odd")
    return f"Device {card.uuid} has the presence 'odd', which there is not."


def unknown_programming(env: Environment) -> str:
    part = rows(env, deployables)[0]
    change(env, deployables, deployables.c.id == part.id, programming_state="odd")
    return f"Deployable {part.uuid} has the programming_state 'odd', which there is not."


def bound_without_handle(env: Environment) -> str:
    uuid = bound(env, CLEAN)
    handle = handle_of(env, uuid)
    owner = {"accelerator_request_id": None}
    change(env, attach_handles, attach_handles.c.id == handle.id, **owner)
    return f"request {uuid} is Bound and has no attach handle: unbind or delete it."


def deleting_without_handle(env: Environment) -> str:
    uuid = bound(env, DIRTY)
    releasing.delete(env, [uuid])
    handle = handle_of(env, uuid)
    drop_job(env, uuid)
    owner = {"accelerator_request_id": None, "condition": "unclean"}
    change(env, attach_handles, attach_handles.c.id == handle.id, **owner)
    return f"request {uuid} is Deleting and has no attach handle: nothing is left to release."


def handle_of_unbound(env: Environment) -> str:
    [uuid] = make(env)
    owner = row_of(env, accelerator_requests, uuid).id
    free = a_free_handle(env)
    taken = {"accelerator_request_id": owner, "needs_release": True}
    change(env, attach_handles, attach_handles.c.id == free.id, **taken)
    return f"Attach handle {free.uuid} ({free.hardware}) belongs to accelerator request {uuid}"


def handle_of_nobody(env: Environment) -> str:
    free = a_free_handle(env)
    with without_foreign_keys(env.database) as connection:
        of_free = attach_handles.update().where(attach_handles.c.id == free.id)
        connection.execute(of_free.values(accelerator_request_id=999_999))
    return f"{free.uuid} ({free.hardware}) belongs to an accelerator request that is gone."


def another_provider(env: Environment) -> str:
    uuid = bound(env, CLEAN)
    other = provider_uuid(DIRTY)
    of_uuid = accelerator_requests.c.uuid == uuid
    change(env, accelerator_requests, of_uuid, device_rp_uuid=other)
    return f"request {uuid} says host {HOST}, provider {other}; its attach handle"


def another_host(env: Environment) -> str:
    uuid = bound(env, CLEAN)
    of_uuid = accelerator_requests.c.uuid == uuid
    change(env, accelerator_requests, of_uuid, hostname="compute-9")
    return f"request {uuid} says host compute-9, provider"


def shape_given_twice(env: Environment) -> str:
    bound(env, whole().name, "whole")
    [uuid] = make(env)
    owner = row_of(env, accelerator_requests, uuid).id
    part = next(p for p in rows(env, deployables) if p.name == parts().name)
    free = next(h for h in rows(env, attach_handles) if h.deployable_id == part.id)
    change(env, attach_handles, attach_handles.c.id == free.id, accelerator_request_id=owner)
    values = {
        "state": "Bound",
        "hostname": HOST,
        "device_rp_uuid": part.rp_uuid,
        "instance_uuid": new_uuid(),
        "bound_by_service": False,
    }
    change(env, accelerator_requests, accelerator_requests.c.uuid == uuid, **values)
    return f"on host {HOST} is given out than there is: attach handles"


def wrong_counter(env: Environment) -> str:
    counter = rows(env, counters)[0]
    change(env, counters, counters.c.id == counter.id, capacity=counter.capacity + 1)
    return f"What is counted of {counter.name} on host {HOST} is not what"


def job_of_nothing(env: Environment) -> str:
    uuid = bound(env, READY)
    job = job_of(env, uuid)
    change(env, jobs, jobs.c.id == job.id, accelerator_request_id=None)
    return f"Job {job.uuid} (prepare, arq/{uuid}) is about no accelerator request."


def job_of(env: Environment, uuid: str) -> Any:
    [job] = [each for each in rows(env, jobs) if each.subject == f"arq/{uuid}"]
    return job


def illegible_job(env: Environment) -> str:
    uuid = bound(env, DIRTY)
    releasing.delete(env, [uuid])
    job = job_of(env, uuid)
    change(env, jobs, jobs.c.id == job.id, payload="{}")
    return f"Job {job.uuid} (release, arq/{uuid}) cannot be read: "


def illegible_job_of_another_release(env: Environment) -> str:
    uuid = bound(env, READY)
    job = job_of(env, uuid)
    change(env, jobs, jobs.c.id == job.id, payload="{}", kind="polish")
    return f"Job {job.uuid} (polish, arq/{uuid}) cannot be read: "


def job_of_no_deployable(env: Environment) -> str:
    job_uuid = programming.program(env, provider_uuid(CLEAN), new_uuid(), PROJECT)
    job = row_of(env, jobs, job_uuid)
    subject = f"deployable/{new_uuid()}"
    change(env, jobs, jobs.c.id == job.id, subject=subject)
    settle = {"programming_state": "none"}
    change(env, deployables, deployables.c.programming_job == job_uuid, **settle)
    return f"Job {job_uuid} (program, {subject}) is about no deployable."


def job_of_no_host(env: Environment) -> str:
    job = job_of(env, bound(env, READY))
    change(env, jobs, jobs.c.id == job.id, host="compute-9")
    return f"Job {job.uuid} (prepare, {job.subject}) is for host compute-9, which is not known."


def released_though_bound(env: Environment) -> str:
    uuid = bound(env, DIRTY)
    releasing.unbind(env, [uuid])
    change(env, accelerator_requests, accelerator_requests.c.uuid == uuid, state="Bound")
    return f"is about accelerator request {uuid}, which is Bound."


def released_what_another_has(env: Environment) -> str:
    uuid = bound(env, DIRTY)
    releasing.unbind(env, [uuid])
    other = handle_of(env, bound(env, CLEAN))
    change(env, jobs, jobs.c.subject == f"arq/{uuid}", attach_handle_id=other.id)
    return f"is about an attach handle that accelerator request {uuid} does not have."


def programs_what_does_not_wait(env: Environment) -> str:
    job = programming.program(env, provider_uuid(CLEAN), new_uuid(), PROJECT)
    settle = {"programming_state": "none"}
    change(env, deployables, deployables.c.programming_job == job, **settle)
    return f"programs deployable {CLEAN}, which waits for no such job."


def cleans_what_is_owned(env: Environment) -> str:
    uuid = bound(env, DIRTY)
    releasing.delete(env, [uuid])
    handle = handle_of(env, uuid)
    release = job_of(env, uuid)
    finishing.finish(env, HOST, release.uuid, release.generation, "away", away=True)
    report(env, *cards())
    [arq] = make(env)
    owner = row_of(env, accelerator_requests, arq).id
    values = {
        "state": "Bound",
        "hostname": HOST,
        "device_rp_uuid": provider_uuid(DIRTY),
        "instance_uuid": new_uuid(),
    }
    change(env, accelerator_requests, accelerator_requests.c.uuid == arq, **values)
    taken = {"accelerator_request_id": owner}
    change(env, attach_handles, attach_handles.c.id == handle.id, **taken)
    return f"cleans attach handle {handle.uuid}, which belongs to somebody."


def deleting_without_job(env: Environment) -> str:
    uuid = bound(env, DIRTY)
    releasing.delete(env, [uuid])
    drop_job(env, uuid)
    return f"request {uuid} is Deleting, and no job releases its attach handle."


def drop_job(env: Environment, uuid: str) -> None:
    with env.database.engine.begin() as connection:
        connection.execute(jobs.delete().where(jobs.c.subject == f"arq/{uuid}"))


def unbinding_without_job(env: Environment) -> str:
    uuid = bound(env, DIRTY)
    releasing.unbind(env, [uuid])
    drop_job(env, uuid)
    return f"request {uuid} is Unbinding, and no job releases its attach handle."


def binding_without_job(env: Environment) -> str:
    uuid = bound(env, READY)
    drop_job(env, uuid)
    return f"request {uuid} is BindStarted, and no job prepares its attach handle."


def programming_without_job(env: Environment) -> str:
    job = programming.program(env, provider_uuid(CLEAN), new_uuid(), PROJECT)
    with env.database.engine.begin() as connection:
        connection.execute(jobs.delete().where(jobs.c.uuid == job))
    return f"Deployable {CLEAN} is being programmed, and no job does it."


def unclean_without_job(env: Environment) -> str:
    part = next(p for p in rows(env, deployables) if p.name == whole().name)
    handle = next(h for h in rows(env, attach_handles) if h.deployable_id == part.id)
    values = {"condition": "unclean", "updated_at": database_now(-1000)}
    change(env, attach_handles, attach_handles.c.id == handle.id, **values)
    return f"{handle.uuid} ({handle.hardware}) is unclean and there, and no job cleans it."


def overdue_job(env: Environment) -> str:
    job = job_of(env, bound(env, READY))
    change(env, jobs, jobs.c.id == job.id, leased_until=database_now(-1000))
    return f"Job {job.uuid} (prepare, {job.subject}) has been due for 10"


def job_of_the_far_future(env: Environment) -> str:
    job = job_of(env, bound(env, READY))
    change(env, jobs, jobs.c.id == job.id, leased_until=database_now(10_000))
    return f"Job {job.uuid} (prepare, {job.subject}) is kept from all conductors for "


def event_of_nothing(env: Environment) -> str:
    uuid = untold(env)
    with without_foreign_keys(env.database) as connection:
        connection.execute(outbox.update().values(accelerator_request_id=999_999))
    return f"An event about accelerator request {uuid}, which is gone."


def untold(env: Environment) -> str:
    """Bind an ARQ, of which Nova is not told yet."""
    return bound(dataclasses.replace(env, senders=LeftToOthers()), CLEAN)


def untrue_event(env: Environment) -> str:
    uuid = untold(env)
    change(env, outbox, outbox.c.accelerator_request_uuid == uuid, status=EventStatus.FAILED)
    return f"An event says that accelerator request {uuid} has failed for instance"


def late_event(env: Environment) -> str:
    uuid = untold(env)
    of_uuid = outbox.c.accelerator_request_uuid == uuid
    change(env, outbox, of_uuid, created_at=database_now(-1000))
    return f"An event about accelerator request {uuid} was written 10"


def endless_event(env: Environment) -> str:
    uuid = failing(env)
    change(env, outbox, outbox.c.accelerator_request_uuid == uuid, deadline=database_now(-1000))
    return f"An event about accelerator request {uuid} should have ended 10"


def failing(env: Environment) -> str:
    uuid = bound(env, READY)
    fail_to_prepare(env, uuid)
    return uuid


def untold_failure(env: Environment) -> str:
    uuid = failing(env)
    with env.database.engine.begin() as connection:
        connection.execute(outbox.delete())
    return f"The bind of accelerator request {uuid} is failing, and Nova is not told."


def silent_host(env: Environment) -> str:
    change(env, hosts, hosts.c.name == HOST, last_seen_at=database_now(-10_000))
    return f"Host {HOST} has not been heard for 10000 s."


def host_withheld_as_silent(env: Environment) -> str:
    change(env, hosts, hosts.c.name == HOST, withheld="silent")
    return f"Host {HOST} is withheld as silent, and was heard"


def unknown_withheld(env: Environment) -> str:
    change(env, hosts, hosts.c.name == HOST, withheld="odd")
    return f"Host {HOST} has the withheld 'odd', which there is not."


def content_known_and_not(env: Environment) -> str:
    image = new_uuid()
    values = {"content_unknown": True, "bitstream_id": image}
    change(env, deployables, deployables.c.name == CLEAN, **values)
    return f"What deployable {CLEAN} holds is not known, and it is said to be image {image}"


Break = Callable[[Environment], str]

#: What is said of each; and, once it was healed and its agent has done its part, what still is.
CASES: dict[Break, tuple[Kind, list[Kind]]] = {
    unknown_state: (Kind.UNKNOWN_VALUE, [Kind.UNKNOWN_VALUE]),
    unknown_condition: (Kind.UNKNOWN_VALUE, [Kind.UNKNOWN_VALUE]),
    unknown_presence: (Kind.UNKNOWN_VALUE, [Kind.UNKNOWN_VALUE]),
    unknown_programming: (Kind.UNKNOWN_VALUE, [Kind.UNKNOWN_VALUE]),
    unknown_withheld: (Kind.UNKNOWN_VALUE, [Kind.UNKNOWN_VALUE]),
    bound_without_handle: (Kind.HOLDING_WITHOUT_HANDLE, [Kind.HOLDING_WITHOUT_HANDLE]),
    deleting_without_handle: (Kind.HOLDING_WITHOUT_HANDLE, []),
    handle_of_unbound: (Kind.HANDLE_NOT_HELD, []),
    handle_of_nobody: (Kind.HANDLE_NOT_HELD, []),
    another_provider: (Kind.HANDLE_ELSEWHERE, [Kind.HANDLE_ELSEWHERE]),
    another_host: (Kind.HANDLE_ELSEWHERE, [Kind.HANDLE_ELSEWHERE]),
    shape_given_twice: (Kind.GIVEN_TWICE, [Kind.GIVEN_TWICE]),
    wrong_counter: (Kind.COUNTERS_DIFFER, []),
    illegible_job: (Kind.JOB_UNREADABLE, []),
    illegible_job_of_another_release: (Kind.JOB_UNREADABLE, [Kind.JOB_UNREADABLE]),
    # What it was about waits for it then, and that is healed too.
    job_of_nothing: (Kind.JOB_WITHOUT_SUBJECT, []),
    job_of_no_deployable: (Kind.JOB_WITHOUT_SUBJECT, []),
    job_of_no_host: (Kind.JOB_WITHOUT_SUBJECT, [Kind.JOB_WITHOUT_SUBJECT]),
    released_though_bound: (Kind.JOB_AGAINST_STATE, []),
    released_what_another_has: (Kind.JOB_AGAINST_STATE, []),
    programs_what_does_not_wait: (Kind.JOB_AGAINST_STATE, []),
    cleans_what_is_owned: (Kind.JOB_AGAINST_STATE, []),
    deleting_without_job: (Kind.WAITING_WITHOUT_JOB, []),
    unbinding_without_job: (Kind.WAITING_WITHOUT_JOB, []),
    binding_without_job: (Kind.WAITING_WITHOUT_JOB, []),
    programming_without_job: (Kind.PROGRAMMING_WITHOUT_JOB, []),
    unclean_without_job: (Kind.UNCLEAN_WITHOUT_JOB, []),
    overdue_job: (Kind.JOB_OVERDUE, [Kind.JOB_OVERDUE]),
    job_of_the_far_future: (Kind.JOB_LEASED_TOO_LONG, []),
    event_of_nothing: (Kind.EVENT_WITHOUT_REQUEST, []),
    untrue_event: (Kind.EVENT_AGAINST_STATE, []),
    # Nova must take it: that is a conductor's.
    late_event: (Kind.EVENT_OVERDUE, [Kind.EVENT_OVERDUE]),
    endless_event: (Kind.EVENT_OVERDUE, [Kind.EVENT_OVERDUE]),
    untold_failure: (Kind.FAILING_WITHOUT_EVENT, []),
    silent_host: (Kind.HOST_SILENT, [Kind.HOST_SILENT]),
    host_withheld_as_silent: (Kind.HOST_WITHHELD, [Kind.HOST_WITHHELD]),
    content_known_and_not: (Kind.CONTENT_CONTRADICTED, [Kind.CONTENT_CONTRADICTED]),
}

#: Of Placement and Nova; see test_audit_in_the_cloud.
ELSEWHERE = {
    Kind.PROVIDER_MISSING,
    Kind.PROVIDER_DIFFERS,
    Kind.PROVIDER_FOREIGN,
    Kind.PROVIDER_ORPHANED,
    Kind.ALLOCATION_WITHOUT_REQUEST,
    Kind.REQUEST_WITHOUT_ALLOCATION,
    Kind.SERVER_GONE,
    Kind.SERVER_ELSEWHERE,
}


def in_database(env: Environment) -> Environment:
    """Return a conductor that asks the database only: its servers are nobody's."""
    return dataclasses.replace(env, nova=None)


def heal(env: Environment) -> list[Disagreement]:
    """Heal until nothing more is, as the command does; return what was healed."""
    healed: list[Disagreement] = []
    while True:
        done = [each for each in disagreements(env) if each not in healed]
        done = healing.heal(env, done)
        if not done or {each.identity for each in done} <= {each.identity for each in healed}:
            return healed
        healed += done


def let_the_agent_report(env: Environment) -> None:
    """Let the host's agent live on: whoever is asked for the whole report sends it."""
    with env.database.reader() as connection:
        [asked] = connection.scalars(
            sa.select(hosts.c.report_digest.is_(None)).where(hosts.c.name == HOST)
        )
    if asked:
        report(env, *cards())


def test_every_kind_has_a_case() -> None:
    assert {kind for kind, _ in CASES.values()} | ELSEWHERE == set(Kind)


def test_a_busy_database_is_sound(busy: Environment, agents: RecordingAgents) -> None:
    check_audit(busy)
    failing(busy)
    for name in (DIRTY, READY):
        releasing.delete(busy, [bound(busy, name)])
    bound(busy, whole().name, "whole")
    check_audit(busy)
    look = looking.disagreements(in_database(busy))
    assert (look.disagreements, look.is_whole) == ((), True)


@pytest.mark.parametrize("broken", CASES, ids=lambda case: case.__name__)
def test_it_is_found_and_healed(busy: Environment, broken: Break) -> None:
    kind, remaining = CASES[broken]
    words = broken(busy)
    [found] = disagreements(busy)
    assert (found.kind, words in found.words) == (kind, True), found
    assert found.healable <= (kind in REMEDIES)
    seen = rows(busy, accelerator_requests)
    healed = heal(busy)
    assert (found in healed) is found.healable
    if not found.healable:
        assert rows(busy, accelerator_requests) == seen
    let_the_agent_report(busy)
    assert [each.kind for each in disagreements(busy)] == remaining


def test_a_host_that_is_restored_prepares_what_is_bound(busy: Environment) -> None:
    uuid = bound(busy, READY)
    answer(busy, uuid, None)
    change(busy, hosts, hosts.c.name == HOST, boot_id="before")
    booted = {"boot_id": "after", "boot_age": 0.0, "interval": 60.0}
    [work] = restoring.resume(busy, HOST, agent=booted)
    check_audit(busy)
    change(busy, accelerator_requests, accelerator_requests.c.uuid == uuid, state="BindFailed")
    [found] = disagreements(busy)
    assert found.kind is Kind.JOB_AGAINST_STATE
    assert work.job_uuid in str(found)


def test_nothing_that_may_be_dirty_becomes_free(busy: Environment) -> None:
    """Of a handle that nobody holds it is not known what it was used for."""
    for broken in (handle_of_unbound, handle_of_nobody):
        broken(busy)
        [found] = disagreements(busy)
        assert healing.heal(busy, [found]) == [found]
        handle = row_of(busy, attach_handles, found.which)
        assert (handle.accelerator_request_id, handle.condition) == (None, "unclean")
        report(busy, *cards())
        check_audit(busy)


#: What is done about these is right whatever has happened since: a deletion of what is about
#: nothing, a question to an agent, and what is looked at once more under the deployable's lock.
ALWAYS_RIGHT = {event_of_nothing, unclean_without_job, wrong_counter, programming_without_job}


@pytest.mark.parametrize(
    "broken",
    [case for case in CASES if CASES[case][1] == [] and case not in ALWAYS_RIGHT],
    ids=lambda case: case.__name__,
)
def test_what_has_changed_since_is_left_alone(busy: Environment, broken: Break) -> None:
    """Healing is for what was seen: whatever has moved on by then stays as it is."""
    broken(busy)
    [found] = disagreements(busy)
    with busy.database.engine.begin() as connection:
        for table in (accelerator_requests, attach_handles, jobs):
            connection.execute(table.update().values(generation=table.c.generation + 1))
        connection.execute(outbox.update().values(attempt=outbox.c.attempt + 1))
    before = [rows(busy, table) for table in (accelerator_requests, attach_handles, jobs, outbox)]
    assert healing.heal(busy, [found]) == []
    after = [rows(busy, table) for table in (accelerator_requests, attach_handles, jobs, outbox)]
    assert after == before


def test_a_release_that_was_begun_anew_ends(busy: Environment, agents: RecordingAgents) -> None:
    deleting_without_job(busy)
    heal(busy)
    host, work = agents.sent[-1]
    assert (host, work.kind) == (HOST, "release")
    finishing.finish(busy, host, work.job_uuid, work.generation, None)
    check_audit(busy)
    assert "Deleting" not in {row.state for row in rows(busy, accelerator_requests)}


def test_of_a_bind_that_nobody_prepares_nova_is_told(busy: Environment, nova: NovaStandIn) -> None:
    binding_without_job(busy)
    heal(busy)
    assert nova.received[-1].events[0]["status"] == "failed"
    assert "BindFailing" in {row.state for row in rows(busy, accelerator_requests)}


def test_what_is_in_motion_is_not_said(busy: Environment) -> None:
    """Between two looks an agent answers: what was there once was no disagreement."""
    uuid = bound(busy, READY)
    job = job_of(busy, uuid)
    change(busy, jobs, jobs.c.id == job.id, leased_until=database_now(-1000))
    env = in_database(busy)
    assert [each.kind for each in looking.disagreements(env).disagreements] == [Kind.JOB_OVERDUE]
    assert looking.twice(env, lambda: let_be_sent(busy)).disagreements == ()
    change(busy, jobs, jobs.c.id == job.id, leased_until=database_now(-1000))
    assert [each.which for each in looking.twice(env, lambda: None).disagreements] == [job.uuid]


def let_be_sent(env: Environment) -> None:
    finishing.sweep(env)


def test_it_costs_the_same_whatever_there_is(busy: Environment) -> None:
    counts = []
    for _ in range(2):
        with counted_statements(busy.database.engine) as statements:
            check_audit(busy)
        # Begins a transaction that sees one moment.
        counts.append(len([each for each in statements if "SET TRANSACTION" not in each]))
        more = [device(f"more-{n}", deployable(f"more-{n}", 4)) for n in range(20)]
        report(busy, *cards(), *more)
        for n in range(20):
            bound(busy, f"more-{n}")
    assert counts == [9, 9]


def test_it_sees_one_moment(busy: Environment, other_database: Database) -> None:
    """What another conductor does while it reads is seen as a whole, or not at all."""
    uuid = bound(busy, CLEAN)
    other = dataclasses.replace(busy, database=other_database)
    seen: list[str] = []

    def meanwhile(*event: Any) -> None:
        if "FROM attach_handles" in event[2] and "card_hosts" in event[2] and not seen:
            seen.append(event[2])
            releasing.delete(other, [uuid])
            binding_of_another(other)

    sa.event.listen(busy.database.engine, "before_cursor_execute", meanwhile)
    try:
        assert disagreements(busy) == []
    finally:
        sa.event.remove(busy.database.engine, "before_cursor_execute", meanwhile)
    assert seen
    check_audit(busy)


def binding_of_another(env: Environment) -> None:
    bound(env, CLEAN)
