"""Every case of the table, for every persona, with real tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import webob

from cyborg.tests.functional.matrix.harness import OWNERS, World
from cyborg.tests.functional.matrix.table import Case, Persona, the_table

TABLE = the_table()
LIST = "GET /v2/accelerator_requests"


@pytest.mark.parametrize("case", [*TABLE.cases, *TABLE.elsewhere], ids=lambda case: case.title)
def test_matrix(world: World, case: Case) -> None:
    """Each gets its status; what is refused changes nothing; nobody learns of other projects."""
    found, changed = {}, set()
    for name, persona in TABLE.personas.items():
        answer = world.try_case(case, persona)
        found[name] = answer.status_int
        assert learnt(world, case, persona, answer) == [], name
        if world.content() != world.before:
            changed.add(name)
            world.restore()
    assert found == case.expected
    assert changed == case.effect


def learnt(world: World, case: Case, persona: Persona, answer: webob.Response) -> list[str]:
    """Return what an answer tells a persona of other projects, beyond what the persona said."""
    said = world.meant(case.path) + json.dumps(world.body(case))
    heard = answer.text + str(answer.headers)
    hidden = world.hidden_from(persona).items()
    return [name for name, value in hidden if value in heard and value not in said]


@pytest.mark.parametrize("case", TABLE.cases, ids=lambda case: case.title)
def test_other_spellings_of_a_path_open_nothing(world: World, case: Case) -> None:
    for path in spellings(case):
        for name in case.one_of_each_status():
            answer = world.try_case(case, TABLE.personas[name], path)
            assert answer.status_int == case.expected[name], (path, name)
            world.restore()


def spellings(case: Case) -> Iterator[str]:
    """Return other spellings of a path: without the version, and with a last slash."""
    path, question, query = case.path.partition("?")
    if not path.startswith("/v2/"):
        return
    yield path.removeprefix("/v2") + question + query
    if "openapi" not in path:
        yield f"{path}/{question}{query}"
    if path == case.route.split()[1] and "{" not in path and "." not in path:
        yield f"{path}.json{question}{query}"


def readers() -> dict[str, bool]:
    """Return by persona whether it may list accelerator requests, as the table has it."""
    return {name: status == 200 for name, status in TABLE.routes[LIST][0].expected.items()}


def test_a_list_shows_what_exists_for_the_caller(world: World) -> None:
    for name, may_list in readers().items():
        if may_list:
            persona = TABLE.personas[name]
            answer = world.ask("GET", "/v2/accelerator_requests", world.headers(persona))
            shown = {arq["uuid"] for arq in answer.json["arqs"]}
            assert shown == world.requests_of(persona.sees), name


def test_handles_show_the_requests_that_the_caller_may_read(world: World) -> None:
    path = world.meant("/v2/deployables/<deployable>/attach_handles")
    on_card = {world.names[f"{owner}.{kind}"] for owner in OWNERS for kind in ("bound", "direct")}
    asked = 0
    for name, may_list in readers().items():
        persona = TABLE.personas[name]
        answer = world.ask("GET", path, world.headers(persona))
        if answer.status_int == 200:
            handles = answer.json["attach_handles"]
            shown = {handle["accelerator_request_uuid"] for handle in handles} - {None}
            seen = world.requests_of(persona.sees) if may_list else set()
            assert shown == seen & on_card, name
            assert sum(handle["state"] == "used" for handle in handles) == len(on_card)
            asked += 1
    assert asked > 5
