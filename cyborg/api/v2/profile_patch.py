"""The body of ``PATCH /v2/device_profiles/{uuid or name}``: a JSON patch.

Pure. The domain's rules check the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cyborg.api.microversions import Version
from cyborg.api.schemas import once
from cyborg.api.v2.profile_schemas import DESCRIPTION, GROUPS, NAME
from cyborg.domain.errors import InvalidInput

_PATHS = ("/description", "/name", "/groups")


def schema(_version: Version) -> Mapping[str, Any]:
    """Return the JSON schema of the body."""
    operations: list[dict[str, Any]] = [
        {
            "type": "object",
            "properties": {
                "op": {"enum": ["add", "replace"]},
                "path": {"const": path},
                "value": value,
            },
            "required": ["op", "path", "value"],
            "additionalProperties": False,
        }
        for path, value in zip(_PATHS, (DESCRIPTION, NAME, GROUPS), strict=True)
    ]
    remove = {
        "type": "object",
        "properties": {"op": {"const": "remove"}, "path": {"const": "/description"}},
        "required": ["op", "path"],
        "additionalProperties": False,
    }
    return {
        "type": "array",
        "minItems": 1,
        "items": {"anyOf": [*operations, remove]},
        "allOf": [once(path) for path in _PATHS],
    }


def parse(body: object) -> dict[str, object]:
    """Return what is to change: field to its new value.

    :raises InvalidInput: with what is wrong.
    """
    if not isinstance(body, list) or not body:
        raise InvalidInput("The body must be a non-empty list of operations.")
    changes: dict[str, object] = {}
    for operation in body:
        path, value = _change(operation)
        if path[1:] in changes:
            raise InvalidInput(f"{path} is given twice.")
        changes[path[1:]] = value
    return changes


def _change(operation: object) -> tuple[str, object]:
    if not isinstance(operation, dict) or set(operation) - {"op", "path", "value"}:
        raise InvalidInput("An operation is an object with op, path and value.")
    path, kind = operation.get("path"), operation.get("op")
    if path not in _PATHS:
        raise InvalidInput(f"An operation's path must be one of: {', '.join(_PATHS)}.")
    if kind == "remove" and path == "/description" and "value" not in operation:
        return str(path), None
    if kind not in ("add", "replace"):
        raise InvalidInput(
            f"The op for {path} must be 'add' or 'replace'; only /description can be removed, "
            "without a value."
        )
    if "value" not in operation:
        raise InvalidInput(f"{path} has no value.")
    return str(path), operation["value"]
