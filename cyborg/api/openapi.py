"""The API's description of itself: OpenAPI 3.1, of one microversion, from the declarations.

What is here and not in a declaration is what all operations have in common.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cyborg.api import microversions
from cyborg.api.errors import RETRY_AFTER
from cyborg.api.microversions import V2_4, Version
from cyborg.api.operations import Operation
from cyborg.api.parameters import Parameter
from cyborg.api.resource import Resource
from cyborg.api.schemas import Schema, answered
from cyborg.version import version as release

Resources = Mapping[str, type[Resource] | Resource]

_PATH_PARAMETER = re.compile(r"\{([a-z_]+)\}")

#: Errors that every operation can end with.
_COMMON = (400, 401, 403, 406, 503)
_WITH_BODY = (413, 415)

_REASONS = {
    400: "Something in the request is not as it must be.",
    401: "There is no valid token. The body is keystonemiddleware's.",
    403: "The policy does not allow it.",
    404: "There is no such object for the caller.",
    406: "There is no such microversion, or the operation needs a higher one, or JSON is not "
    "accepted.",
    409: "It is not possible in the present state; nothing was changed.",
    413: "The body is too large.",
    415: "The body is not declared to be application/json.",
    423: "An accelerator request of the instance is not resolved yet.",
    502: "The device failed half way: it is given to nobody before that is mended.",
    503: "The database or the message queue is not there now; try again.",
}


def document(resources: Resources, version: Version, base_url: str) -> dict[str, Any]:
    """Return the document of the API as it is in a microversion.

    :param base_url: what comes before ``/v2``.
    """
    paths: dict[str, dict[str, Any]] = {}
    for name, resource in resources.items():
        for path, method, operation in operations_of(resource):
            if operation.since <= version:
                full = f"/{name}{path}"
                described = _operation(name, full, method, operation, version)
                paths.setdefault(full, {})[method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OpenStack Accelerator API",
            "version": microversions.text(version),
            "summary": "Accelerators for servers: FPGAs, GPUs, SmartNICs and others.",
            "description": f"Cyborg {release()}, in microversion {microversions.text(version)}. "
            "Send the header OpenStack-API-Version for the description of another one.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": f"{base_url}/v2"}],
        "security": [{"token": []}],
        "tags": [{"name": name} for name in resources],
        "paths": {**_documents(version), **paths},
        "components": {
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}
            },
            "schemas": {"Fault": _fault(version)},
            "headers": _headers(version),
        },
    }


def operations_of(
    resource: type[Resource] | Resource,
) -> Iterator[tuple[str, str, Operation]]:
    """Return the operations of a resource: path after its name, method, declaration."""
    for path, method, handler in resource.routes.all():
        yield path, method, resource.operation(handler)


def _documents(version: Version) -> dict[str, Any]:
    """Return the paths that everybody may read."""
    text = {"type": "string"}
    link = {
        "type": "object",
        "properties": {"href": {"type": "string", "format": "uri"}, "rel": {"const": "self"}},
        "required": ["href", "rel"],
        "additionalProperties": False,
    }
    names = ("id", "links", "max_version", "min_version", "status")
    schema: Schema = {
        "type": "object",
        "properties": {**dict.fromkeys(names, text), "links": {"type": "array", "items": link}},
        "required": list(names),
        "additionalProperties": False,
    }
    return {
        "/": {"get": _public("get_version", "Show the version", schema, version)},
        "/openapi.json": {
            "get": _public("get_openapi", "Show this description", {"type": "object"}, version)
        },
    }


def _public(id_: str, summary: str, schema: Schema, version: Version) -> dict[str, Any]:
    success = {
        "description": summary,
        "headers": _header_references(),
        "content": {"application/json": {"schema": schema}},
    }
    return {
        "operationId": id_,
        "summary": summary,
        "security": [],
        "parameters": [_version_header(version)],
        "responses": {"200": success, "406": _error(406)},
    }


def _operation(
    resource: str, path: str, method: str, operation: Operation, version: Version
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{method.lower()}_{_PATH_PARAMETER.sub('of', path)[1:].replace('/', '_')}",
        "summary": operation.summary,
        "description": f"Policy: {operation.action}.",
        "tags": [resource],
        "parameters": [
            *map(_path_parameter, _PATH_PARAMETER.findall(path)),
            *(_query_parameter(p) for p in operation.known_parameters() if p.is_in(version)),
            _version_header(version),
        ],
        "responses": _responses(path, operation, version),
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "description": operation.body.meaning,
            "content": {"application/json": {"schema": dict(operation.body.schema(version))}},
        }
    return described


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.meaning,
        "schema": dict(parameter.kind.schema),
    }


def _version_header(version: Version) -> dict[str, Any]:
    return {
        "name": microversions.HEADER,
        "in": "header",
        # Without it another microversion answers, of which this document says nothing.
        "required": version != microversions.MINIMUM,
        "description": "The microversion.",
        "schema": {"const": f"{microversions.SERVICE_TYPE} {microversions.text(version)}"},
    }


def _responses(path: str, operation: Operation, version: Version) -> dict[str, Any]:
    success: dict[str, Any] = {"description": operation.summary, "headers": _header_references()}
    schema = _answer(operation, version)
    if schema is not None:
        success["content"] = {"application/json": {"schema": schema}}
    errors = {*_COMMON, *operation.errors}
    if "{" in path:
        errors.add(404)
    if operation.body is not None:
        errors.update(_WITH_BODY)
    responses = {str(operation.status): success}
    for status in sorted(errors):
        responses[str(status)] = _error(status)
    return responses


def _answer(operation: Operation, version: Version) -> Schema | None:
    answer = operation.answer
    if answer is None:
        return None
    schema = answered(answer.declared, version)
    if answer.many:
        schema = {"type": "array", "items": schema}
    if not answer.key:
        return schema
    properties = {answer.key: schema}
    if operation.listing is not None and version >= V2_4:
        properties[f"{answer.key}_links"] = _NEXT
    return {
        "type": "object",
        "properties": properties,
        "required": [answer.key],
        "additionalProperties": False,
    }


_NEXT: Schema = {
    "description": "Where the next page is; absent on the last one.",
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"rel": {"const": "next"}, "href": {"type": "string", "format": "uri"}},
        "required": ["rel", "href"],
        "additionalProperties": False,
    },
}


def _error(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {"description": _REASONS[status]}
    if status == 401:
        described["headers"] = {
            "WWW-Authenticate": {"required": True, "schema": {"type": "string"}}
        }
        return described
    if status == 503:
        described["headers"] = {"Retry-After": {"required": True, "schema": {"const": RETRY_AFTER}}}
    reference = {"$ref": "#/components/schemas/Fault"}
    described["content"] = {"application/json": {"schema": reference}}
    return described


def _fault(version: Version) -> Schema:
    code = ", code (a stable name of the error)" if version >= V2_4 else ""
    return {
        "type": "object",
        "properties": {
            "error_message": {
                "type": "string",
                "contentMediaType": "application/json",
                "description": "JSON text: an object with faultcode (Client or Server), "
                f"faultstring (the text), debuginfo (null){code}.",
            }
        },
        "required": ["error_message"],
        "additionalProperties": False,
    }


def _headers(version: Version) -> dict[str, Any]:
    return {
        name: {"required": True, "schema": {"const": value}}
        for name, value in microversions.headers(version).items()
    } | {
        "x-openstack-request-id": {
            "required": True,
            "schema": {"type": "string", "pattern": "^req-"},
        }
    }


def _header_references() -> dict[str, Any]:
    names = (*microversions.headers(microversions.MINIMUM), "x-openstack-request-id")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
