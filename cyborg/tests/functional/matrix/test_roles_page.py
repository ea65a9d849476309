"""The policies that the page about roles offers: what each opens and closes, and nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import cyborg
from cyborg.tests.functional.matrix.harness import World
from cyborg.tests.functional.matrix.table import the_table

PAGE = Path(cyborg.__file__).parents[1] / "doc/source/admin/roles.rst"
BLOCK = re.compile(
    r"^\.\. code-block:: yaml\n   :name: (?P<name>\S+)\n\n(?P<text>(?:   .+\n)+)", re.MULTILINE
)
SNIPPETS = {found["name"]: found["text"] for found in BLOCK.finditer(PAGE.read_text())}

TABLE = the_table()
#: What somebody may do, and not everybody.
CASES = [
    case
    for case in TABLE.cases
    if case.expected["no token"] == 401 and min(case.expected.values()) < 300
]
#: The others have no token or no project, or are the same as one of these.
PEOPLE = [
    name
    for name, persona in TABLE.personas.items()
    if persona.sees != "nobody" and not persona.forged and persona.kind == "valid"
]

ARQS = "/v2/accelerator_requests"
ASK = (f"POST {ARQS}", f"DELETE {ARQS}")
BIND = (f"PATCH {ARQS}",)
PROGRAM = ("PATCH /v2/deployables",)
SEE_DEVICES = ("GET /v2/devices", "GET /v2/deployables", "GET /v2/attributes")

Changes = dict[str, set[str]]


def may(name: str, *routes: str) -> set[str]:
    """Return what a persona may do by default: cases of routes that begin so."""
    return {
        case.title for case in CASES if case.route.startswith(routes) and case.expected[name] < 300
    }


#: By snippet, what each persona may do with it and not without it, and the other way round.
EXPECTED: dict[str, tuple[Changes, Changes]] = {
    "members-ask": (
        {
            "member": may("accelerator_user", *ASK),
            "other member": may("other accelerator_admin", *ASK),
        },
        {},
    ),
    "roles-only": (
        {},
        {
            "manager": may("manager", *ASK, *BIND, *PROGRAM, *SEE_DEVICES),
            "other manager": may("other manager", *ASK, *BIND, *PROGRAM, *SEE_DEVICES),
            "admin of mine": may("admin of mine", *ASK, *BIND),
            "admin": may("admin", *ASK),
        },
    ),
    "project-administrators-ask": (
        {},
        {
            "manager": may("manager", *BIND, *PROGRAM, *SEE_DEVICES),
            "other manager": may("other manager", *BIND, *PROGRAM, *SEE_DEVICES),
            "admin of mine": may("admin of mine", *BIND),
        },
    ),
    "not-managers": (
        {},
        {
            "manager": may("manager", *ASK, *BIND, *PROGRAM, *SEE_DEVICES),
            "other manager": may("other manager", *ASK, *BIND, *PROGRAM, *SEE_DEVICES),
        },
    ),
}


def test_every_block_of_the_page_is_tested() -> None:
    assert set(SNIPPETS) == set(EXPECTED)
    assert PAGE.read_text().count("code-block:: yaml") == len(SNIPPETS)


@pytest.mark.parametrize("name", SNIPPETS)
def test_what_a_policy_opens_and_closes(world: World, tmp_path: Path, name: str) -> None:
    """Nova boots for everybody all the same: of its rights none is among the changes."""
    (tmp_path / "policy.yaml").write_text(SNIPPETS[name])
    opened: Changes = {}
    closed: Changes = {}
    with world.policy(tmp_path / "policy.yaml"):
        for case in CASES:
            for who in PEOPLE:
                status = world.try_case(case, TABLE.personas[who]).status_int
                # With 404 something may be deleted, too: what exists for the caller.
                if status != 403 and case.method != "GET":
                    world.restore()
                now = status < 300
                if now != (case.expected[who] < 300):
                    (opened if now else closed).setdefault(who, set()).add(case.title)
    assert (opened, closed) == EXPECTED[name]


def test_a_change_counts_from_the_next_request_on(world: World, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(SNIPPETS["roles-only"])
    manager = world.headers(TABLE.personas["manager"])
    with world.policy(file):
        assert world.ask("GET", "/v2/devices", manager).status_int == 403
        file.write_text("{}\n")
        later = file.stat().st_mtime + 5
        os.utime(file, (later, later))
        assert world.ask("GET", "/v2/devices", manager).status_int == 200
