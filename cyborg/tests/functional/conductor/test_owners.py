"""An ARQ belongs to the project of its instance, whoever binds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cyborg.conductor import releasing
from cyborg.conductor.environment import Environment
from cyborg.db.database import Connection, Database
from cyborg.db.tables import instance_owners
from cyborg.domain.clock import new_uuid
from cyborg.domain.errors import (
    AcceleratorRequestNotFound,
    AcceleratorRequestStateConflict,
    Forbidden,
    ProviderNotFound,
    ServiceUnavailable,
)
from cyborg.domain.states import ArqState
from cyborg.tests.functional.conductor.harness import (
    OTHER_PROJECT,
    PROJECT,
    arq,
    bind,
    card,
    everything,
    interrupted,
    make,
    only_sqlite,
    rows,
    server,
)
from cyborg.tests.helpers import profile, report
from cyborg.tests.servers import NovaStandIn

ADMINS_PROJECT = "33333333333333333333333333333333"


@pytest.fixture
def ready(nova_env: Environment) -> Environment:
    """Sixteen handles and a profile of one."""
    report(nova_env, card())
    profile(nova_env)
    return nova_env


@pytest.fixture
def other(ready: Environment, other_database: Database) -> Environment:
    """Another conductor."""
    return dataclasses.replace(ready, database=other_database)


def bind_as_admin(env: Environment, *uuids: str, instance: str) -> None:
    """Bind as somebody does who may act on anybody's instance."""
    bind(env, *uuids, instance=instance, owner=ADMINS_PROJECT, certain=False)


def owned_by(nova: NovaStandIn, project_id: str) -> str:
    """Let Nova know a server of a project; return its uuid."""
    uuid = server(nova)
    nova.servers[uuid].project_id = project_id
    return uuid


def asked(nova: NovaStandIn) -> int:
    """Return how often Nova was asked for a server."""
    return sum(number for (method, _), number in nova.requests.items() if method == "GET")


def remembered(env: Environment) -> dict[str, str]:
    return {row.instance_uuid: row.project_id for row in rows(env, instance_owners)}


def test_nova_is_asked_once_for_the_owner_of_an_administrators_bind(
    ready: Environment, nova: NovaStandIn
) -> None:
    instance = owned_by(nova, OTHER_PROJECT)
    first, second = make(ready)[0], make(ready)[0]
    bind_as_admin(ready, first, instance=instance)
    assert nova.count("GET", f"/v2.1/servers/{instance}") == asked(nova) == 1
    assert remembered(ready) == {instance: OTHER_PROJECT}
    bind_as_admin(ready, second, instance=instance)
    assert asked(nova) == 1
    assert {arq(ready, uuid).project_id for uuid in (first, second)} == {OTHER_PROJECT}


@only_sqlite
def test_one_question_for_all_arqs_of_a_bind(ready: Environment, nova: NovaStandIn) -> None:
    instance = owned_by(nova, OTHER_PROJECT)
    uuids = [make(ready)[0] for _ in range(4)]
    bind_as_admin(ready, *uuids, instance=instance)
    assert {arq(ready, uuid).project_id for uuid in uuids} == {OTHER_PROJECT}
    assert asked(nova) == 1


def test_who_is_remembered_is_the_owner_without_a_question(
    ready: Environment, nova: NovaStandIn
) -> None:
    instance = owned_by(nova, OTHER_PROJECT)
    bind(ready, *make(ready), instance=instance, owner=PROJECT)
    nova.down()
    [uuid] = make(ready)
    bind_as_admin(ready, uuid, instance=instance)
    assert arq(ready, uuid).project_id == PROJECT
    assert asked(nova) == 0


@only_sqlite
def test_of_a_server_that_nova_does_not_know_the_caller_is_the_owner(
    ready: Environment, nova: NovaStandIn
) -> None:
    [uuid], instance = make(ready), new_uuid()
    bind_as_admin(ready, uuid, instance=instance)
    assert arq(ready, uuid).project_id == ADMINS_PROJECT
    assert remembered(ready) == {}, "Nova may know better the next time"
    assert asked(nova) == 1


@only_sqlite
def test_a_caller_who_is_certainly_the_owner_is_believed(
    ready: Environment, nova: NovaStandIn
) -> None:
    [uuid], instance = make(ready), owned_by(nova, PROJECT)
    bind(ready, uuid, instance=instance, owner=OTHER_PROJECT)
    assert arq(ready, uuid).project_id == OTHER_PROJECT
    assert remembered(ready) == {instance: OTHER_PROJECT}
    assert asked(nova) == 0


@only_sqlite
def test_without_nova_the_caller_is_the_owner(ready: Environment, nova: NovaStandIn) -> None:
    alone = dataclasses.replace(ready, nova=None)
    [uuid] = make(alone)
    bind_as_admin(alone, uuid, instance=owned_by(nova, OTHER_PROJECT))
    assert arq(alone, uuid).project_id == ADMINS_PROJECT
    assert asked(nova) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda nova, instance: nova.down(),
        lambda nova, instance: nova.failing(500),
        lambda nova, instance: nova.failing(403),
        lambda nova, instance: setattr(nova.servers[instance], "cell_down", True),
    ],
    ids=["down", "500", "403", "cell down"],
)
@only_sqlite
def test_if_nova_cannot_say_it_nothing_is_bound(
    ready: Environment, nova: NovaStandIn, change: Callable[[NovaStandIn, str], None]
) -> None:
    # A cell that is down says whose the server is, but nothing else: it is as if Nova were.
    [uuid], instance = make(ready), owned_by(nova, OTHER_PROJECT)
    change(nova, instance)
    before = everything(ready)
    with pytest.raises(ServiceUnavailable, match="Nova"):
        bind_as_admin(ready, uuid, instance=instance)
    assert everything(ready) == before
    assert nova.received == []


@only_sqlite
def test_a_bind_that_is_refused_anyway_asks_nothing(ready: Environment, nova: NovaStandIn) -> None:
    [uuid], instance = make(ready), owned_by(nova, OTHER_PROJECT)
    bind(ready, uuid, instance=owned_by(nova, PROJECT))
    with pytest.raises(AcceleratorRequestNotFound):
        bind_as_admin(ready, new_uuid(), instance=instance)
    with pytest.raises(AcceleratorRequestStateConflict):
        bind_as_admin(ready, uuid, instance=instance)
    assert asked(nova) == 0


def test_nothing_is_remembered_of_a_bind_that_is_refused_after_the_question(
    ready: Environment, nova: NovaStandIn
) -> None:
    [uuid], instance = make(ready), owned_by(nova, OTHER_PROJECT)
    before = everything(ready)
    with pytest.raises(ProviderNotFound):
        bind(ready, uuid, instance=instance, rp=new_uuid(), certain=False)
    assert asked(nova) == 1
    assert everything(ready) == before


def test_nobody_waits_while_nova_is_asked(
    ready: Environment, nova: NovaStandIn, other: Environment
) -> None:
    """No lock is held; and what happens meanwhile counts."""
    [uuid], instance = make(ready), owned_by(nova, OTHER_PROJECT)
    asking = interrupted(ready, lambda: releasing.delete(other, [uuid]))
    with pytest.raises(AcceleratorRequestNotFound):
        bind_as_admin(asking, uuid, instance=instance)
    assert remembered(ready) == {}


def test_whoever_was_remembered_while_nova_was_asked_is_the_owner(
    ready: Environment, nova: NovaStandIn, other: Environment
) -> None:
    first, second = make(ready)[0], make(ready)[0]
    instance = owned_by(nova, OTHER_PROJECT)
    asking = interrupted(ready, lambda: bind(other, first, instance=instance, owner=PROJECT))
    bind_as_admin(asking, second, instance=instance)
    assert {arq(ready, uuid).project_id for uuid in (first, second)} == {PROJECT}
    assert remembered(ready) == {instance: PROJECT}


def test_a_bind_without_a_service_is_refused_if_another_owner_was_remembered_meanwhile(
    ready: Environment, nova: NovaStandIn, other: Environment
) -> None:
    first, second = make(ready)[0], make(ready)[0]
    instance = owned_by(nova, PROJECT)
    asking = interrupted(ready, lambda: bind(other, first, instance=instance, owner=OTHER_PROJECT))
    with pytest.raises(Forbidden):
        bind(asking, second, instance=instance, owner=PROJECT, by_service=False)
    assert arq(ready, second).state == "Initial"
    assert remembered(ready) == {instance: OTHER_PROJECT}


@only_sqlite
def test_of_a_bind_without_a_service_is_remembered_what_nova_says(
    ready: Environment, nova: NovaStandIn
) -> None:
    instance = owned_by(nova, PROJECT)
    bind(ready, *make(ready), instance=instance, by_service=False)
    bind(ready, *make(ready), instance=new_uuid(), by_service=False)
    alone = dataclasses.replace(ready, nova=None)
    bind(alone, *make(alone), instance=new_uuid(), by_service=False)
    assert remembered(ready) == {instance: PROJECT}


def test_an_evacuated_server_is_still_its_owners(ready: Environment, nova: NovaStandIn) -> None:
    """Nova deletes the ARQs, and binds new ones with the token of who evacuates."""
    instance = owned_by(nova, PROJECT)
    bind(ready, *make(ready), instance=instance, owner=PROJECT)
    releasing.delete_of_instance(ready, instance)
    [uuid] = make(ready)
    bind_as_admin(ready, uuid, instance=instance)
    assert arq(ready, uuid).project_id == PROJECT
    assert asked(nova) == 0


class Meanwhile(Database):
    """A database to which something happens when it has been looked at for the first time."""

    def __init__(self, env: Environment, meanwhile: Callable[[], object]) -> None:
        super().__init__(env.conf)
        self._meanwhile = [meanwhile]

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        with super().reader() as connection:
            yield connection
        while self._meanwhile:
            self._meanwhile.pop()()


def test_what_becomes_bindable_after_the_look_is_not_bound_on_the_callers_word(
    ready: Environment, nova: NovaStandIn
) -> None:
    """Nothing was left to bind, so nobody was asked; then it was unbound."""
    [uuid] = make(ready)
    instance = new_uuid()
    bind_as_admin(ready, uuid, instance=instance)
    assert rows(ready, instance_owners) == []
    asked = dict(nova.requests)
    database = Meanwhile(ready, lambda: releasing.unbind(ready, [uuid]))
    try:
        with pytest.raises(AcceleratorRequestStateConflict, match="changed meanwhile"):
            bind_as_admin(dataclasses.replace(ready, database=database), uuid, instance=instance)
    finally:
        database.dispose()
    assert arq(ready, uuid).state is ArqState.UNBOUND
    assert dict(nova.requests) == asked
