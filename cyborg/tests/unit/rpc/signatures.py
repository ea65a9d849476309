"""The signatures that messages must fit, as a file keeps them from one commit to the next.

Neighbouring releases run at the same time during an upgrade. What one of them may send must fit
the other, so a signature only ever grows, by arguments that may be left out. The file says what
it was in the commit before; :func:`main` lets it move on, where that takes nothing away.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cyborg.agent.endpoint import WORK_USE_CASES
from cyborg.conductor.endpoint import AGENT_USE_CASES, API_USE_CASES

PATH = Path(__file__).with_name("signatures.json")

#: By door. The first parameter of each is not sent.
TABLES: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "of the conductor for the API": API_USE_CASES,
    "of the conductor for agents": AGENT_USE_CASES,
    "of an agent": WORK_USE_CASES,
}

#: Door to method to arguments: ``name``, or ``name=default``.
Signatures = dict[str, dict[str, list[str]]]


def kept() -> Signatures:
    """Return what the file says."""
    found: Signatures = json.loads(PATH.read_text())
    return found


def current() -> Signatures:
    """Return what the code says."""
    return {
        door: {name: _arguments(use_case) for name, use_case in table.items()}
        for door, table in TABLES.items()
    }


def taken_away(before: Signatures, now: Signatures) -> list[str]:
    """Return what somebody of the commit before would miss, a sentence each."""
    found = []
    for door, methods in before.items():
        for method, arguments in methods.items():
            there = now.get(door, {}).get(method)
            if there is None:
                found.append(f"{method} {door} is gone")
                continue
            if there[: len(arguments)] != arguments:
                found.append(f"{method} {door} has {there}, and had {arguments}")
            new = there[len(arguments) :]
            found += [
                f"{method} {door} needs {name}, which nobody sends yet"
                for name in new
                if "=" not in name
            ]
    return found


def main() -> int:
    """Write the code's signatures into the file, unless that takes something away."""
    lost = taken_away(kept(), current())
    for sentence in lost:
        print(sentence, file=sys.stderr)
    if not lost:
        PATH.write_text(json.dumps(current(), indent=2) + "\n")
    return 1 if lost else 0


def _arguments(use_case: Callable[..., Any]) -> list[str]:
    parameters = list(inspect.signature(use_case).parameters.values())[1:]
    return [
        parameter.name
        if parameter.default is parameter.empty
        else f"{parameter.name}={parameter.default!r}"
        for parameter in parameters
    ]


if __name__ == "__main__":
    sys.exit(main())
