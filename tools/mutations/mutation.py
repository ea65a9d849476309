"""Mutations as they are written down: a patch, with what it breaks and who must notice.

A mutation is a file NAME.patch: a header, then what "git diff" prints. The header has three kinds
of lines, and a line that begins with a space goes on with the one before it::

    Promise: the promise that it breaks, in one sentence (once)
    Tests: what pytest is given, paths, nodes and one -k (once or several times, run in order)
    Seed: the seed with which a long run of the model of hardware finds it (once, or not at all)
"""

from __future__ import annotations

import argparse
import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


class Unusable(Exception):
    """A mutation, or the tree, cannot be tried; says why, in detail after the first line."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Tests as pytest is asked for them."""

    paths: tuple[str, ...]
    expression: str | None

    def arguments(self) -> list[str]:
        """Return them as pytest's arguments."""
        return [*self.paths, *(() if self.expression is None else ("-k", self.expression))]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A patch, which promise it breaks, and the tests that must notice."""

    path: Path
    promise: str
    tests: tuple[Selection, ...]
    #: None where the model of hardware cannot see it.
    seed: int | None = None

    @property
    def name(self) -> str:
        """Return what it is called by."""
        return self.path.stem


def read_all(folder: Path, names: Sequence[str]) -> list[Mutation]:
    """Return these mutations of a folder in the order of their names, all if there is no name.

    :raises Unusable: if one is not there, or has not the form that is described above.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.patch"))}
    if unknown := set(names) - set(paths):
        raise Unusable(f"no such mutation: {', '.join(sorted(unknown))}")
    return [_read(path) for name, path in paths.items() if not names or name in names]


def together(mutations: Iterable[Mutation]) -> list[Selection]:
    """Return the tests of all mutations in as few runs as their expressions allow."""
    paths: dict[str | None, dict[str, None]] = defaultdict(dict)
    for mutation in mutations:
        for selection in mutation.tests:
            paths[selection.expression].update(dict.fromkeys(selection.paths))
    return [Selection(tuple(of_one), expression) for expression, of_one in paths.items()]


def _read(path: Path) -> Mutation:
    head, _, diff = path.read_text().partition("\ndiff --git ")
    if not diff:
        raise Unusable(f"{path.name}: no header, or no 'diff --git' after it")
    fields: dict[str, list[str]] = defaultdict(list)
    for line in head.replace("\n ", " ").splitlines():
        key, _, value = line.partition(": ")
        if key in ("Promise", "Tests", "Seed") and value.strip():
            fields[key].append(" ".join(value.split()))
        elif line.strip():
            raise Unusable(f"{path.name}: not 'Promise: …', 'Tests: …' or 'Seed: …': {line!r}")
    if len(fields["Promise"]) != 1 or not fields["Tests"]:
        raise Unusable(f"{path.name}: it needs one 'Promise:' and at least one 'Tests:'")
    seeds = fields["Seed"]
    if len(seeds) > 1 or not all(each.isdecimal() for each in seeds):
        raise Unusable(f"{path.name}: 'Seed:' is one whole number")
    tests = tuple(_selection(path, text) for text in fields["Tests"])
    return Mutation(path, fields["Promise"][0], tests, int(seeds[0]) if seeds else None)


def _selection(path: Path, text: str) -> Selection:
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("-k", dest="expression")
    try:
        given, unknown = parser.parse_known_args(shlex.split(text))
    except (ValueError, argparse.ArgumentError, SystemExit):
        unknown = [text]
    if unknown:
        raise Unusable(f"{path.name}: 'Tests:' takes paths, nodes and one -k, not {text!r}")
    return Selection(tuple(given.paths), given.expression)
