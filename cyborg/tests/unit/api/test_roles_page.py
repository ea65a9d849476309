"""The policies that the page about roles offers: what each opens and closes, and nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import cyborg
from cyborg.tests.unit.api.conftest import build
from cyborg.tests.unit.api.harness import Api, Persona
from cyborg.tests.unit.api.rows import DIRECT, INITIAL
from cyborg.tests.unit.api.test_accelerator_requests import patch
from cyborg.tests.unit.api.test_policy import ARQS, MATRIX, PERSONAS

PAGE = Path(cyborg.__file__).parents[1] / "doc/source/admin/roles.rst"
BLOCK = re.compile(
    r"^\.\. code-block:: yaml\n   :name: (?P<name>\S+)\n\n(?P<text>(?:   .+\n)+)", re.MULTILINE
)
SNIPPETS = {found["name"]: found["text"] for found in BLOCK.finditer(PAGE.read_text())}

CREATE = {("POST", ARQS)}
DELETE_UNBOUND = {("DELETE", f"{ARQS}/{INITIAL}"), ("DELETE", f"{ARQS}?arqs={INITIAL}")}
#: Of an ARQ that is not bound, and of one that no service has bound.
BIND = {("PATCH", ARQS)}
#: And to program them.
READ_DEVICES = {
    (method, path)
    for method, path, *_ in MATRIX
    if path.split("/")[2] in ("devices", "deployables", "attributes")
    and (method == "GET" or path.endswith("/program"))
}

Changes = dict[str, set[tuple[str, str]]]

#: By snippet, what each persona may do with it and not without it, and the other way round.
EXPECTED: dict[str, tuple[Changes, Changes]] = {
    "members-ask": (
        {
            "member": CREATE | DELETE_UNBOUND,
            "false service": CREATE | DELETE_UNBOUND,  # a member
            "other member": CREATE,
        },
        {},
    ),
    "roles-only": (
        {},
        {
            "manager": CREATE | DELETE_UNBOUND | BIND | READ_DEVICES,
            "admin": CREATE | DELETE_UNBOUND | BIND,
            "admin elsewhere": CREATE,
        },
    ),
    "project-administrators-ask": (
        {},
        {"manager": BIND | READ_DEVICES, "admin": BIND},
    ),
    "not-managers": (
        {},
        {"manager": CREATE | DELETE_UNBOUND | BIND | READ_DEVICES},
    ),
}


def changed(api: Api, folder: Path, text: str) -> Api:
    """Return the API with a policy file, which is of the operator's own hand."""
    file = folder / "policy.yaml"
    file.write_text(text)
    api.conf.set_override("policy_file", str(file), "oslo_policy")
    return build(api.conf, api.database, api.conductor)


def allowed(api: Api, method: str, path: str, body: object, persona: Persona) -> bool:
    # The conductor, which stands in, makes nothing: what is allowed may end as a 500.
    status = api.request(method, path, persona, body=body).status_int
    return status not in (403, 404)


def test_every_block_of_the_page_is_tested() -> None:
    assert set(SNIPPETS) == set(EXPECTED)
    assert PAGE.read_text().count("code-block:: yaml") == len(SNIPPETS)


@pytest.mark.parametrize("name", SNIPPETS)
def test_what_a_policy_opens_and_closes(api: Api, tmp_path: Path, name: str) -> None:
    after = changed(api, tmp_path, SNIPPETS[name])
    opened: Changes = {}
    closed: Changes = {}
    for method, path, body, expected in MATRIX:
        for who, persona in PERSONAS.items():
            now = allowed(after, method, path, body, persona)
            if now != (expected[who] == 0):
                (opened if now else closed).setdefault(who, set()).add((method, path))
    assert (opened, closed) == EXPECTED[name]


@pytest.mark.parametrize("name", SNIPPETS)
def test_nova_boots_for_everybody_all_the_same(api: Api, tmp_path: Path, name: str) -> None:
    after = changed(api, tmp_path, SNIPPETS[name])
    for who in ("nova", "nova for another"):
        for method, path, body, expected in MATRIX:
            if expected[who] == 0:
                assert allowed(after, method, path, body, PERSONAS[who]), (who, method, path)


@pytest.mark.parametrize("name", ["roles-only", "project-administrators-ask", "not-managers"])
def test_whom_it_is_taken_from_neither_binds_nor_unbinds(
    api: Api, tmp_path: Path, name: str
) -> None:
    after = changed(api, tmp_path, SNIPPETS[name])
    for body in (patch(INITIAL), patch(DIRECT, op="remove")):
        answers = {
            who: after.request("PATCH", ARQS, PERSONAS[who], body=body).status_int
            for who in ("manager", "accelerator_admin")
        }
        assert answers == {"manager": 403, "accelerator_admin": 202}


def test_the_role_alone_reads_neither_requests_nor_profiles(api: Api) -> None:
    persona = Persona(("accelerator_admin", "accelerator_user"))
    assert api.get("/v2/devices", persona).status_int == 200
    assert api.get(ARQS, persona).status_int == 403
    assert api.get("/v2/device_profiles", persona).status_int == 403


@pytest.mark.parametrize("scope", [{}, {"X-Domain-Id": "default"}])
def test_without_a_project_no_request_is_seen(api: Api, scope: dict[str, str]) -> None:
    persona = Persona(("manager", "member", "reader", "accelerator_admin"), None)
    assert api.request("GET", ARQS, persona, headers=scope).status_int == 403
    assert api.request("GET", f"{ARQS}/{INITIAL}", persona, headers=scope).status_int == 404


def test_a_change_counts_from_the_next_request_on(api: Api, tmp_path: Path) -> None:
    after = changed(api, tmp_path, SNIPPETS["roles-only"])
    assert after.get("/v2/devices", PERSONAS["manager"]).status_int == 403
    file = tmp_path / "policy.yaml"
    file.write_text("{}\n")
    later = file.stat().st_mtime + 5
    os.utime(file, (later, later))
    assert after.get("/v2/devices", PERSONAS["manager"]).status_int == 200
