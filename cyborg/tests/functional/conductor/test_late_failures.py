"""A bind of Nova's that fails after Nova was answered must not look resolved too early.

Nova boots a server without its device when it finds the ARQ BindFailed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from cyborg.conductor import events, finishing, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.database import Database
from cyborg.db.tables import jobs, outbox
from cyborg.db.types import database_now
from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import AcceleratorRequestStateConflict
from cyborg.domain.states import ArqState
from cyborg.rpc.context import working_for
from cyborg.tests.functional.conductor.harness import (
    PROJECT,
    answer,
    arq,
    arqs,
    bind,
    card,
    everything,
    fail_to_prepare,
    held,
    interrupted,
    let_run_out,
    make,
    only_sqlite,
    rows,
    server,
    silent,
    told,
)
from cyborg.tests.helpers import HOST, RecordingAgents, profile, report
from cyborg.tests.servers import NovaStandIn, StandInServer


@pytest.fixture
def slow(nova_env: Environment) -> Environment:
    """Sixteen handles of a device that must be prepared, and profiles of one and of two."""
    report(nova_env, card(needs_prepare=True, needs_release=True))
    profile(nova_env)
    profile(nova_env, "two", {"resources:FPGA": "2"})
    return nova_env


def fail(env: Environment, nova: NovaStandIn, host: str | None = HOST) -> tuple[str, str]:
    """Let a bind of Nova's fail after it was answered; return the ARQ and the server."""
    [uuid], instance = make(env), server(nova, host)
    bind(env, uuid, instance=instance)
    fail_to_prepare(env, uuid)
    return uuid, instance


class TestFailure:
    def test_it_goes_on_reading_bind_started_and_nova_is_told_at_once(
        self, slow: Environment, nova: NovaStandIn
    ) -> None:
        uuid, instance = fail(slow, nova)
        found = arq(slow, uuid)
        assert (found.state, found.attach_handle) == (ArqState.BIND_FAILING, None)
        assert found.state.shows is ArqState.BIND_STARTED
        assert found.state_reason == "the card is stuck"
        assert found.instance_uuid == instance
        assert told(nova) == [(uuid, "failed")]
        [row] = rows(slow, outbox)
        assert (row.status, row.state) == ("failed", "waiting")
        assert row.deadline is not None
        assert held(slow) == 1
        assert rows(slow, jobs) == []

    def test_what_is_not_ready_in_time_ends_in_the_same_way(
        self, slow: Environment, nova: NovaStandIn
    ) -> None:
        [uuid] = make(slow)
        bind(slow, uuid, instance=server(nova))
        let_run_out(slow, jobs, "deadline")
        assert finishing.sweep(slow) == 1
        found = arq(slow, uuid)
        assert (found.state, found.attach_handle) == (ArqState.BIND_FAILING, None)
        assert found.state_reason
        assert told(nova) == [(uuid, "failed")]
        assert held(slow) == 1
        assert finishing.sweep(slow) == 0

    @only_sqlite
    def test_nova_is_told_again_whatever_it_answers(
        self, slow: Environment, nova: NovaStandIn
    ) -> None:
        uuid, instance = fail(slow, nova, host=None)
        assert [sent.codes for sent in nova.received] == [[422]]
        changes: list[Callable[[], object]] = [
            lambda: setattr(nova.servers[instance], "host", HOST),
            nova.down,
            nova.up,
            lambda: nova.failing(500),
            lambda: nova.failing(400),
            nova.normal,
            nova.servers.clear,
            lambda: None,
        ]
        for change in changes:
            change()
            let_run_out(slow, outbox)
            assert events.sweep(slow) == 1
        codes = [sent.codes or sent.status for sent in nova.received]
        assert codes == [[422], [200], [200], 500, 400, [200], [404], [404]]
        assert set(told(nova)) == {(uuid, "failed")}
        assert arq(slow, uuid).state is ArqState.BIND_FAILING
        assert len(rows(slow, outbox)) == 1

    @only_sqlite
    def test_the_event_bears_the_id_of_the_request_that_bound(
        self, slow: Environment, nova: NovaStandIn
    ) -> None:
        with working_for("req-bind", None):
            bind(slow, *make(slow), instance=server(nova))
        let_run_out(slow, jobs, "deadline")
        finishing.sweep(slow)
        assert [sent.request_id for sent in nova.received] == ["req-bind"]

    def test_another_conductor_goes_on(
        self, slow: Environment, nova: NovaStandIn, other_database: Database
    ) -> None:
        other = dataclasses.replace(slow, database=other_database)
        [uuid] = make(slow)
        bind(slow, uuid, instance=server(nova))
        fail_to_prepare(silent(slow), uuid)
        assert nova.received == []
        let_run_out(slow, outbox)
        assert events.sweep(other) == 1
        assert told(nova) == [(uuid, "failed")]

    def test_it_ends_when_nova_deletes_the_arq(
        self, slow: Environment, nova: NovaStandIn, agents: RecordingAgents
    ) -> None:
        uuid, instance = fail(slow, nova)
        releasing.delete_of_instance(slow, instance)
        assert arqs(slow) == rows(slow, outbox) == []
        let_run_out(slow, outbox)
        assert events.sweep(slow) == 0
        assert len(nova.received) == 1
        assert held(slow) == 1, "a half prepared handle was given away"
        assert agents.sent[-1][1].kind == "release"
        answer(slow, uuid, None)
        assert held(slow) == 0

    def test_it_ends_when_the_arq_is_unbound(self, slow: Environment, nova: NovaStandIn) -> None:
        uuid, _ = fail(slow, nova)
        releasing.unbind(slow, [uuid])
        assert rows(slow, outbox) == []
        assert held(slow) == 1
        answer(slow, uuid, None)
        assert held(slow) == 0
        assert (arq(slow, uuid).state, arq(slow, uuid).state_reason) == (ArqState.UNBOUND, None)

    def test_the_same_bind_again_is_refused_with_the_reason(
        self, slow: Environment, nova: NovaStandIn
    ) -> None:
        uuid, instance = fail(slow, nova)
        before = everything(slow)
        with pytest.raises(AcceleratorRequestStateConflict, match="the card is stuck"):
            bind(slow, uuid, instance=instance)
        assert everything(slow) == before
        assert len(nova.received) == 1

    def test_one_of_two_fails(self, slow: Environment, nova: NovaStandIn) -> None:
        (good, bad), instance = make(slow, "two"), server(nova)
        bind(slow, good, bad, instance=instance)
        answer(slow, good, None)
        fail_to_prepare(slow, bad)
        assert told(nova) == [(good, "completed"), (bad, "failed")]
        assert [a.state for a in arqs(slow)] == [ArqState.BOUND, ArqState.BIND_FAILING]
        let_run_out(slow, outbox)
        events.sweep(slow)
        assert told(nova)[2:] == [(bad, "failed")]
        let_run_out(slow, outbox, "deadline")
        events.sweep(slow)
        assert [a.state for a in arqs(slow)] == [ArqState.BOUND, ArqState.BIND_FAILED]

    @pytest.mark.parametrize("host", [HOST, None])
    def test_what_a_user_bound_directly_reads_bind_failed_at_once(
        self, slow: Environment, nova: NovaStandIn, host: str | None
    ) -> None:
        """Nova does not wait for it, and is told once."""
        [uuid] = make(slow)
        bind(slow, uuid, instance=server(nova, host), by_service=False)
        nova.down()
        fail_to_prepare(slow, uuid)
        found = arq(slow, uuid)
        assert (found.state, found.state_reason) == (ArqState.BIND_FAILED, "the card is stuck")
        assert len(rows(slow, outbox)) == 1
        nova.up()
        let_run_out(slow, outbox)
        assert events.sweep(slow) == 1
        assert told(nova) == [(uuid, "failed")]
        assert rows(slow, outbox) == []
        assert arq(slow, uuid) == found

    @only_sqlite
    def test_without_nova_it_reads_bind_failed_at_once(
        self, slow: Environment, nova: NovaStandIn
    ) -> None:
        alone = dataclasses.replace(slow, nova=None)
        [uuid] = make(alone)
        bind(alone, uuid, instance=new_uuid())
        fail_to_prepare(alone, uuid)
        assert arq(alone, uuid).state is ArqState.BIND_FAILED


class TestEndOfPatience:
    """A failure that Nova was told for long enough."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda nova, instance: setattr(nova.servers[instance], "task_state", "spawning"),
            lambda nova, instance: setattr(nova.servers[instance], "cell_down", True),
            lambda nova, instance: nova.failing(500),
            lambda nova, instance: nova.down(),
        ],
        ids=["busy", "cell down", "500", "down"],
    )
    @only_sqlite
    def test_while_nova_may_still_look_at_the_arq_it_goes_on(
        self, slow: Environment, nova: NovaStandIn, change: Callable[[NovaStandIn, str], None]
    ) -> None:
        uuid, instance = fail(slow, nova)
        change(nova, instance)
        with slow.database.engine.begin() as connection:
            due = {"leased_until": database_now(60), "deadline": database_now(-1)}
            connection.execute(outbox.update().values(due))
        assert events.sweep(slow) == 1
        assert arq(slow, uuid).state is ArqState.BIND_FAILING
        assert len(rows(slow, outbox)) == 1
        assert events.sweep(slow) == 0, "Nova is asked again without a pause"
        nova.up()
        nova.normal()
        nova.servers[instance] = StandInServer(PROJECT, HOST)
        nova.forget()
        let_run_out(slow, outbox)
        assert events.sweep(slow) == 1
        assert told(nova) == [(uuid, "failed")]
        assert arq(slow, uuid).state is ArqState.BIND_FAILING
        let_run_out(slow, outbox, "deadline")
        assert events.sweep(slow) >= 1
        assert arq(slow, uuid).state is ArqState.BIND_FAILED

    @pytest.mark.parametrize("known", [True, False])
    def test_when_nothing_goes_on_with_the_server_it_reads_bind_failed(
        self, slow: Environment, nova: NovaStandIn, agents: RecordingAgents, known: bool
    ) -> None:
        uuid, instance = fail(slow, nova)
        if not known:
            del nova.servers[instance]
        let_run_out(slow, outbox, "deadline")
        assert events.sweep(slow) >= 1
        found = arq(slow, uuid)
        assert (found.state, found.state_reason) == (ArqState.BIND_FAILED, "the card is stuck")
        assert rows(slow, outbox) == []
        nova.forget()
        let_run_out(slow, outbox)
        assert events.sweep(slow) == 0
        assert nova.received == []
        releasing.delete(slow, [uuid])
        assert held(slow) == 1
        assert agents.sent[-1][1].kind == "release"
        answer(slow, uuid, None)
        assert held(slow) == 0
        assert arqs(slow) == []

    @only_sqlite
    def test_nova_is_asked_once_about_a_server_of_several(
        self, slow: Environment, nova: NovaStandIn
    ) -> None:
        uuids, instance = make(slow, "two"), server(nova)
        bind(slow, *uuids, instance=instance)
        fail_to_prepare(slow, *uuids)
        let_run_out(slow, outbox, "deadline")
        events.sweep(slow)
        assert {a.state for a in arqs(slow)} == {ArqState.BIND_FAILED}
        assert nova.count("GET", f"/v2.1/servers/{instance}") == 1

    @only_sqlite
    def test_not_before(self, slow: Environment, nova: NovaStandIn) -> None:
        uuid, _ = fail(slow, nova)
        let_run_out(slow, outbox)
        events.sweep(slow)
        assert arq(slow, uuid).state is ArqState.BIND_FAILING
        assert nova.count("GET", f"/v2.1/servers/{arq(slow, uuid).instance_uuid}") == 0

    @pytest.mark.parametrize("again", [True, False])
    def test_what_was_unbound_while_nova_is_asked_is_no_failure_any_more(
        self, slow: Environment, nova: NovaStandIn, other_database: Database, again: bool
    ) -> None:
        uuid, instance = fail(slow, nova)
        other = dataclasses.replace(slow, database=other_database)

        def meanwhile() -> None:
            releasing.unbind(other, [uuid])
            answer(other, uuid, None)
            if again:
                bind(other, uuid, instance=instance)

        let_run_out(slow, outbox, "deadline")
        events.sweep(interrupted(slow, meanwhile))
        found = arq(slow, uuid)
        assert found.state is (ArqState.BIND_STARTED if again else ArqState.UNBOUND)
        assert found.state_reason is None
        if again:
            answer(slow, uuid, None)
            assert arq(slow, uuid).state is ArqState.BOUND

    def test_what_another_conductor_has_seen_meanwhile_counts(
        self, slow: Environment, nova: NovaStandIn, other_database: Database
    ) -> None:
        """The server was idle for one, and then busy for the other: that is the newer truth."""
        uuid, instance = fail(slow, nova)
        other = dataclasses.replace(slow, database=other_database)

        def meanwhile() -> None:
            nova.servers[instance].task_state = "spawning"
            events.sweep(other)
            nova.servers[instance].task_state = None

        let_run_out(slow, outbox, "deadline")
        events.sweep(interrupted(slow, meanwhile))
        assert arq(slow, uuid).state is ArqState.BIND_FAILING
        assert len(rows(slow, outbox)) == 1
