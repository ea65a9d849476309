"""Reading ``matrix.yaml``: who there is, and what each gets of each request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("matrix.yaml")

_CASE = frozenset({"uuid", "path", "query", "bind", "unbind", "values", "body", "version"})
_EFFECT = frozenset({"else", "effect"})


class TableError(Exception):
    """The table contradicts itself, or says too little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """A kind of caller. Tokens are Keystone's."""

    #: Of the token; None: there is none.
    user: str | None = None
    #: Of the token: ``unscoped``, ``domain`` or ``system``; None: the user's own project.
    scope: str | None = None
    #: Of token: ``valid``, ``expired``, ``revoked`` or ``invented``.
    kind: str = "valid"
    #: Whose token is X-Service-Token; ``invented`` is nobody's.
    service: str | None = None
    #: Whether there are headers, too, that only keystonemiddleware may set.
    forged: bool = False
    #: Whose accelerator requests exist for this one: an owner, ``everybody`` or ``nobody``.
    sees: str = "nobody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request, and the status of the answer by persona."""

    route: str
    number: int
    request: Mapping[str, Any]
    expected: Mapping[str, int]
    #: After whose requests the database is another.
    effect: frozenset[str]

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.route.split()[0]

    @property
    def path(self) -> str:
        """The path, with placeholders."""
        path = str(self.request.get("path", self.route.split()[1]))
        if "uuid" in self.request:
            path = path.replace("{uuid}", f"<{self.request['uuid']}>", 1)
        return path + (f"?{self.request['query']}" if "query" in self.request else "")

    @property
    def title(self) -> str:
        """What the test is called."""
        return f"{self.route}-{self.number}"

    def one_of_each_status(self) -> Iterator[str]:
        """Return for each status a persona that gets it."""
        first = {status: name for name, status in reversed(list(self.expected.items()))}
        yield from first.values()


@dataclass(frozen=True, slots=True)
class Table:
    """All of it."""

    personas: Mapping[str, Persona]
    #: By route: method and path, as the API declares them.
    routes: Mapping[str, tuple[Case, ...]]
    #: What is no route.
    elsewhere: tuple[Case, ...]

    @property
    def cases(self) -> list[Case]:
        """Every case of every route."""
        return [case for cases in self.routes.values() for case in cases]


@cache
def the_table() -> Table:
    """Return the table in the file."""
    return parse(FILE.read_text(encoding="utf-8"))


def parse(text: str) -> Table:
    """Return the table in a text.

    :raises TableError: a case says nothing of a persona, or two things; or a name is unknown.
    """
    data = yaml.load(text, _Loader)  # noqa: S506 -- a SafeLoader that refuses a key twice
    personas = {name: Persona(**values) for name, values in data["personas"].items()}
    people = _People(personas, data["groups"])
    routes = {
        route: tuple(
            _case(people, route, number, case, data["always"])
            for number, case in enumerate(cases, start=1)
        )
        for route, cases in data["routes"].items()
    }
    elsewhere = [
        _case(people, route, 1, case, data["always"]) for route, case in data["elsewhere"].items()
    ]
    return Table(personas, routes, tuple(elsewhere))


def _case(
    people: _People, route: str, number: int, data: Mapping[Any, Any], always: Mapping[int, Any]
) -> Case:
    where = f"{route}, case {number}"
    statuses = {key: value for key, value in data.items() if isinstance(key, int)}
    request = {key: data[key] for key in _CASE & data.keys()}
    if unknown := data.keys() - statuses.keys() - _CASE - _EFFECT:
        raise TableError(f"{where}: {', '.join(map(str, unknown))} means nothing")
    expected: dict[str, int] = {}
    for status, names in statuses.items():
        for name in people.of(names):
            if name in expected:
                raise TableError(f"{where}: {name} gets {expected[name]} and {status}")
            expected[name] = status
    for status, names in always.items():
        for name in people.of(names):
            expected.setdefault(name, status)
    for name in people.personas.keys() - expected.keys():
        if "else" not in data:
            raise TableError(f"{where}: nothing is said of {name}")
        expected[name] = data["else"]
    ordered = {name: expected[name] for name in people.personas}
    if "effect" in data:
        effect = people.of(data["effect"])
    else:
        effect = [name for name in ordered if ordered[name] < 300 and not route.startswith("GET ")]
    return Case(
        route=route, number=number, request=request, expected=ordered, effect=frozenset(effect)
    )


class _People:
    """Personas and groups of them, by name."""

    def __init__(self, personas: Mapping[str, Persona], groups: Mapping[str, Any]) -> None:
        self.personas = personas
        self._groups = groups
        for name in groups.keys() & personas.keys():
            raise TableError(f"{name} is a persona and a group")

    def of(self, names: str | list[str]) -> list[str]:
        """Return the personas of groups and personas; of a group's sum, each once."""
        found: dict[str, None] = {}
        for name in [names] if isinstance(names, str) else names:
            if name in self.personas:
                found[name] = None
            elif name in self._groups:
                found |= dict.fromkeys(self.of(self._groups[name]))
            else:
                raise TableError(f"there is no persona or group {name}")
        return list(found)


class _Loader(yaml.SafeLoader):
    """Refuses a key twice, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise TableError(f"{key} is there twice:{node.start_mark}")
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping
