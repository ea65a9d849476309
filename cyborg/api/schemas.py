"""JSON schemas of what is declared with WSME, for the API's description."""

from __future__ import annotations

import datetime
from typing import Any

from wsme import types as wtypes

from cyborg.api.fields import Declaration, Field, Json, fields_of
from cyborg.api.microversions import V2_4, Version

Schema = dict[str, Any]


def answered(declared: type[Declaration], version: Version) -> Schema:
    """Return the schema of an object that is answered: every field is there, and no other.

    Objects in it are referred to; see :func:`nested_in`.
    """
    fields = fields_of(declared, version)
    return {
        "type": "object",
        "properties": {field.name: _field(field, version, _reference) for field in fields},
        "required": [field.name for field in fields],
        "additionalProperties": False,
    }


def name_of(declared: type[Declaration]) -> str:
    """Return what the schema of an object is called in the API's description."""
    return declared.__name__.removesuffix("Fields")


def reference_to(declared: type[Declaration]) -> Schema:
    """Return what stands for the schema of an object."""
    return {"$ref": f"#/components/schemas/{name_of(declared)}"}


def nested_in(declared: type[Declaration], version: Version) -> list[type[Declaration]]:
    """Return the declarations of the objects that an answered object has."""
    types = (field.datatype for field in fields_of(declared, version))
    items = (type_.item_type if isinstance(type_, wtypes.ArrayType) else type_ for type_ in types)
    return [item for item in items if isinstance(item, type) and issubclass(item, Declaration)]


def accepted(declared: type[Declaration], version: Version) -> Schema:
    """Return the schema of an object in a request. Unknown fields are refused from 2.4 on."""
    fields = fields_of(declared, version)
    return {
        "type": "object",
        "properties": {field.name: _field(field, version, accepted) for field in fields},
        "required": [field.name for field in fields if field.mandatory],
        "additionalProperties": version < V2_4,
    }


def once(path: str, *, least: bool = False) -> Schema:
    """Return the schema of a JSON patch in which a path is at most once; at least, too."""
    operation = {"properties": {"path": {"const": path}}, "required": ["path"]}
    return {"contains": operation, "minContains": int(least), "maxContains": 1}


def _field(field: Field, version: Version, nested: Any) -> Schema:
    schema = _type(field.datatype, version, nested)
    if field.values:
        schema["enum"] = list(field.values)
    if field.nullable and "type" in schema:
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return {**schema, "description": field.meaning}


def _reference(declared: type[Declaration], _version: Version) -> Schema:
    return reference_to(declared)


_SIMPLE: dict[Any, Schema] = {
    wtypes.text: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    datetime.datetime: {"type": "string", "format": "date-time"},
}


def _type(datatype: Any, version: Version, nested: Any) -> Schema:
    match datatype:
        case Json():
            schema = dict(datatype.schema)
        case wtypes.UuidType():
            schema = {"type": "string", "format": "uuid"}
        case wtypes.StringType():
            lengths = {"minLength": datatype.min_length, "maxLength": datatype.max_length}
            schema = {"type": "string", **{k: v for k, v in lengths.items() if v is not None}}
        case wtypes.ArrayType():
            schema = {"type": "array", "items": _type(datatype.item_type, version, nested)}
        case wtypes.DictType():
            values = _type(datatype.value_type, version, nested)
            schema = {"type": "object", "additionalProperties": values}
        case _ if datatype in _SIMPLE:
            schema = dict(_SIMPLE[datatype])
        case _:
            schema = nested(datatype, version)
    return schema
