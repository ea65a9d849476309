"""The body of ``PATCH /v2/deployables/{uuid}/program``: which image, or why none.

Pure. The body is a JSON patch: ``[{"path": "/program", "op": "replace", "value": [{"image_uuid":
"<uuid>"}]}]``. Of both lists deployed clients mean the first element; what follows is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cyborg.api.fields import require_uuid
from cyborg.api.microversions import Version
from cyborg.domain.errors import InvalidInput

_PATH = "/program"
_OPERATIONS = ("add", "replace")


def schema(_version: Version) -> Mapping[str, Any]:
    """Return the JSON schema of the body."""
    image = {
        "type": "object",
        "properties": {"image_uuid": {"type": "string", "format": "uuid"}},
        "required": ["image_uuid"],
    }
    operation = {
        "type": "object",
        "properties": {
            "op": {"enum": list(_OPERATIONS)},
            "path": {"const": _PATH},
            "value": {
                "type": "array",
                "prefixItems": [image],
                "minItems": 1,
                "description": "A list of one object with the image's uuid, image_uuid.",
            },
        },
        "required": ["op", "path", "value"],
    }
    return {"type": "array", "prefixItems": [operation], "minItems": 1}


def parse(body: object) -> str:
    """Return the uuid of the image to program.

    :raises InvalidInput: with what is wrong.
    """
    if not isinstance(body, list) or not body:
        raise InvalidInput("The body must be a list with one operation.")
    operation = body[0]
    if not isinstance(operation, dict):
        raise InvalidInput("An operation must be an object.")
    if operation.get("op") not in _OPERATIONS:
        raise InvalidInput(f"An operation's op must be {' or '.join(map(repr, _OPERATIONS))}.")
    if operation.get("path") != _PATH:
        raise InvalidInput(f"An operation's path must be {_PATH}.")
    return _image(operation.get("value"))


def _image(value: object) -> str:
    if not isinstance(value, list) or not value:
        raise InvalidInput("An operation's value must be a list with one object.")
    wanted = value[0]
    if not isinstance(wanted, dict) or "image_uuid" not in wanted:
        raise InvalidInput("The object must have an image_uuid.")
    return require_uuid(wanted["image_uuid"], "image_uuid")
