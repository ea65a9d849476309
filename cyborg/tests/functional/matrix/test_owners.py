"""An accelerator request is its instance's project's, over HTTP and with real tokens.

An administrator evacuates or unshelves somebody's server: Nova deletes its requests and makes
new ones, with the administrator's token and its own. The server's owner must be able to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import webob

from cyborg.domain.clock import new_uuid, provider_uuid
from cyborg.tests.functional.matrix.contents import CARD
from cyborg.tests.functional.matrix.harness import World
from cyborg.tests.functional.matrix.table import Persona, the_table
from cyborg.tests.helpers import HOST
from cyborg.tests.servers import Keystone, NovaStandIn, StandInServer

ARQS = "/v2/accelerator_requests"

PERSONAS = the_table().personas
NOVA_FOR_ADMIN = PERSONAS["nova for an admin"]
NOVA_FOR_MEMBER = PERSONAS["nova for a member"]
NOVA_FOR_ANOTHER = PERSONAS["nova for another"]
MEMBER, READER, OTHER = (PERSONAS[name] for name in ("member", "reader", "other member"))
BINDERS = ("manager", "accelerator_admin", "admin of mine")


class Owners:
    """The API, Nova, and what they do to servers."""

    def __init__(self, world: World, nova: NovaStandIn) -> None:
        self.world = world
        self.nova = nova
        self.demo = world.names["mine.project"]
        self.admins = world.keystone.project_id("admin")

    def server(self, project: str = "mine") -> str:
        """Let Nova have a server of a project."""
        uuid = new_uuid()
        project_id = self.world.names[f"{project}.project"]
        self.nova.servers[uuid] = StandInServer(project_id, HOST)
        return uuid

    def ask(self, persona: Persona, method: str, path: str, body: object = None) -> webob.Response:
        return self.world.ask(method, path, self.world.headers(persona), body)

    def make(self, persona: Persona) -> str:
        answer = self.ask(persona, "POST", ARQS, {"device_profile_name": "one"})
        assert answer.status_int == 201, answer.text
        [arq] = answer.json["arqs"]
        return str(arq["uuid"])

    def bind(self, persona: Persona, uuid: str, instance: str, **more: str) -> webob.Response:
        values = {
            "hostname": HOST,
            "device_rp_uuid": provider_uuid(CARD),
            "instance_uuid": instance,
            **more,
        }
        patch = [{"op": "add", "path": f"/{key}", "value": value} for key, value in values.items()]
        return self.ask(persona, "PATCH", ARQS, {uuid: patch})

    def unbind(self, persona: Persona, uuid: str) -> webob.Response:
        body = {uuid: [{"op": "remove", "path": "/instance_uuid"}]}
        return self.ask(persona, "PATCH", ARQS, body)

    def boot(self, persona: Persona, instance: str) -> str:
        """Make and bind, as Nova does."""
        uuid = self.make(persona)
        answer = self.bind(persona, uuid, instance)
        assert answer.status_int == 202, answer.text
        return uuid

    def delete(self, persona: Persona, instance: str) -> None:
        """Delete a server's requests, as Nova does."""
        assert self.ask(persona, "DELETE", f"{ARQS}?instance={instance}").status_int == 204

    def of_instance(self, persona: Persona, instance: str) -> list[dict[str, Any]]:
        answer = self.ask(persona, "GET", f"{ARQS}?instance={instance}")
        assert answer.status_int == 200, answer.text
        found: list[dict[str, Any]] = answer.json["arqs"]
        return found

    def asked(self) -> int:
        """Return how often Nova was asked for a server."""
        return sum(
            number
            for (method, path), number in self.nova.requests.items()
            if method == "GET" and "/servers/" in path
        )


@pytest.fixture
def owners(keystone: Keystone, keystone_nova: NovaStandIn, tmp_path: Path) -> Iterator[Owners]:
    """The API with a Nova behind the same Keystone."""
    world = World(tmp_path, keystone, with_nova=True)
    yield Owners(world, keystone_nova)
    world.close()


def evacuate(owners: Owners, instance: str) -> str:
    """Nova deletes the requests, and makes others, all with the administrator's token."""
    owners.delete(NOVA_FOR_ADMIN, instance)
    return owners.boot(NOVA_FOR_ADMIN, instance)


def unshelve(owners: Owners, instance: str) -> str:
    """The owner had it shelved, which deleted the requests; the administrator unshelves."""
    owners.delete(NOVA_FOR_MEMBER, instance)
    return owners.boot(NOVA_FOR_ADMIN, instance)


def check_that_the_owner_goes_on(owners: Owners, instance: str, uuid: str) -> None:
    """See, reboot, stop, start and delete as the owner; nobody else sees anything."""
    [arq] = owners.of_instance(NOVA_FOR_MEMBER, instance)
    assert (arq["uuid"], arq["project_id"], arq["state"]) == (uuid, owners.demo, "Bound")
    assert owners.ask(READER, "GET", f"{ARQS}/{uuid}").json["project_id"] == owners.demo
    assert [one["uuid"] for one in owners.of_instance(MEMBER, instance)] == [uuid]
    assert owners.of_instance(OTHER, instance) == []
    assert owners.ask(OTHER, "GET", f"{ARQS}/{uuid}").status_int == 404
    of_admins = owners.ask(PERSONAS["admin"], "GET", f"{ARQS}?project_id={owners.admins}")
    assert of_admins.json["arqs"] == []
    # Nova may say the same bind again.
    assert owners.bind(NOVA_FOR_MEMBER, uuid, instance).status_int == 202
    assert owners.unbind(NOVA_FOR_MEMBER, uuid).status_int == 202
    assert owners.bind(NOVA_FOR_MEMBER, uuid, instance).status_int == 202
    assert owners.of_instance(READER, instance)[0]["state"] == "Bound"
    owners.delete(NOVA_FOR_MEMBER, instance)
    assert owners.of_instance(READER, instance) == []


@pytest.mark.parametrize("move", [evacuate, unshelve])
def test_a_server_that_was_bound_before_is_its_owners(
    owners: Owners, move: Callable[[Owners, str], str]
) -> None:
    instance = owners.server()
    owners.boot(NOVA_FOR_MEMBER, instance)
    uuid = move(owners, instance)
    assert owners.asked() == 0
    check_that_the_owner_goes_on(owners, instance, uuid)


def test_of_a_server_that_was_never_bound_nova_says_whose_it_is(owners: Owners) -> None:
    instance = owners.server()
    uuid = owners.boot(NOVA_FOR_ADMIN, instance)
    assert owners.asked() == 1
    check_that_the_owner_goes_on(owners, instance, uuid)
    owners.boot(NOVA_FOR_ADMIN, instance)
    assert owners.asked() == 1, "it is remembered"


def test_without_nova_what_is_not_remembered_waits(owners: Owners) -> None:
    instance = owners.server()
    uuid = owners.make(NOVA_FOR_ADMIN)
    before = owners.world.content()
    owners.nova.down()
    answer = owners.bind(NOVA_FOR_ADMIN, uuid, instance)
    assert (answer.status_int, answer.headers["Retry-After"]) == (503, "2")
    assert owners.demo not in answer.text
    assert owners.world.content() == before
    owners.nova.up()
    assert owners.bind(NOVA_FOR_ADMIN, uuid, instance).status_int == 202
    check_that_the_owner_goes_on(owners, instance, uuid)


def test_without_nova_what_is_remembered_goes_on(owners: Owners) -> None:
    instance = owners.server()
    owners.boot(NOVA_FOR_MEMBER, instance)
    owners.nova.down()
    uuid = evacuate(owners, instance)
    assert owners.of_instance(READER, instance)[0]["uuid"] == uuid
    owners.nova.up()
    check_that_the_owner_goes_on(owners, instance, uuid)


def test_a_user_who_is_no_administrator_asks_for_servers_of_the_own_project(
    owners: Owners,
) -> None:
    instance = owners.server()
    owners.nova.down()
    uuid = owners.boot(NOVA_FOR_MEMBER, instance)
    owners.nova.up()
    check_that_the_owner_goes_on(owners, instance, uuid)
    assert owners.asked() == 0


def test_an_administrator_may_say_whose_it_is(owners: Owners) -> None:
    instance = owners.server()
    uuid = owners.make(NOVA_FOR_ADMIN)
    owners.nova.down()
    answer = owners.bind(NOVA_FOR_ADMIN, uuid, instance, project_id=owners.demo)
    assert answer.status_int == 202
    owners.nova.up()
    check_that_the_owner_goes_on(owners, instance, uuid)


def test_an_administrators_own_server_is_the_administrators(owners: Owners) -> None:
    instance = new_uuid()
    owners.nova.servers[instance] = StandInServer(owners.admins, HOST)
    uuid = owners.boot(NOVA_FOR_ADMIN, instance)
    assert owners.ask(PERSONAS["admin"], "GET", f"{ARQS}/{uuid}").json["project_id"] == (
        owners.admins
    )
    for persona in (MEMBER, READER, OTHER):
        assert owners.ask(persona, "GET", f"{ARQS}/{uuid}").status_int == 404


@pytest.mark.parametrize("name", BINDERS)
@pytest.mark.parametrize("remembered", [True, False])
def test_nobody_binds_directly_to_a_server_of_another_project(
    owners: Owners, name: str, remembered: bool
) -> None:
    """It would be the other project's request, and that server would be given the device."""
    instance, uuid = owners.server("others"), owners.world.names["mine.initial"]
    if remembered:
        owners.boot(NOVA_FOR_ANOTHER, instance)
    before = owners.world.content()
    answer = owners.bind(PERSONAS[name], uuid, instance)
    assert answer.status_int == 403
    assert owners.world.names["others.project"] not in answer.text
    assert owners.world.content() == before


@pytest.mark.parametrize("name", BINDERS)
def test_whoever_binds_directly_cannot_claim_a_server_that_is_not_there_yet(
    owners: Owners, name: str
) -> None:
    instance = new_uuid()
    uuid = owners.world.names["mine.initial"]
    assert owners.bind(PERSONAS[name], uuid, instance).status_int == 202
    assert owners.unbind(PERSONAS[name], uuid).status_int == 202
    owners.nova.servers[instance] = StandInServer(owners.world.names["others.project"], HOST)
    theirs = owners.boot(NOVA_FOR_ANOTHER, instance)
    assert owners.ask(OTHER, "GET", f"{ARQS}/{theirs}").status_int == 200
    assert owners.ask(READER, "GET", f"{ARQS}/{theirs}").status_int == 404


@pytest.mark.parametrize("name", BINDERS)
def test_whoever_may_binds_directly_to_a_server_of_the_own_project(
    owners: Owners, name: str
) -> None:
    instance, uuid = owners.server(), owners.world.names["mine.initial"]
    assert owners.bind(PERSONAS[name], uuid, instance).status_int == 202
    assert owners.ask(READER, "GET", f"{ARQS}/{uuid}").json["instance_uuid"] == instance
    # And the administrator who evacuates it is not the owner then.
    owners.delete(NOVA_FOR_ADMIN, instance)
    moved = owners.boot(NOVA_FOR_ADMIN, instance)
    check_that_the_owner_goes_on(owners, instance, moved)
