"""The table says something of every route and every persona, and nothing of what is not there."""

from __future__ import annotations

import pytest

from cyborg.api.app import RESOURCES
from cyborg.api.authentication import PUBLIC_PATHS
from cyborg.api.openapi import operations_of
from cyborg.api.operations import Operation
from cyborg.policies import list_rules
from cyborg.tests.functional.matrix.table import TableError, parse, the_table

TABLE = the_table()

#: Everybody may read these; they are no resources'.
DOCUMENTS = {"GET /", "GET /v2", "GET /v2/openapi.json"}

OPERATIONS: dict[str, Operation] = {
    f"{method} /v2/{name}{path}": operation
    for name, resource in RESOURCES.items()
    for path, method, operation in operations_of(resource)
}

#: It is there to refuse.
NEVER = "DELETE /v2/attributes"

SMALL = """
personas: {one: {user: admin}, two: {user: demo}, none: {}}
groups: {some: [one, two], all: [some, none]}
always: {401: none}
routes: {GET /v2/things: [%s]}
elsewhere: {}
"""


def test_every_route_is_in_the_table() -> None:
    assert DOCUMENTS | OPERATIONS.keys() <= TABLE.routes.keys()


def test_every_route_of_the_table_exists() -> None:
    assert TABLE.routes.keys() <= DOCUMENTS | OPERATIONS.keys()


@pytest.mark.parametrize("route", OPERATIONS)
def test_every_route_is_tried_by_who_may_and_who_may_not(route: str) -> None:
    seen = {status for case in TABLE.routes[route] for status in case.expected.values()}
    wanted = {OPERATIONS[route].status, 401, 403}
    assert wanted <= seen or (route == NEVER and seen == {400, 401})


def test_what_needs_no_token() -> None:
    open_to_all = {case.path for case in TABLE.cases if case.expected["no token"] != 401}
    assert open_to_all == PUBLIC_PATHS
    assert all(case.path not in PUBLIC_PATHS for case in TABLE.elsewhere if case.method == "GET")


def test_each_rule_is_documented_with_routes_of_the_table() -> None:
    for rule in list_rules():
        for one in getattr(rule, "operations", []):
            path = one["path"].replace("{uuid or name}", "{uuid}")
            route = f"{one['method']} {path}"
            assert OPERATIONS[route].action == rule.name


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("{200: one, else: 403}", {"one": 200, "two": 403, "none": 401}),
        ("{200: [some]}", {"one": 200, "two": 200, "none": 401}),
        ("{200: all}", {"one": 200, "two": 200, "none": 200}),
        ("{else: 404}", {"one": 404, "two": 404, "none": 401}),
    ],
)
def test_a_case(case: str, expected: dict[str, int]) -> None:
    assert parse(SMALL % case).cases[0].expected == expected


@pytest.mark.parametrize(
    "case",
    [
        "{200: one}",
        "{200: one, 403: some}",
        "{200: nobody, else: 403}",
        "{200: one, 200: two, else: 403}",
        "{200: one, other: 403, else: 403}",
    ],
)
def test_a_case_that_is_none(case: str) -> None:
    with pytest.raises(TableError):
        parse(SMALL % case)
