"""The API's description of itself, in each microversion: valid, complete, and of real answers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from cyborg.api import microversions, openapi
from cyborg.api.app import RESOURCES
from cyborg.api.microversions import (
    DEVICE_CONDITION,
    DEVICE_STATUS,
    MAXIMUM,
    MINIMUM,
    PROJECT_IN_PATCH,
    V2_4,
    Version,
)
from cyborg.api.operations import Operation
from cyborg.tests.unit.api.harness import ADMIN, NOVA, Api
from cyborg.tests.unit.api.rows import ATTRIBUTE, BOUND, DEPLOYABLE, DEVICE, PROFILE, UNKNOWN

VERSIONS = [(MINIMUM[0], minor) for minor in range(MINIMUM[1], MAXIMUM[1] + 1)]
PUBLIC = {"/", "/openapi.json"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "QUERY")

each_version = pytest.mark.parametrize("version", VERSIONS, ids=microversions.text)


def document(version: Version) -> dict[str, Any]:
    return openapi.document(RESOURCES, version, "http://localhost")


def declared(version: Version) -> dict[tuple[str, str], Operation]:
    """Return what the controllers declare: path and method to operation."""
    return {
        (f"/{name}{path}", method): operation
        for name, resource in RESOURCES.items()
        for path, method, operation in openapi.operations_of(resource)
        if operation.since <= version
    }


def described(version: Version) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (path, method.upper()): operation
        for path, methods in document(version)["paths"].items()
        for method, operation in methods.items()
    }


@each_version
def test_valid(version: Version) -> None:
    OpenAPIV31SpecValidator(document(version)).validate()


@each_version
def test_every_operation_is_there_and_no_other(version: Version) -> None:
    assert set(described(version)) == set(declared(version)) | {(path, "GET") for path in PUBLIC}


@each_version
def test_every_parameter_is_there_and_no_other(version: Version) -> None:
    for key, operation in declared(version).items():
        parameters = described(version)[key]["parameters"]
        found = {(one["in"], one["name"]) for one in parameters}
        assert len(found) == len(parameters)
        known = {("query", p.name) for p in operation.known_parameters() if p.is_in(version)}
        in_path = {("path", name) for name in re.findall(r"{(\w+)}", key[0])}
        assert found == known | in_path | {("header", microversions.HEADER)}


@each_version
def test_every_status_is_there(version: Version) -> None:
    for key, operation in declared(version).items():
        statuses = {int(status) for status in described(version)[key]["responses"]}
        assert {operation.status, *operation.errors, 401, 403, 406} <= statuses
        assert (404 in statuses) >= ("{" in key[0])
        assert (415 in statuses) == (operation.body is not None)


@each_version
def test_operation_ids_are_unique(version: Version) -> None:
    ids = [operation["operationId"] for operation in described(version).values()]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z_]+", id_) for id_ in ids), ids


def test_only_public_paths_need_no_token() -> None:
    public = {path for (path, _), one in described(MAXIMUM).items() if one.get("security") == []}
    assert public == PUBLIC
    assert document(MAXIMUM)["security"] == [{"token": []}]


@pytest.mark.parametrize(
    ("schema", "field", "since", "until"),
    [
        ("Device", "status", DEVICE_STATUS, None),
        ("Device", "usage", V2_4, None),
        ("Device", "presence", DEVICE_CONDITION, None),
        ("Device", "condition", DEVICE_CONDITION, None),
        ("Device", "condition_reason", DEVICE_CONDITION, None),
        ("Deployable", "device_id", MINIMUM, V2_4),
        ("Deployable", "device_uuid", V2_4, None),
        ("Attribute", "deployable_id", MINIMUM, V2_4),
        ("Attribute", "deployable_uuid", V2_4, None),
        ("AcceleratorRequest", "created_by", V2_4, None),
        ("AcceleratorRequest", "project_id", MINIMUM, None),
    ],
)
@each_version
def test_fields(
    version: Version, schema: str, field: str, since: Version, until: Version | None
) -> None:
    found = document(version)["components"]["schemas"][schema]
    is_there = since <= version and (until is None or version < until)
    assert (field in found["properties"]) == is_there
    assert (field in found["required"]) == is_there


@each_version
def test_what_only_some_versions_have(version: Version) -> None:
    operations = described(version)
    assert (("/device_profiles/{uuid}", "PATCH") in operations) == (version >= V2_4)
    assert (("/deployables/{uuid}/attach_handles", "GET") in operations) == (version >= V2_4)
    schemas = document(version)["components"]["schemas"]
    assert ("AttachHandle" in schemas) == ("Usage" in schemas) == (version >= V2_4)
    patch = operations["/accelerator_requests", "PATCH"]["requestBody"]
    assert ("/project_id" in str(patch)) == (version >= PROJECT_IN_PATCH)
    known = {one["name"]: one for one in operations["/devices", "GET"]["parameters"]}
    assert ("filters" in known) == (version < V2_4)
    assert ("sort" in known) == (version >= V2_4)
    for name in ("presence", "condition"):
        assert (name in known) == (version >= DEVICE_CONDITION)
        order = known["sort"]["schema"]["pattern"] if "sort" in known else ""
        assert (name in order) == (version >= DEVICE_CONDITION)


def test_the_version_of_the_request_is_described(api: Api) -> None:
    for version in VERSIONS:
        text = microversions.text(version)
        answer = api.get("/v2/openapi.json", version=text)
        assert answer.headers[microversions.HEADER] == f"accelerator {text}"
        assert answer.json == document(version)


def test_the_server_is_where_links_lead(api: Api) -> None:
    api.conf.set_override("public_endpoint", "https://public/acc", "api")
    assert api.get("/v2/openapi.json").json["servers"] == [{"url": "https://public/acc/v2"}]


@each_version
@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/devices", "/devices"),
        (f"/devices/{DEVICE}", "/devices/{uuid}"),
        ("/deployables", "/deployables"),
        (f"/deployables/{DEPLOYABLE}", "/deployables/{uuid}"),
        (f"/deployables/{DEPLOYABLE}/attach_handles", "/deployables/{uuid}/attach_handles"),
        ("/attributes", "/attributes"),
        (f"/attributes/{ATTRIBUTE}", "/attributes/{uuid}"),
        ("/device_profiles", "/device_profiles"),
        (f"/device_profiles/{PROFILE}", "/device_profiles/{uuid}"),
        ("/accelerator_requests", "/accelerator_requests"),
        (f"/accelerator_requests/{BOUND}", "/accelerator_requests/{uuid}"),
        ("/", "/"),
    ],
)
def test_answers_are_of_their_schema(api: Api, version: Version, path: str, route: str) -> None:
    if (route, "GET") not in described(version):
        assert version < V2_4
        return
    answer = api.get(f"/v2{path}", version=microversions.text(version))
    assert answer.status_int == 200
    root = document(version)
    schema = root["paths"][route]["get"]["responses"]["200"]["content"]["application/json"]
    validator = _validator(root, schema["schema"])
    validator.validate(answer.json)
    assert not validator.is_valid({**answer.json, "more": 1}), "the schema says what there is"


@each_version
def test_faults_are_of_their_schema(api: Api, version: Version) -> None:
    root = document(version)
    schema = root["components"]["schemas"]["Fault"]
    answer = api.get(f"/v2/devices/{UNKNOWN}", version=microversions.text(version))
    _validator(root, schema).validate(answer.json)
    text = schema["properties"]["error_message"]["contentSchema"]
    _validator(root, text).validate(json.loads(answer.json["error_message"]))


@each_version
def test_methods_that_are_not_described_are_refused(api: Api, version: Version) -> None:
    """HEAD and OPTIONS among them; Allow says what is described."""
    text = microversions.text(version)
    for path, methods in document(version)["paths"].items():
        allowed = {method.upper() for method in methods}
        for method in set(METHODS) - allowed:
            url = "/v2" + path.replace("{uuid}", UNKNOWN)
            answer = api.request(method, url, ADMIN, version=text)
            if method == "PATCH" and path.count("/") == 1 and path not in PUBLIC:
                # Deployed clients know 404 for a PATCH of a collection that has none.
                assert answer.status_int == 404
                continue
            assert answer.status_int == 405, (method, url)
            assert set(answer.headers["Allow"].split(", ")) == allowed


def test_the_body_of_a_bind_is_as_described(api: Api) -> None:
    root = document(MAXIMUM)
    content = root["paths"]["/accelerator_requests"]["patch"]["requestBody"]["content"]
    validator = _validator(root, content["application/json"]["schema"])
    add = [
        {"op": "add", "path": "/hostname", "value": "node1"},
        {"op": "add", "path": "/instance_uuid", "value": UNKNOWN},
        {"op": "add", "path": "/device_rp_uuid", "value": UNKNOWN},
    ]
    project = {"op": "add", "path": "/project_id", "value": "a" * 32}
    remove = [{"op": "remove", "path": "/hostname"}]
    for patches, good in (
        ([add], True),
        ([add[::-1]], True),
        ([[*add, project]], True),
        ([remove], True),
        ([remove, remove], True),
        ([add[1:]], False),
        ([[*add, add[0]]], False),
        ([remove * 2], False),
        ([add, remove], False),
        ([[*add[1:], *remove]], False),
        ([[]], False),
        ([], False),
    ):
        body = {f"{UNKNOWN[:-1]}{number}": patch for number, patch in enumerate(patches)}
        assert validator.is_valid(body) == good, body
        answer = api.request("PATCH", "/v2/accelerator_requests", NOVA, body=body, version="latest")
        assert answer.status_int == (404 if good else 400), body


def _validator(root: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    """Return what checks against a schema of a document, formats included."""
    resource = DRAFT202012.create_resource(root)
    registry: Registry[Any] = Registry().with_resource("urn:document", resource)
    absolute = _absolute(schema)
    checker = Draft202012Validator.FORMAT_CHECKER
    return Draft202012Validator(absolute, registry=registry, format_checker=checker)


def _absolute(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: f"urn:document{value}" if key == "$ref" else _absolute(value)
            for key, value in schema.items()
        }
    return [_absolute(item) for item in schema] if isinstance(schema, list) else schema
