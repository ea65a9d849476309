"""What is checked of each answer.

All that schemathesis checks; that nobody gets nothing; and that a refusal changes nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any

from schemathesis import Config, Response
from schemathesis.checks import CheckFunction, load_all_checks
from schemathesis.openapi import from_wsgi
from schemathesis.specs.openapi import checks as openapi_checks
from schemathesis.specs.openapi.schemas import OpenApiSchema

from cyborg.api import microversions
from cyborg.api.microversions import V2_4, Version
from cyborg.tests.functional.fuzz.cases import AnyCase, header
from cyborg.tests.functional.fuzz.world import NOBODY, World, headers_of

#: What no schema can say of a request, and so refuses what its schema allows.
UNSAYABLE = re.compile(
    "|".join(
        (
            # Which objects there are.
            "There is no object with the marker",
            # What depends on two parameters, or on two parts of a body.
            "Either arqs or instance is needed",
            "All must have the same /(instance_uuid|hostname|project_id)",
            "All accelerator requests in one call must be of one project",
            "The profile asks for [0-9]+ accelerators",
            "The groups are too long",
            # What depends on the profile, and on which devices there are.
            "Device profile '[^']*' asks for no accelerator",
            # This operation is there to refuse.
            "Missing argument: the uuid of an attribute",
        )
    )
)

#: Before microversion 2.4 unknown fields of bodies are ignored, and more is forgiven.
_STRICT = ("negative_data_rejection", "positive_data_acceptance")

#: Statuses that say yes to valid data: also what depends on what there is.
_ACCEPTED = ["2xx", "401", "403", "404", "409", "423"]
#: Statuses that say no to invalid data. A 406 would be about the version, which is not drawn.
_REFUSED = ["400", "401", "403", "404", "405", "409", "413", "415"]

CONFIG: dict[str, Any] = {
    # NUL and tokens have tests of their own. What is in our code is no data.
    "generation": {"with-security-parameters": False, "allow-x00": False},
    "analysis": {"constants": {"enabled": False}},
    "checks": {
        "positive_data_acceptance": {"expected-statuses": _ACCEPTED},
        "negative_data_rejection": {"expected-statuses": _REFUSED},
    },
}


def schema_of(world: World, version: Version) -> OpenApiSchema:
    """Return the document that the API gives out for a version."""
    return from_wsgi(
        "/v2/openapi.json",
        world.application,
        config=Config.from_dict(CONFIG),
        headers={microversions.HEADER: header(version)},
    )


def ask(world: World, case: AnyCase, version: Version, persona: str) -> Response:
    """Send a case to the world as it was at the beginning, and check the answer.

    :raises FailureGroup: schemathesis has found something.
    """
    world.put_back()
    headers = headers_of(persona)
    response: Response = case.call(headers=headers)
    _check_nobody(case, response, persona)
    _check_unchanged(world, case, response)
    excluded = _excluded(case, response, version)
    case.validate_response(response, headers=headers, excluded_checks=excluded)
    return response


def _check_nobody(case: AnyCase, response: Response, persona: str) -> None:
    is_public = case.operation.definition.raw.get("security") == []
    if persona == NOBODY and not is_public:
        assert response.status_code in (401, 413), f"{response.status_code} to {case!r}"


def _check_unchanged(world: World, case: AnyCase, response: Response) -> None:
    # The uuids that exist are deleted before 404 is said for the others: Nova relies on it.
    is_partial = case.method == "DELETE" and case.path == "/accelerator_requests"
    if response.status_code >= 400 and not (is_partial and response.status_code == 404):
        assert not world.changed(), f"{response.status_code} to {case!r}, and a change"


def _excluded(case: AnyCase, response: Response, version: Version) -> list[CheckFunction]:
    load_all_checks()
    names = set(_STRICT if version < V2_4 else ())
    if response.status_code == 400 and UNSAYABLE.match(fault_text(response)):
        names.add("positive_data_acceptance")
    if case.method == "PATCH" and response.status_code == 404 and "{" not in case.path:
        # Deployed clients know 404 for a PATCH of a collection that has none.
        names.add("unsupported_method")
    return [getattr(openapi_checks, name) for name in sorted(names)]


def fault_text(response: Response) -> str:
    """Return what an error says."""
    text: str = json.loads(response.json()["error_message"])["faultstring"]
    return text
