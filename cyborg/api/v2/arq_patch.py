"""The body of ``PATCH /v2/accelerator_requests``: what it means, or why it means nothing.

Pure. The body is an object: ARQ uuid to a JSON patch. All operations are ``add`` (bind) or
all are ``remove`` (unbind).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cyborg.api.fields import canonical_uuid, require_uuid
from cyborg.api.microversions import PROJECT_IN_PATCH, Version
from cyborg.api.schemas import once
from cyborg.domain.errors import InvalidInput

#: Most ARQs in one PATCH or DELETE.
MAX_REQUESTS = 64

_BINDING = ("hostname", "device_rp_uuid", "instance_uuid")
_PROJECT = "project_id"
_PROJECT_PATTERN = "^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"
_MAX_HOSTNAME = 255


@dataclass(frozen=True, slots=True)
class Bind:
    """ARQ uuid to ``hostname``, ``device_rp_uuid`` and ``instance_uuid``; one instance."""

    bindings: Mapping[str, Mapping[str, str]]
    project_id: str | None

    @property
    def names_project(self) -> bool:
        """Whether the body says whose the instance is."""
        return self.project_id is not None


@dataclass(frozen=True, slots=True)
class Unbind:
    """ARQs that are to be unbound."""

    uuids: tuple[str, ...]
    names_project: bool


def schema(version: Version) -> Mapping[str, Any]:
    """Return the JSON schema of the body."""
    uuid = {"type": "string", "format": "uuid"}
    values: dict[str, dict[str, Any]] = {
        "hostname": {"type": "string", "minLength": 1, "maxLength": _MAX_HOSTNAME},
        "device_rp_uuid": uuid,
        "instance_uuid": uuid,
    }
    if version >= PROJECT_IN_PATCH:
        # Keystone's have no dashes.
        values[_PROJECT] = {"type": "string", "pattern": _PROJECT_PATTERN}
    add = [
        {
            "type": "object",
            "properties": {
                "op": {"const": "add"},
                "path": {"const": f"/{name}"},
                "value": value,
            },
            "required": ["op", "path", "value"],
        }
        for name, value in values.items()
    ]
    remove = {
        "type": "object",
        "properties": {
            "op": {"const": "remove"},
            "path": {"enum": [f"/{name}" for name in values]},
        },
        "required": ["op", "path"],
    }
    needed = [once(f"/{name}", least=name in _BINDING) for name in values]
    optional = [once(f"/{name}") for name in values]
    bind = {"type": "array", "items": {"anyOf": add}, "allOf": needed}
    unbind = {"type": "array", "items": remove, "minItems": 1, "allOf": optional}
    return {
        "type": "object",
        "propertyNames": uuid,
        "minProperties": 1,
        "maxProperties": MAX_REQUESTS,
        # All are bound, or all are unbound.
        "anyOf": [{"additionalProperties": bind}, {"additionalProperties": unbind}],
    }


def parse(body: object) -> Bind | Unbind:
    """Return what a body asks for.

    :raises InvalidInput: with what is wrong.
    """
    if not isinstance(body, dict) or not body:
        raise InvalidInput("The body must be an object: ARQ uuid to a list of operations.")
    if len(body) > MAX_REQUESTS:
        raise InvalidInput(f"At most {MAX_REQUESTS} accelerator requests in one call.")
    operations: set[str] = set()
    patches: dict[str, dict[str, object]] = {}
    for key, patch in body.items():
        uuid = require_uuid(key, "An accelerator request's identifier")
        if uuid in patches:
            raise InvalidInput(f"Accelerator request {uuid} is given twice.")
        patches[uuid] = _patch(uuid, patch, operations)
    if len(operations) != 1:
        raise InvalidInput("All operations must be 'add', or all must be 'remove'.")
    if operations == {"remove"}:
        names_project = any(_PROJECT in patch for patch in patches.values())
        return Unbind(tuple(patches), names_project)
    return _bind(patches)


def _patch(uuid: str, patch: object, operations: set[str]) -> dict[str, object]:
    """Return a patch's values by field; note its kinds of operation."""
    if not isinstance(patch, list) or not patch:
        raise InvalidInput(f"{uuid}: a non-empty list of operations is needed.")
    values: dict[str, object] = {}
    for operation in patch:
        if not isinstance(operation, dict) or operation.get("op") not in ("add", "remove"):
            raise InvalidInput(f"{uuid}: an operation's op must be 'add' or 'remove'.")
        path = operation.get("path")
        if path not in [f"/{name}" for name in (*_BINDING, _PROJECT)]:
            raise InvalidInput(
                f"{uuid}: an operation's path must be /hostname, /device_rp_uuid, "
                "/instance_uuid or /project_id."
            )
        if path[1:] in values:
            raise InvalidInput(f"{uuid}: {path} is given twice.")
        if operation["op"] == "add" and "value" not in operation:
            raise InvalidInput(f"{uuid}: {path} has no value.")
        operations.add(operation["op"])
        values[path[1:]] = operation.get("value")
    return values


def _bind(patches: Mapping[str, Mapping[str, object]]) -> Bind:
    bindings = {uuid: _binding(uuid, values) for uuid, values in patches.items()}
    for name in ("instance_uuid", "hostname"):
        if len({binding[name] for binding in bindings.values()}) > 1:
            raise InvalidInput(f"All must have the same /{name} in one call.")
    projects = {_project(uuid, values) for uuid, values in patches.items()}
    if len(projects) > 1:
        raise InvalidInput("All must have the same /project_id in one call.")
    return Bind(bindings, projects.pop())


def _binding(uuid: str, values: Mapping[str, object]) -> dict[str, str]:
    missing = [f"/{name}" for name in _BINDING if name not in values]
    if missing:
        raise InvalidInput(f"{uuid}: a bind needs {', '.join(missing)}.")
    hostname = values["hostname"]
    if not isinstance(hostname, str) or not 0 < len(hostname) <= _MAX_HOSTNAME:
        raise InvalidInput(f"{uuid}: /hostname must have 1 to {_MAX_HOSTNAME} characters.")
    return {
        "hostname": hostname,
        "device_rp_uuid": require_uuid(values["device_rp_uuid"], f"{uuid}: /device_rp_uuid"),
        "instance_uuid": require_uuid(values["instance_uuid"], f"{uuid}: /instance_uuid"),
    }


def _project(uuid: str, values: Mapping[str, object]) -> str | None:
    if _PROJECT not in values:
        return None
    project_id = values[_PROJECT]
    if not isinstance(project_id, str) or canonical_uuid(project_id) is None:
        raise InvalidInput(f"{uuid}: /project_id must be a uuid.")
    # As it was sent: Keystone's have no dashes, and policy compares them as text.
    return project_id
