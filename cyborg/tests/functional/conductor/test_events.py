"""Nova hears how binds end: after the commit, at least once, whatever is down meanwhile."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from functools import partial

import pytest
import sqlalchemy as sa
import webob

from cyborg.api import app
from cyborg.clients.nova import Nova, Server
from cyborg.conductor import events, releasing
from cyborg.conductor.environment import Environment
from cyborg.db.database import Database
from cyborg.db.tables import outbox
from cyborg.db.types import database_now
from cyborg.domain.clock import new_uuid
from cyborg.domain.model import EventStatus
from cyborg.domain.states import ArqState
from cyborg.rpc.conductor import ConductorClient
from cyborg.rpc.context import working_for
from cyborg.tests.functional.conductor.harness import (
    arq,
    arqs,
    bind,
    card,
    interrupted,
    let_run_out,
    make,
    only_sqlite,
    rows,
    server,
    silent,
    told,
)
from cyborg.tests.functional.conductor.test_races import at_once
from cyborg.tests.functional.in_process import Service
from cyborg.tests.functional.test_http import LIFE, life
from cyborg.tests.helpers import HOST, nova_client, profile, report
from cyborg.tests.servers import NovaStandIn, Placement
from cyborg.tests.unit.api.harness import ADMIN, MEMBER, Believing, Persona

#: What may be wrong with Nova.
TROUBLES: dict[str, Callable[[NovaStandIn], None]] = {
    "down": NovaStandIn.down,
    "500": lambda nova: nova.failing(500),
    "503": lambda nova: nova.failing(503),
    "slow": lambda nova: nova.slow(20),
}


@pytest.fixture
def ready(nova_env: Environment) -> Environment:
    """Sixteen clean handles, and profiles of one and of eight."""
    report(nova_env, card())
    profile(nova_env)
    profile(nova_env, "eight", {"resources:FPGA": "8"})
    return nova_env


@pytest.fixture
def other(ready: Environment, other_database: Database) -> Environment:
    """Another conductor."""
    return dataclasses.replace(ready, database=other_database)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


class TestSuccess:
    def test_it_is_sent_after_the_commit(
        self, ready: Environment, nova: NovaStandIn, other: Environment
    ) -> None:
        """Nova reads the ARQs as soon as it hears of them."""
        seen: list[ArqState] = []
        looking = interrupted(ready, lambda: seen.extend(a.state for a in arqs(other)))
        [uuid], instance = make(ready), server(nova)
        bind(looking, uuid, instance=instance)
        assert seen == [ArqState.BOUND]
        [request] = nova.received
        assert request.events == [
            {
                "name": "accelerator-request-bound",
                "server_uuid": instance,
                "tag": uuid,
                "status": "completed",
            }
        ]
        assert (request.status, request.codes) == (200, [200])
        assert request.headers["openstack-api-version"] == "compute 2.82"
        assert request.has_token
        assert rows(ready, outbox) == []

    def test_one_request_for_all_arqs_of_a_bind(
        self, ready: Environment, nova: NovaStandIn
    ) -> None:
        uuids, instance = make(ready, "eight"), server(nova)
        bind(ready, *uuids, instance=instance)
        [request] = nova.received
        assert [event["tag"] for event in request.events] == uuids
        assert {event["server_uuid"] for event in request.events} == {instance}
        assert {event["status"] for event in request.events} == {"completed"}
        assert rows(ready, outbox) == []

    @only_sqlite
    def test_the_same_bind_again_tells_nothing(self, ready: Environment, nova: NovaStandIn) -> None:
        [uuid], instance = make(ready), server(nova)
        for _ in "12":
            bind(ready, uuid, instance=instance)
        assert told(nova) == [(uuid, "completed")]

    @only_sqlite
    @pytest.mark.parametrize(("host", "code"), [(HOST, 200), (None, 422)])
    def test_what_nova_has_answered_is_not_sent_again(
        self, ready: Environment, nova: NovaStandIn, host: str | None, code: int
    ) -> None:
        bind(ready, *make(ready), instance=server(nova, host))
        assert [request.codes for request in nova.received] == [[code]]
        assert rows(ready, outbox) == []
        assert events.sweep(ready) == 0

    @only_sqlite
    def test_nor_what_nova_knows_no_server_for(
        self, ready: Environment, nova: NovaStandIn, caplog: pytest.LogCaptureFixture
    ) -> None:
        bind(ready, *make(ready), instance=new_uuid())
        assert [request.codes for request in nova.received] == [[404]]
        assert rows(ready, outbox) == []
        assert warnings(caplog) == []

    @only_sqlite
    def test_nor_what_nova_refuses_and_somebody_must_look_at_it(
        self, ready: Environment, nova: NovaStandIn, caplog: pytest.LogCaptureFixture
    ) -> None:
        nova.failing(400)
        [uuid] = make(ready)
        bind(ready, uuid, instance=new_uuid())
        assert arq(ready, uuid).state is ArqState.BOUND
        assert rows(ready, outbox) == []
        [record] = [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert record.levelno == logging.ERROR
        assert uuid in record.getMessage()
        assert "400" in record.getMessage()

    def test_of_a_mixed_answer_only_what_was_not_answered_is_sent_again(
        self, ready: Environment
    ) -> None:
        uuids = make(ready, "eight")[:5]
        nova = Scripted([dict(zip(uuids[:4], (200, 422, 404, 400), strict=True)), {uuids[4]: 200}])
        env = dataclasses.replace(ready, nova=nova)
        bind(env, *uuids, instance=new_uuid())
        [left] = rows(env, outbox)
        assert left.accelerator_request_uuid == uuids[4]
        let_run_out(env, outbox)
        assert events.sweep(env) == 1
        assert nova.sent == [uuids, uuids[4:]]
        assert rows(env, outbox) == []


class Scripted(Nova):
    """Nova that gives these answers, one after the other."""

    def __init__(self, answers: list[dict[str, int]]) -> None:
        self._answers = answers
        self.sent: list[list[str]] = []

    def send_events(
        self,
        instance_uuid: str,
        status: EventStatus,
        request_uuids: Sequence[str],
        timeout: float | None = None,
    ) -> dict[str, int]:
        self.sent.append(list(request_uuids))
        return self._answers.pop(0)

    def server(self, uuid: str) -> Server | None:
        raise AssertionError("not asked for")


class TestTrouble:
    @only_sqlite
    @pytest.mark.parametrize("trouble", TROUBLES)
    def test_a_bind_succeeds_and_another_conductor_tells_nova_later(
        self,
        ready: Environment,
        nova: NovaStandIn,
        other: Environment,
        caplog: pytest.LogCaptureFixture,
        trouble: str,
    ) -> None:
        hasty = dataclasses.replace(ready, nova=nova_client(nova.url, timeout=0.3))
        uuids, instance = make(ready, "eight"), server(nova)
        TROUBLES[trouble](nova)
        bind(hasty, *uuids, instance=instance)
        assert {a.state for a in arqs(ready, uuids=uuids)} == {ArqState.BOUND}
        assert [row.accelerator_request_uuid for row in rows(ready, outbox)] == uuids
        [line] = warnings(caplog)
        assert line.startswith("event not sent")
        assert all(uuid in line for uuid in (instance, *uuids))
        let_run_out(ready, outbox)
        assert events.sweep(dataclasses.replace(other, nova=hasty.nova)) == 1
        assert len(warnings(caplog)) == 2
        assert {row.attempt for row in rows(ready, outbox)} == {2}
        nova.normal()
        nova.up()
        nova.forget()
        let_run_out(ready, outbox)
        assert events.sweep(other) == 1
        assert told(nova) == [(uuid, "completed") for uuid in uuids]
        assert len(nova.received) == 1
        assert rows(ready, outbox) == []
        assert events.sweep(ready) == 0

    def test_nobody_else_sends_while_the_lease_lasts(
        self, ready: Environment, nova: NovaStandIn, other: Environment
    ) -> None:
        [uuid] = make(ready)
        bind(silent(ready), uuid, instance=server(nova))
        assert nova.received == []
        assert events.sweep(other) == 0
        let_run_out(ready, outbox)
        assert events.sweep(silent(ready)) == 1
        assert events.sweep(other) == 0, "what is leased by a sweep was sent by another"
        assert nova.received == []
        let_run_out(ready, outbox)
        assert events.sweep(other) == 1
        assert told(nova) == [(uuid, "completed")]

    @pytest.mark.parametrize(("failures", "seconds"), [(1, 2), (2, 4), (3, 8), (4, 10), (500, 10)])
    @only_sqlite
    def test_the_pause_between_two_attempts_grows_up_to_ten_seconds(
        self, ready: Environment, nova: NovaStandIn, failures: int, seconds: float
    ) -> None:
        bind(silent(ready), *make(ready), instance=server(nova))
        let_run_out(ready, outbox)
        nova.down()
        with ready.database.engine.begin() as connection:
            connection.execute(outbox.update().values(failures=failures))
        assert events.sweep(ready) == 1
        with ready.database.reader() as connection:
            lease = outbox.c.leased_until
            late = connection.scalar(sa.select(lease > database_now(seconds)))
            early = connection.scalar(sa.select(lease < database_now(seconds / 2)))
        assert not late
        assert not early

    def test_two_conductors_that_look_at_once_send_each_event_once(
        self, ready: Environment, nova: NovaStandIn, other: Environment
    ) -> None:
        uuids = [make(ready)[0] for _ in range(6)]
        for uuid in uuids:
            bind(silent(ready), uuid, instance=server(nova))
        let_run_out(ready, outbox)
        ends = at_once([partial(events.sweep, env) for env in (ready, other) * 2])
        assert ends == ["ok"] * 4
        assert sorted(told(nova)) == sorted((uuid, "completed") for uuid in uuids)
        assert rows(ready, outbox) == []

    @pytest.mark.parametrize("end", ["delete", "delete_of_instance", "unbind"])
    def test_what_is_gone_needs_no_event(
        self, ready: Environment, nova: NovaStandIn, end: str
    ) -> None:
        [uuid], instance = make(ready), server(nova)
        bind(silent(ready), uuid, instance=instance)
        assert len(rows(ready, outbox)) == 1
        if end == "delete_of_instance":
            releasing.delete_of_instance(ready, instance)
        else:
            getattr(releasing, end)(ready, [uuid])
        assert rows(ready, outbox) == []
        assert events.sweep(ready) == 0
        assert nova.received == []

    def test_an_arq_may_go_while_its_event_is_under_way(
        self, ready: Environment, nova: NovaStandIn, other: Environment
    ) -> None:
        [uuid], instance = make(ready), server(nova)
        deleted = interrupted(ready, lambda: releasing.delete(other, [uuid]))
        bind(deleted, uuid, instance=instance)
        assert told(nova) == [(uuid, "completed")]
        assert arqs(ready) == rows(ready, outbox) == []

    def test_without_nova_events_are_kept_and_never_sent(
        self, ready: Environment, nova: NovaStandIn
    ) -> None:
        alone = dataclasses.replace(ready, nova=None)
        bind(alone, *make(alone), instance=server(nova))
        let_run_out(alone, outbox)
        assert events.sweep(alone) == events.sweep(ready) == 0
        assert [row.state for row in rows(alone, outbox)] == ["not_sent"]
        assert nova.received == []


class TestRequestIds:
    @only_sqlite
    def test_the_event_bears_the_id_of_the_request_that_bound(
        self, ready: Environment, nova: NovaStandIn
    ) -> None:
        with working_for("req-bind", None):
            bind(ready, *make(ready), instance=server(nova))
        assert [sent.request_id for sent in nova.received] == ["req-bind"]

    def test_also_when_another_conductor_sends_it(
        self, ready: Environment, nova: NovaStandIn, other: Environment
    ) -> None:
        requests = [("req-one", None), ("req-two", "req-global")]
        for ids in requests:
            with working_for(*ids):
                bind(silent(ready), *make(ready), instance=server(nova))
        let_run_out(ready, outbox)
        with working_for("req-sweep", None):
            assert events.sweep(other) == 2
        assert [sent.request_id for sent in nova.received] == ["req-one", "req-global"]


class AsNova(Service):
    """The API as Nova asks it, with a user's token and its own."""

    def __init__(self, env: Environment, persona: Persona) -> None:
        super().__init__(env)
        env.conf.set_override("auth_strategy", "keystone")
        self._headers = persona.with_service_token().headers()
        client = ConductorClient(None, lambda: 1.0, self.queue)
        self.application = app.build_application(env.conf, self.database, client)

    def ask(
        self, method: str, path: str, body: object = None, raw: bytes | None = None, **headers: str
    ) -> webob.Response:
        return super().ask(method, path, body, raw, **{**self._headers, **headers})


@only_sqlite
@pytest.mark.parametrize("persona", [MEMBER, ADMIN], ids=["member", "admin"])
def test_the_statements_of_a_life_with_nova_and_placement(
    cloud_env: Environment,
    nova: NovaStandIn,
    empty_placement: Placement,
    monkeypatch: pytest.MonkeyPatch,
    persona: Persona,
) -> None:
    """Before an administrator's bind it is looked whether Nova must be asked for the owner."""
    more = 1 if persona is ADMIN else 0
    monkeypatch.setattr(
        app, "authenticated", lambda application, _conf, **_options: Believing(application)
    )
    report(cloud_env, card())
    profile(cloud_env)
    service = AsNova(cloud_env, persona)
    empty_placement.forget_requests()
    try:
        done = life(service, "one")
    finally:
        service.database.dispose()
    told = [*LIFE["bind"], "DELETE outbox"]
    if persona is ADMIN:
        # This Nova does not know the instance, so nobody's word of it is remembered.
        told.insert(0, "SELECT accelerator_requests")
        told.remove("INSERT instance_owners")
    assert done == {**LIFE, "bind": told}
    assert len(nova.received) == 1
    assert sum(number for (method, _), number in nova.requests.items() if method == "GET") == more
    assert rows(cloud_env, outbox) == []
    assert empty_placement.requests() == [], "Nova waited for Placement"
