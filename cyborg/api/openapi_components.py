"""Of the API's description: errors, headers and documents, which no declaration has."""

from __future__ import annotations

from typing import Any

from cyborg.api import microversions
from cyborg.api.errors import RETRY_AFTER
from cyborg.api.fields import Link
from cyborg.api.microversions import V2_4, Version
from cyborg.api.schemas import Schema, reference_to

_REQUEST_ID = "x-openstack-request-id"

REASONS = {
    400: "Something in the request is not as it must be.",
    401: "There is no valid token. The answer is keystonemiddleware's.",
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


def error_reference(status: int) -> Schema:
    """Return what stands for the answer with an error."""
    return {"$ref": f"#/components/responses/Error{status}"}


def error(status: int) -> dict[str, Any]:
    """Return the answer with an error."""
    headers: dict[str, Any] = {_REQUEST_ID: {"$ref": f"#/components/headers/{_REQUEST_ID}"}}
    if status == 401:
        headers["WWW-Authenticate"] = {"required": True, "schema": {"type": "string"}}
    if status == 503:
        headers["Retry-After"] = {"required": True, "schema": {"const": RETRY_AFTER}}
    schema = "Unauthorized" if status == 401 else "Fault"
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {
        "description": REASONS[status],
        "headers": headers,
        "content": {"application/json": {"schema": reference}},
    }


_TEXT: Schema = {"type": "string"}
VERSION: Schema = {
    "type": "object",
    "properties": {
        "id": _TEXT,
        "links": {"type": "array", "items": reference_to(Link)},
        "max_version": _TEXT,
        "min_version": _TEXT,
        "status": _TEXT,
    },
    "required": ["id", "links", "max_version", "min_version", "status"],
    "additionalProperties": False,
}

_UNAUTHORIZED: Schema = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"code": {"const": 401}, "title": _TEXT, "message": _TEXT},
            "required": ["code", "title", "message"],
        }
    },
    "required": ["error"],
}


def schemas(version: Version) -> dict[str, Schema]:
    """Return the schemas of errors."""
    return {"Fault": _fault(version), "Unauthorized": _UNAUTHORIZED}


def _fault(version: Version) -> Schema:
    properties: dict[str, Schema] = {
        "faultcode": {"enum": ["Client", "Server"]},
        "faultstring": {"type": "string", "description": "What is wrong."},
        "debuginfo": {"type": "null"},
    }
    if version >= V2_4:
        properties["code"] = {"type": "string", "description": "A stable name of the error."}
    text = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "error_message": {
                "type": "string",
                "description": "JSON text.",
                "contentMediaType": "application/json",
                "contentSchema": text,
            }
        },
        "required": ["error_message"],
        "additionalProperties": False,
    }


def headers(version: Version) -> dict[str, Any]:
    """Return the headers of a success, by name."""
    schemas: dict[str, Schema] = {
        **{name: {"const": value} for name, value in microversions.headers(version).items()},
        # CORS adds to it.
        "Vary": {"type": "string", "pattern": microversions.HEADER},
        _REQUEST_ID: {"type": "string", "pattern": "^req-"},
    }
    return {name: {"required": True, "schema": schema} for name, schema in schemas.items()}


def header_references() -> dict[str, Any]:
    """Return what stands for them."""
    names = (*microversions.headers(microversions.MINIMUM), _REQUEST_ID)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
