"""The rows of an operation's tables, and in which microversions each is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from documents import VERSIONS, Json, Operation

from cyborg.api import microversions

#: What is in the path, where the document does not say so.
_IN_PATHS = {
    "accelerator_requests-uuid-patch": "Anything: what is meant is in the body.",
    **dict.fromkeys(
        [f"device_profiles-uuid-{method}" for method in ("get", "patch", "delete")],
        "The device profile's uuid or name.",
    ),
}


@dataclass(frozen=True)
class Row:
    """A parameter or a field."""

    name: str
    where: str
    type: str
    description: str
    required: bool = True
    min_version: str = ""
    max_version: str = ""


def request_rows(operation: Operation, fields: Json) -> list[Row]:
    """Return what a request has: in the path, in the query, in the body.

    :param fields: of the resource's objects, which say what a patch's paths are.
    """

    def rows(described: Json) -> list[Row]:
        found = [
            _parameter(operation, p)
            for p in described["parameters"]
            if p["in"] in ("path", "query")
        ]
        content = described.get("requestBody", {}).get("content", {})
        if content:
            found += _body(content["application/json"]["schema"], fields)
        return found

    return _merged(operation, rows)


def response_rows(operation: Operation) -> list[Row]:
    """Return what the answer to a success has."""
    return _merged(operation, lambda described: _answer(answer_of(described)))


def answer_of(described: Json) -> Json:
    """Return the schema of the answer to a success; an empty one if it has no body."""
    successes = (r for status, r in described["responses"].items() if status < "300")
    content: Json = next(successes, {}).get("content", {})
    schema: Json = content.get("application/json", {}).get("schema", {})
    return schema


def inner(schema: Json) -> Json:
    """Return the schema of the objects in an answer: without what they are wrapped in."""
    if _is_wrapper(schema):
        schema = next(iter(schema["properties"].values()))
    return schema.get("items", schema)


def _merged(operation: Operation, rows_of: Callable[[Json], list[Row]]) -> list[Row]:
    merged: list[Row] = []
    for version, described in operation.described.items():
        current = rows_of(described)
        before = {(row.where, row.name): row for row in merged}
        dated = [_dated(row, before.get((row.where, row.name)), version) for row in current]
        merged = _with_former(dated, merged, version)
    first, last = next(iter(operation.described)), microversions.text(VERSIONS[-1])
    return [
        replace(
            row,
            min_version="" if row.min_version == first else row.min_version,
            max_version="" if row.max_version == last else row.max_version,
        )
        for row in merged
    ]


def _dated(row: Row, before: Row | None, version: str) -> Row:
    if before is None:
        return replace(row, min_version=version, max_version=version)
    # What a patch must name it must name in later versions, which have more to name.
    required = row.required or (row.name.startswith("/") and before.required)
    return replace(row, min_version=before.min_version, max_version=version, required=required)


def _with_former(current: list[Row], former: list[Row], version: str) -> list[Row]:
    """Put what is no longer there behind what it has followed."""
    result = list(current)
    names = [row.name for row in result]
    for position, row in enumerate(former):
        if row.name not in names:
            previous = former[position - 1].name if position else None
            index = names.index(previous) + 1 if previous in names else 0
            result.insert(index, row)
            names.insert(index, row.name)
    return result


def _parameter(operation: Operation, parameter: Json) -> Row:
    meaning = parameter.get("description") or _IN_PATHS.get(operation.slug, "The object's uuid.")
    return _row(
        parameter["name"],
        parameter["in"],
        parameter["schema"],
        meaning,
        required=parameter["required"],
    )


def _answer(schema: Json) -> list[Row]:
    if "properties" not in schema:
        return []
    if not _is_wrapper(schema):
        return list(_fields(schema))
    (key, value), *links = schema["properties"].items()
    found = [_row(key, "body", value, "The list." if "items" in value else "The object.")]
    found += _fields(inner(schema))
    for name, value in links:
        found.append(_row(name, "body", value, "", required=False))
        found += _fields(value["items"], f"{name}.")
    return found


def _is_wrapper(schema: Json) -> bool:
    properties = schema.get("properties", {})
    key, value = next(iter(properties.items()), ("", {}))
    of_objects = "properties" in value.get("items", value)
    return of_objects and set(properties) <= {key, f"{key}_links"}


def _body(schema: Json, fields: Json) -> list[Row]:
    operations = [each for each in _within(schema) if {"op", "path"} <= each["properties"].keys()]
    if operations:
        return [*_members(schema), *_patch(operations, _needed(schema), fields)]
    # Of several forms the first is the plain one.
    schema = schema.get("anyOf", [schema])[0]
    return list(_fields(schema.get("items", schema)))


def _within(part: Any) -> Iterator[Json]:
    """Return all schemas of objects in a schema."""
    if isinstance(part, dict):
        if "properties" in part:
            yield part
        for value in part.values():
            yield from _within(value)
    elif isinstance(part, list):
        for item in part:
            yield from _within(item)


def _members(schema: Json) -> list[Row]:
    """Return what tells of the members of an object of patches."""
    if "propertyNames" not in schema:
        return []
    meaning = "The key of a member. Its value is a JSON patch, a list."
    return [_row("{uuid}", "body", schema["propertyNames"], meaning)]


def _needed(schema: Json) -> set[str]:
    """Return the paths that a patch must have, if it does not only remove."""
    found: set[str] = set()
    for part in _lists(schema):
        members = part.get("items", part.get("prefixItems"))
        operations = [each for each in _within(members) if "op" in each["properties"]]
        paths = {path for each in operations for path in _constants(each["properties"]["path"])}
        if part.get("minItems", 0) == len(paths):
            found |= paths
        for rule in part.get("allOf", ()):
            if rule.get("minContains", 1):
                found |= set(_constants(rule["contains"]["properties"]["path"]))
    return found


def _lists(part: Any) -> Iterator[Json]:
    if isinstance(part, dict):
        if part.get("type") == "array" and not {"items", "prefixItems"}.isdisjoint(part):
            yield part
        else:
            for value in part.values():
                yield from _lists(value)
    elif isinstance(part, list):
        for item in part:
            yield from _lists(item)


def _patch(operations: list[Json], needed: set[str], fields: Json) -> list[Row]:
    """Return a row for each path of a JSON patch."""
    names: dict[str, list[str]] = {}
    values: dict[str, Json] = {}
    for properties in (operation["properties"] for operation in operations):
        for path in _constants(properties["path"]):
            known = names.setdefault(path, [])
            known += [op for op in _constants(properties["op"]) if op not in known]
            values.setdefault(path, properties.get("value", {}))
    return [
        _row(
            path,
            "body",
            values[path],
            values[path].get("description") or fields[path[1:]]["description"],
            required=path in needed,
            more=f"With the op {_or(ops)}.",
        )
        for path, ops in names.items()
    ]


def _constants(schema: Json) -> list[str]:
    return [schema["const"]] if "const" in schema else list(schema["enum"])


def _fields(schema: Json, prefix: str = "") -> Iterable[Row]:
    required = schema.get("required", ())
    for name, value in schema.get("properties", {}).items():
        yield _row(prefix + name, "body", value, "", required=name in required)
        nested = value.get("items", value)
        yield from _fields(nested, f"{prefix}{name}.")


def _row(
    name: str, where: str, schema: Json, meaning: str, *, required: bool = True, more: str = ""
) -> Row:
    meaning = schema.get("description") or meaning
    said = [_escaped(meaning), more, *_limits(schema)]
    return Row(name, where, _type(schema), " ".join(filter(None, said)), required)


def _type(schema: Json) -> str:
    if "type" not in schema:
        return " or ".join(map(_type, schema["anyOf"])) if "anyOf" in schema else "string"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    [kind] = [kind for kind in kinds if kind != "null"] or ["null"]
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def _limits(schema: Json) -> Iterable[str]:
    """Return sentences about what a value can be."""
    if "const" in schema:
        yield f"It is ``{schema['const']}``."
    if "enum" in schema:
        yield f"It is {_or([value for value in schema['enum'] if value is not None])}."
    if "minimum" in schema or "maxLength" in schema:
        unit = " characters" if "maxLength" in schema else ""
        least = schema.get("minimum", schema.get("minLength", 0))
        yield f"{least} to {schema.get('maximum', schema.get('maxLength'))}{unit}."
    if isinstance(schema.get("type"), list) and "null" in schema["type"]:
        yield "Can be null."


def _or(values: list[Any]) -> str:
    quoted = [f"``{value}``" for value in values]
    return " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))


def _escaped(text: str) -> str:
    """Return a text in which reStructuredText sees no markup."""
    return re.sub(r"([\\*`|]|_(?!\w))", r"\\\1", text)
