"""JSON schemas of a device profile's parts. The rules themselves are the domain's."""

from __future__ import annotations

from typing import Any

from cyborg.domain.profiles import MAX_DESCRIPTION

NAME: dict[str, Any] = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,255}$"}

DESCRIPTION: dict[str, Any] = {"type": ["string", "null"], "maxLength": MAX_DESCRIPTION}

_CUSTOM = "CUSTOM_[A-Z0-9_]{1,248}"
_AMOUNT = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": 64},
        {"type": "string", "pattern": "^0*([1-9]|[1-5][0-9]|6[0-4])$", "maxLength": 9},
    ]
}

GROUPS: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "minProperties": 1,
        "patternProperties": {
            f"^resources:(FPGA|GPU|PGPU|VGPU|{_CUSTOM})$": _AMOUNT,
            f"^trait:{_CUSTOM}$": {"enum": ["required", "forbidden"]},
            "^accel:[\\s\\S]": {"type": ["string", "number"]},
        },
        "additionalProperties": False,
        # Not each name begins otherwise: there is one that asks for something.
        "not": {"propertyNames": {"not": {"pattern": "^resources:"}}},
    },
}
