"""The API's description of itself: OpenAPI 3.1, of one microversion, from the declarations.

What is here and not in a declaration is what all operations have in common.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cyborg.api import microversions
from cyborg.api.fields import Declaration, Link
from cyborg.api.microversions import V2_4, Version
from cyborg.api.openapi_components import (
    REASONS,
    VERSION,
    error,
    error_reference,
    header_references,
    headers,
    schemas,
)
from cyborg.api.operations import Operation
from cyborg.api.parameters import SEGMENT, Parameter
from cyborg.api.resource import Resource
from cyborg.api.schemas import Schema, answered, name_of, nested_in, reference_to
from cyborg.version import version as release

Resources = Mapping[str, type[Resource] | Resource]

_PATH_PARAMETER = re.compile(r"\{([a-z_]+)\}")

#: Errors that every operation can end with; a body that is too large is refused before
#: anybody looks at the path.
_COMMON = (400, 401, 403, 406, 413, 503)


def document(resources: Resources, version: Version, base_url: str) -> dict[str, Any]:
    """Return the document of the API as it is in a microversion.

    :param base_url: what comes before ``/v2``.
    """
    paths: dict[str, dict[str, Any]] = {}
    for name, resource in resources.items():
        for path, method, operation in operations_of(resource):
            if operation.since <= version:
                full = f"/{name}{path}"
                described = _operation(resource, full, method, operation, version)
                described["tags"] = [name]
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
            "schemas": {**_objects(resources, version), **schemas(version)},
            "headers": headers(version),
            "responses": {f"Error{status}": error(status) for status in REASONS},
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
    return {
        "/": {"get": _public("get_version", "Show the version", VERSION, version)},
        "/openapi.json": {
            "get": _public("get_openapi", "Show this description", {"type": "object"}, version)
        },
    }


def _public(id_: str, summary: str, schema: Schema, version: Version) -> dict[str, Any]:
    success = {
        "description": summary,
        "headers": header_references(),
        "content": {"application/json": {"schema": schema}},
    }
    return {
        "operationId": id_,
        "summary": summary,
        "security": [],
        "parameters": [_version_header(version)],
        "responses": {
            "200": success,
            **{str(status): error_reference(status) for status in (406, 413)},
        },
    }


def _operation(
    resource: type[Resource] | Resource,
    path: str,
    method: str,
    operation: Operation,
    version: Version,
) -> dict[str, Any]:
    identifier = operation.identifier or resource.identifier
    described: dict[str, Any] = {
        "operationId": f"{method.lower()}_{_PATH_PARAMETER.sub('of', path)[1:].replace('/', '_')}",
        "summary": operation.summary,
        "description": f"Policy: {operation.action}.",
        "parameters": [
            *(_parameter(p, "path") for p in _in_path(path, identifier)),
            *(_parameter(p, "query") for p in operation.known_parameters() if p.is_in(version)),
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


def _in_path(path: str, identifier: Parameter) -> Iterator[Parameter]:
    for name in _PATH_PARAMETER.findall(path):
        yield identifier if name == identifier.name else Parameter(name, SEGMENT, "It is not read.")


def _parameter(parameter: Parameter, where: str) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": where,
        "required": parameter.required or where == "path",
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
    success: dict[str, Any] = {"description": operation.summary, "headers": header_references()}
    schema = _answer(operation, version)
    if schema is not None:
        success["content"] = {"application/json": {"schema": schema}}
    errors = {*_COMMON, *operation.errors}
    if "{" in path:
        errors.add(404)
    if operation.body is not None:
        errors.add(415)
    responses = {str(operation.status): success}
    for status in sorted(errors):
        responses[str(status)] = error_reference(status)
    return responses


def _answer(operation: Operation, version: Version) -> Schema | None:
    answer = operation.answer
    if answer is None:
        return None
    schema = reference_to(answer.declared)
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


def _objects(resources: Resources, version: Version) -> dict[str, Schema]:
    """Return the schemas of all that is answered, by name."""
    waiting: list[type[Declaration]] = [Link]
    for resource in resources.values():
        for _path, _method, operation in operations_of(resource):
            if operation.answer is not None and operation.since <= version:
                waiting.append(operation.answer.declared)
    found: dict[str, Schema] = {}
    while waiting:
        declared = waiting.pop()
        found[name_of(declared)] = answered(declared, version)
        waiting.extend(nested_in(declared, version))
    return dict(sorted(found.items()))
