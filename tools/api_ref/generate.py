"""Makes the API reference's tables of what the service says of itself.

``generate.py --output DIRECTORY`` writes ``parameters.yaml``, ``status.yaml`` and
``operations/``, a file an operation, which the pages include below their own words.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import yaml
from documents import Json, Operation, documents, operations
from rows import Row, answer_of, inner, request_rows, response_rows

from cyborg.api import microversions

ROOT = Path(__file__).resolve().parents[2]

#: So are they named in the files.
_MADE = "Made by tools/api_ref of the service's declarations. To make it again: make api-ref"

#: Their order is os-api-ref's.
_PLACES = ("header", "path", "query", "body")


@dataclass(frozen=True)
class Tables:
    """What an operation is described by."""

    operation: Operation
    request: list[Row]
    response: list[Row]

    @property
    def resource(self) -> str:
        """The first segment of the path."""
        return self.operation.slug.split("-")[0]

    def uses(self) -> list[tuple[str, Row]]:
        """Return each row, and of what it is: path, query, request or response."""
        places = [("request" if r.where == "body" else r.where, r) for r in self.request]
        return [*places, *(("response", row) for row in self.response)]


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "api-ref" / "source")
    output: Path = parser.parse_args().output
    found = list(operations(documents()))
    objects = _objects(found)
    tables = [
        Tables(each, request_rows(each, objects.get(_owner(each), {})), response_rows(each))
        for each in found
    ]
    keys = _keys(tables)
    folder = output / "operations"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for each in tables:
        (folder / f"{each.operation.slug}.inc").write_text(_page(each, keys))
    (output / "parameters.yaml").write_text(_parameters(keys))
    (output / "status.yaml").write_text(_statuses(found))


def _owner(operation: Operation) -> str:
    return operation.slug.split("-")[0]


def _objects(found: list[Operation]) -> dict[str, Json]:
    """Return the fields of each resource's objects, from its ``GET …/{uuid}``."""
    return {
        _owner(each): inner(answer_of(each.newest))["properties"]
        for each in found
        if each.slug == f"{_owner(each)}-uuid-get"
    }


def _keys(tables: list[Tables]) -> dict[tuple[str, str, Row], str]:
    """Return resource, place and row to the name in ``parameters.yaml``.

    What is the same everywhere has one name. Else the resource is in it, and if that is not
    enough the operation.
    """
    everywhere: dict[tuple[str, ...], set[Row]] = defaultdict(set)
    for each in tables:
        for place, row in each.uses():
            everywhere[place, row.name].add(row)
            everywhere[place, row.name, each.resource].add(row)
    keys: dict[tuple[str, str, Row], str] = {}
    for each in tables:
        for place, row in each.uses():
            key = f"{row.name.strip('/{}')}_{place}"
            if len(everywhere[place, row.name]) > 1:
                key += f"_{each.resource}"
                if len(everywhere[place, row.name, each.resource]) > 1:
                    key = f"{row.name}_{place}_{each.operation.slug}"
            keys.setdefault((each.resource, place, row), key)
    return keys


def _parameters(keys: dict[tuple[str, str, Row], str]) -> str:
    rows = {key: row for (_, _, row), key in keys.items()}
    ordered = sorted(rows, key=lambda key: (_PLACES.index(rows[key].where), key.lower(), key))
    data = {key: _definition(rows[key]) for key in ordered}
    return f"# {_MADE}\n" + yaml.safe_dump(data, sort_keys=False, width=90)


def _definition(row: Row) -> dict[str, object]:
    definition: dict[str, object] = {
        "description": row.description,
        "in": row.where,
        "required": row.required,
        "type": row.type,
        "min_version": row.min_version,
        "max_version": row.max_version,
    }
    return {name: value for name, value in definition.items() if value != ""}


def _statuses(found: list[Operation]) -> str:
    meanings: dict[int, str] = {}
    for each in found:
        for status, response in each.newest["responses"].items():
            if int(status) >= 400:
                meanings[int(status)] = response["description"]
    meanings |= {
        200: "The answer has what was asked for.",
        201: "It was created; the answer has it.",
        202: "It was accepted. The answer has no body.",
        204: "It was done. The answer has no body.",
    }
    data = {status: {"default": meanings[status]} for status in sorted(meanings)}
    return f"# {_MADE}\n" + yaml.safe_dump(data, sort_keys=False, width=90)


def _page(tables: Tables, keys: dict[tuple[str, str, Row], str]) -> str:
    operation = tables.operation

    def table(rows: list[Row], of_body: str) -> list[str]:
        if not rows:
            return []
        lines = [".. rest_parameters:: parameters.yaml", ""]
        for row in rows:
            place = of_body if row.where == "body" else row.where
            lines.append(f'  - "{row.name}": {keys[tables.resource, place, row]}')
        return [*lines, ""]

    statuses = list(operation.newest["responses"])
    said = operation.newest.get("description", "")
    lines = [
        f".. {_MADE}",
        "",
        f".. rest_method:: {operation.method} {operation.path}",
    ]
    since = next(iter(operation.described))
    if since != microversions.text(microversions.MINIMUM):
        lines.append(f"   min_version: {since}")
    if said:
        lines += ["", re.sub(r"(cyborg:[a-z_:]+)", r"``\1``", said)]
    lines.append("")
    lines += ["Request", "-------", "", *table(tables.request, "request")]
    lines += _samples(operation.slug, ("request.txt", "request.json"))
    lines += ["Response", "--------", ""]
    for kind, wanted in (("success", range(400)), ("error", range(400, 600))):
        codes = [f"  - {status}" for status in statuses if int(status) in wanted]
        if codes:
            lines += [f".. rest_status_code:: {kind} status.yaml", "", *codes, ""]
    lines += table(tables.response, "response")
    lines += _samples(operation.slug, ("response.json",))
    return "\n".join(lines).rstrip() + "\n"


def _samples(slug: str, endings: tuple[str, ...]) -> list[str]:
    names = [f"{slug}-{ending}" for ending in endings]
    found = [name for name in names if (ROOT / "api-ref/source/samples" / name).exists()]
    if not found:
        return []
    lines = ["Example:", ""]
    for name in found:
        language = "json" if name.endswith(".json") else "text"
        lines += [f".. literalinclude:: samples/{name}", f"   :language: {language}", ""]
    return lines


if __name__ == "__main__":
    main()
