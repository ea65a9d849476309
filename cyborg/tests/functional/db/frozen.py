"""Databases of earlier releases, frozen: their rows, and what was answered from them.

Each is a JSON file in ``data``, with the script beside it that made it with the code of that
release. Reading it needs nothing of that release.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cyborg.conductor.environment import Environment
from cyborg.db import schema
from cyborg.db.providers import recorded_providers
from cyborg.db.tables import deployables, metadata
from cyborg.db.types import UtcDateTime, database_now
from cyborg.tests.functional.in_process import ARQS, Service

FOLDER = Path(__file__).parent / "data"

#: Times that are compared with the present. They are kept as seconds from it: what was over
#: when it was frozen is over when it is loaded, and what was not is not.
_MOVING = frozenset({"leased_until", "deadline", "leftover_since", "begun_at"})

_LISTS = ("devices", "deployables", "attributes", "device_profiles", "accelerator_requests")


@dataclass(frozen=True, slots=True)
class Frozen:
    """A database of an earlier release."""

    #: The commit whose code wrote it, and the version of its schema.
    commit: str
    revision: str
    #: What it was made for: a name to the uuid of an ARQ or a deployable.
    names: Mapping[str, str]
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    #: What that code told Placement, and answered to reading requests.
    providers: Mapping[str, Any]
    answers: Mapping[str, Any]

    def load(self, engine: sa.Engine) -> None:
        """Make the schema of that time in an empty database, with the rows in it."""
        schema.upgrade(engine, self.revision)
        old = sa.MetaData()
        old.reflect(engine)
        with engine.begin() as connection:
            for table in old.sorted_tables:
                for row in self.rows.get(table.name, ()):
                    connection.execute(table.insert().values(_values(table, row)))
                if engine.dialect.name == "postgresql" and "id" in table.columns:
                    count_on(connection, table)


def read(commit: str) -> Frozen:
    """Return the database that a commit has left."""
    return Frozen(**json.loads((FOLDER / f"{commit}.json").read_text()))


def write(env: Environment, commit: str, names: Mapping[str, str]) -> None:
    """Freeze the database of a conductor, on whose code this runs."""
    with env.database.engine.connect() as connection:
        revision = schema.version(connection)
        assert revision is not None
        rows = {table.name: _frozen(connection, table) for table in metadata.sorted_tables}
    frozen = Frozen(commit, revision, names, rows, providers(env), answers(env))
    text = _readable(dataclasses.asdict(frozen))
    (FOLDER / f"{commit}.json").write_text(f"{text}\n")


def count_on(connection: sa.Connection, table: sa.Table) -> None:
    """Let PostgreSQL give the next row an id of its own."""
    sequence = sa.func.pg_get_serial_sequence(table.name, "id")
    newest = sa.select(sa.func.coalesce(sa.func.max(table.c.id), 1)).scalar_subquery()
    connection.execute(sa.select(sa.func.setval(sequence, newest)))


def answers(env: Environment) -> dict[str, Any]:
    """Return what every reading request is answered in microversion 2.4, to an administrator.

    Of lists that have a query the uuids, in order; of a refusal the status.
    """
    service = Service(env)
    result: dict[str, Any] = {}

    def ask(path: str) -> Any:
        answer = service.ask("GET", path, OpenStack_API_Version="accelerator 2.4")
        result[path] = answer.json if answer.status_int == 200 else answer.status_int
        return result[path]

    for name in _LISTS:
        ask(f"/v2/{name}")
    for part in result["/v2/deployables"]["deployables"]:
        ask(f"/v2/deployables/{part['uuid']}/attach_handles")
    arqs = result[ARQS]["arqs"]
    queries = {f"state={arq['state']}" for arq in arqs} | {"bind_state=resolved", "sort=state"}
    # As Nova asks.
    instances = {arq["instance_uuid"] for arq in arqs if arq["instance_uuid"]}
    queries |= {f"instance={instance}&bind_state=resolved" for instance in instances}
    for path in (f"{ARQS}?{query}" for query in sorted(queries)):
        if isinstance(ask(path), dict):
            result[path] = [arq["uuid"] for arq in result[path]["arqs"]]
    service.database.dispose()
    return result


def providers(env: Environment) -> dict[str, Any]:
    """Return what Placement should hear of each provider; its ``unavailable`` is reserved."""
    with env.database.reader() as connection:
        uuids = list(connection.scalars(sa.select(deployables.c.rp_uuid)))
        found = recorded_providers(connection, uuids)
    return {
        one.name: {"total": one.total, "unavailable": one.unavailable, "offered": one.offered}
        for one in sorted(found.values(), key=lambda one: one.name)
    }


def _values(table: sa.Table, row: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(row) - set(table.columns.keys())
    assert not unknown, f"{table.name} has no {unknown}"
    return {column.name: _thawed(column, row.get(column.name)) for column in table.columns}


def _thawed(column: sa.Column[Any], value: Any) -> Any:
    if isinstance(value, dict):
        return sa.type_coerce(database_now(value["now"]), column.type)
    if isinstance(column.type, sa.DateTime) and value is not None:
        return datetime.datetime.fromisoformat(value)
    return value


def _frozen(connection: sa.Connection, table: sa.Table) -> list[dict[str, Any]]:
    """Return a table's rows without what is NULL."""
    now = connection.scalar(sa.select(database_now()))
    assert now is not None
    result = []
    for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns)):
        values = {}
        for column in table.columns:
            value = row._mapping[column]
            if isinstance(column.type, UtcDateTime) and value is not None:
                moving = column.name in _MOVING
                seconds = round((value - now).total_seconds())
                value = {"now": seconds} if moving else value.replace(tzinfo=None).isoformat()
            if value is not None:
                values[column.name] = value
        result.append(values)
    return result


def _readable(value: Any, depth: int = 0) -> str:
    """Return JSON with one row, or one thing that was answered, on a line."""
    indent = "\n" + " " * depth
    if isinstance(value, dict) and depth < 3:
        lines = [f"{json.dumps(key)}: {_readable(item, depth + 1)}" for key, item in value.items()]
        return f"{{{indent} {f',{indent} '.join(lines)}{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        lines = [json.dumps(item) for item in value]
        return f"[{indent} {f',{indent} '.join(lines)}{indent}]"
    return json.dumps(value)
