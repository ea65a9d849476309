"""Who may do what: the table of the architecture page, row by row."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from oslo_config import cfg

from cyborg.api.authorization import Authorizer
from cyborg.db.tables import devices
from cyborg.domain.errors import ConfigurationError
from cyborg.domain.model import Attribute, DeviceProfile
from cyborg.policies import list_rules
from cyborg.tests.unit.api.conftest import build
from cyborg.tests.unit.api.harness import (
    ACCELERATOR_ADMIN,
    ADMIN,
    ADMIN_ELSEWHERE,
    MANAGER,
    MEMBER,
    NO_ROLE,
    NOVA,
    NOW,
    OTHER_ACCELERATOR_ADMIN,
    OTHER_MEMBER,
    OTHERS,
    READER,
    SERVICE,
    SYSTEM,
    USER,
    Api,
    Persona,
    text_of,
)
from cyborg.tests.unit.api.rows import (
    ATTRIBUTE,
    BOUND,
    DEPLOYABLE,
    DEVICE,
    DIRECT,
    DIRECT_INSTANCE,
    GROUPS,
    INITIAL,
    INSTANCE,
    OTHERS_INITIAL,
    PROFILE,
    STARTED,
    UNKNOWN,
)
from cyborg.tests.unit.api.test_accelerator_requests import patch

PERSONAS = {
    "admin": ADMIN,
    "admin elsewhere": ADMIN_ELSEWHERE,
    "manager": MANAGER,
    "member": MEMBER,
    "reader": READER,
    "accelerator_user": USER,
    "accelerator_admin": ACCELERATOR_ADMIN,
    "service": SERVICE,
    "other member": OTHER_MEMBER,
    "other accelerator_admin": OTHER_ACCELERATOR_ADMIN,
    "no role": NO_ROLE,
    "system scope": SYSTEM,
    "nova": NOVA,
    "nova for another": OTHER_MEMBER.with_service_token(),
    "nova for a reader": READER.with_service_token(),
    "false service": MEMBER.with_service_token("member"),
}

PROGRAM = [{"path": "/program", "op": "replace", "value": [{"image_uuid": UNKNOWN}]}]
ARQS = "/v2/accelerator_requests"
READ_ARQ = ("admin", "manager", "member", "reader", "accelerator_user", "accelerator_admin")
READ_ANY = ("admin elsewhere", "nova", "nova for another", "nova for a reader")
READ_DEVICES = (
    "admin",
    "admin elsewhere",
    "manager",
    "accelerator_admin",
    "other accelerator_admin",
)
SERVICES = ("nova", "nova for another", "nova for a reader")
ADMINS = ("admin", "admin elsewhere")
#: For whom an ARQ of the first project does not exist.
STRANGERS = ("other member", "other accelerator_admin", "system scope")


def verdicts(allowed: tuple[str, ...], hidden: tuple[str, ...] = ()) -> dict[str, int]:
    """Return each persona's expected status: 0 for a success."""
    return {name: 0 if name in allowed else 404 if name in hidden else 403 for name in PERSONAS}


ARQ_READERS = (*READ_ARQ, *READ_ANY, "false service")
CREATORS = (
    "admin",
    "admin elsewhere",
    "manager",
    "accelerator_user",
    "accelerator_admin",
    "other accelerator_admin",
    "service",
    "nova",
    "nova for another",
)
UNBOUND_DELETERS = (
    "admin",
    "manager",
    "accelerator_user",
    "accelerator_admin",
    "service",
    "nova",
    "nova for another",
)
DIRECT_BINDERS = ("admin", "manager", "accelerator_admin", *SERVICES)
PROFILE_READERS = tuple(
    name for name in PERSONAS if name not in ("no role", "service", "system scope")
)

MATRIX = [
    ("POST", ARQS, {"device_profile_name": "fpga"}, verdicts(CREATORS)),
    ("GET", f"{ARQS}/{INITIAL}", None, verdicts(ARQ_READERS, STRANGERS)),
    ("PATCH", ARQS, patch(INITIAL), verdicts(DIRECT_BINDERS, STRANGERS)),
    ("PATCH", ARQS, patch(DIRECT, op="remove"), verdicts(DIRECT_BINDERS, STRANGERS)),
    ("PATCH", ARQS, patch(BOUND), verdicts(SERVICES, STRANGERS)),
    ("PATCH", ARQS, patch(BOUND, op="remove"), verdicts(SERVICES, STRANGERS)),
    ("PATCH", ARQS, patch(INITIAL, BOUND), verdicts(SERVICES, STRANGERS)),
    ("DELETE", f"{ARQS}/{INITIAL}", None, verdicts(UNBOUND_DELETERS, STRANGERS)),
    ("DELETE", f"{ARQS}?arqs={INITIAL}", None, verdicts(UNBOUND_DELETERS, STRANGERS)),
    ("DELETE", f"{ARQS}/{BOUND}", None, verdicts(SERVICES, STRANGERS)),
    ("DELETE", f"{ARQS}?arqs={STARTED}", None, verdicts(SERVICES, STRANGERS)),
    ("DELETE", f"{ARQS}?arqs={INITIAL},{BOUND}", None, verdicts(SERVICES[:2], STRANGERS)),
    ("DELETE", f"{ARQS}/{DIRECT}", None, verdicts(SERVICES, STRANGERS)),
    ("DELETE", f"{ARQS}?instance={INSTANCE}", None, verdicts(SERVICES)),
    ("DELETE", f"{ARQS}?instance={DIRECT_INSTANCE}", None, verdicts(SERVICES)),
    ("DELETE", f"{ARQS}?instance={UNKNOWN}", None, verdicts(SERVICES)),
    ("GET", "/v2/device_profiles", None, verdicts(PROFILE_READERS)),
    ("GET", f"/v2/device_profiles/{PROFILE}", None, verdicts(PROFILE_READERS)),
    ("POST", "/v2/device_profiles", [{"name": "a", "groups": GROUPS}], verdicts(ADMINS)),
    ("DELETE", f"/v2/device_profiles/{PROFILE}", None, verdicts(ADMINS)),
    ("DELETE", "/v2/device_profiles?value=fpga", None, verdicts(ADMINS)),
    ("GET", "/v2/devices", None, verdicts(READ_DEVICES)),
    ("GET", f"/v2/devices/{DEVICE}", None, verdicts(READ_DEVICES)),
    ("POST", f"/v2/devices/{DEVICE}/enable", None, verdicts(ADMINS)),
    ("POST", f"/v2/devices/{DEVICE}/disable", None, verdicts(ADMINS)),
    ("GET", "/v2/deployables", None, verdicts(READ_DEVICES)),
    ("GET", f"/v2/deployables/{DEPLOYABLE}", None, verdicts(READ_DEVICES)),
    ("PATCH", f"/v2/deployables/{DEPLOYABLE}/program", PROGRAM, verdicts(READ_DEVICES)),
    ("GET", "/v2/attributes", None, verdicts(READ_DEVICES)),
    ("GET", f"/v2/attributes/{ATTRIBUTE}", None, verdicts(READ_DEVICES)),
    (
        "POST",
        "/v2/attributes",
        {"deployable_id": 1, "key": "k", "value": "v"},
        verdicts(ADMINS),
    ),
    ("DELETE", f"/v2/attributes/{ATTRIBUTE}", None, verdicts(ADMINS)),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    MATRIX,
    ids=[f"{n}-{row[0]}-{row[1]}" for n, row in enumerate(MATRIX)],
)
def test_matrix(api: Api, method: str, path: str, body: object, expected: dict[str, int]) -> None:
    api.conductor.answers = {
        "create_attribute": Attribute(9, ATTRIBUTE, 1, DEPLOYABLE, "k", "v", NOW, None),
        "create_device_profile": DeviceProfile(3, UNKNOWN, "a", None, tuple(GROUPS), NOW, None),
    }
    found = {}
    for name, persona in PERSONAS.items():
        api.conductor.calls.clear()
        status = api.request(method, path, persona, body=body).status_int
        found[name] = 0 if status < 300 else status
        if found[name] or method == "GET":
            assert api.conductor.calls == [], name
        else:
            assert len(api.conductor.calls) == 1, name
    assert found == expected


def test_only_an_administrator_programs_a_smartnic(api: Api) -> None:
    with api.database.engine.begin() as connection:
        connection.execute(devices.update().where(devices.c.uuid == DEVICE).values(type="NIC"))
    path = f"/v2/deployables/{DEPLOYABLE}/program"
    found = {
        name: api.request("PATCH", path, persona, body=PROGRAM).status_int
        for name, persona in PERSONAS.items()
    }
    assert found == {name: 200 if name in ADMINS else 403 for name in PERSONAS}


def test_whom_a_list_shows_what(api: Api) -> None:
    seen: dict[str, object] = {}
    for name, persona in PERSONAS.items():
        response = api.get(ARQS, persona)
        if response.status_int == 200:
            projects = {arq["project_id"] for arq in response.json["arqs"]}
            seen[name] = "all" if len(projects) > 1 else projects.pop()
        else:
            seen[name] = response.status_int
    mine = (*READ_ARQ[1:], "false service")
    assert seen == {
        **dict.fromkeys(("admin", *READ_ANY), "all"),
        **dict.fromkeys(mine, MEMBER.project),
        **dict.fromkeys(("other member", "other accelerator_admin"), OTHERS),
        **dict.fromkeys(("service", "no role", "system scope"), 403),
    }


@pytest.mark.parametrize("op", ["add", "remove"])
@pytest.mark.parametrize("persona", [MEMBER, USER, ACCELERATOR_ADMIN, ADMIN])
def test_a_missing_service_token_is_named(api: Api, persona: Persona, op: str) -> None:
    response = api.request("PATCH", ARQS, persona, body=patch(BOUND, op=op))
    assert response.status_int == 403
    assert "requires a service token" in text_of(response)
    response = api.request("DELETE", f"{ARQS}?instance={INSTANCE}", persona)
    assert "requires a service token" in text_of(response)


def test_nobody_without_a_project_matches_what_has_none(api: Api) -> None:
    persona = Persona(("reader", "manager", "accelerator_admin"), None)
    assert api.get(ARQS, persona).status_int == 403
    assert api.get(f"{ARQS}/{INITIAL}", persona).status_int == 404


@pytest.mark.parametrize(
    "persona", [SYSTEM, Persona(("admin",), None), Persona((), None).with_service_token()]
)
def test_without_a_project_there_is_no_arq_whatever_the_policy_says(
    api: Api, tmp_path: Path, persona: Persona
) -> None:
    rules = [rule.name for rule in list_rules() if rule.name.startswith("cyborg:arq:")]
    file = tmp_path / "policy.yaml"
    file.write_text("".join(f'"{rule}": "@"\n' for rule in rules))
    api.conf.set_override("policy_file", str(file), "oslo_policy")
    changed = build(api.conf, api.database, api.conductor)
    refused = {
        ("GET", ARQS): 403,
        ("GET", f"{ARQS}/{INITIAL}"): 404,
        ("POST", ARQS): 403,
        ("DELETE", f"{ARQS}/{INITIAL}"): 404,
        ("DELETE", f"{ARQS}?instance={INSTANCE}"): 403,
    }
    for (method, path), status in refused.items():
        body = {"device_profile_name": "fpga"} if method == "POST" else None
        assert changed.request(method, path, persona, body=body).status_int == status, path
        somebody = changed.request(method, path, Persona(()), body=body)
        assert somebody.status_int < 300, "the rules are open"
        api.conductor.calls.clear()
    assert changed.request("PATCH", ARQS, persona, body=patch(INITIAL)).status_int == 404
    assert api.conductor.calls == []


@pytest.mark.parametrize("status", ["Invalid", ""])
def test_a_service_token_counts_only_when_it_was_validated(api: Api, status: str) -> None:
    headers = {"X-Service-Identity-Status": status}
    response = api.request("PATCH", ARQS, NOVA, body=patch(BOUND), headers=headers)
    assert response.status_int == 403


def test_an_administrator_reads_profiles_without_being_a_reader(api: Api) -> None:
    assert api.get("/v2/device_profiles", Persona(("admin",))).status_int == 200


def test_every_rule_is_documented_and_for_projects() -> None:
    rules = {rule.name: rule for rule in list_rules()}
    actions = [rule for name, rule in rules.items() if name.startswith("cyborg:")]
    assert {rule.name.split(":")[1] for rule in actions} == {
        "arq",
        "device_profile",
        "device",
        "deployable",
        "attribute",
    }
    for rule in actions:
        assert rule.scope_types == ["project"]
        assert rule.operations
        assert rule.description
    assert {"service_token", "accelerator_user", "accelerator_admin", "project_admin"} < set(rules)


def test_the_operator_can_change_a_rule(api: Api, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text('"cyborg:device:get_all": "role:reader"\n')
    api.conf.set_override("policy_file", str(policy), "oslo_policy")
    changed = build(api.conf, api.database, api.conductor)
    assert changed.get("/v2/devices", READER).status_int == 200
    assert changed.get(f"/v2/devices/{DEVICE}", READER).status_int == 403


@pytest.mark.parametrize(
    "content",
    [
        b'"cyborg:device:get_all": "role:reader',
        b"- a\n- b\n",
        b": :",
        b'"cyborg:device:get_all": 5',
        b'"cyborg:device:get_all": "\xff"',
        None,
    ],
)
def test_an_unusable_policy_file_stops_the_start(
    conf: cfg.ConfigOpts, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "policy.yaml"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    Authorizer(conf)
    conf.set_override("policy_file", str(file), "oslo_policy")
    with pytest.raises(ConfigurationError) as caught:
        Authorizer(conf)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_policy_file_that_becomes_unusable_changes_nothing(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text('"cyborg:device:get_all": "role:reader"\n')
    api.conf.set_override("policy_file", str(file), "oslo_policy")
    changed = build(api.conf, api.database, api.conductor)

    def write(content: str, seconds: int) -> None:
        file.write_text(content)
        later = file.stat().st_mtime + seconds
        os.utime(file, (later, later))

    assert changed.get("/v2/devices", READER).status_int == 200
    write('"cyborg:device:get_all": "role:', 10)
    for _ in range(3):
        assert changed.get("/v2/devices", READER).status_int == 200
        assert changed.get("/v2/deployables", READER).status_int == 403
    complaints = [r for r in caplog.records if "policy file cannot be used" in r.message]
    assert len(complaints) == 1
    write('"cyborg:device:get_all": "role:nobody"', 20)
    assert changed.get("/v2/devices", READER).status_int == 403


def test_one_bind_has_one_owner(api: Api, tmp_path: Path) -> None:
    """Where the operator lets administrators bind what is not theirs."""
    file = tmp_path / "policy.yaml"
    file.write_text('"cyborg:arq:update": "role:admin"\n')
    api.conf.set_override("policy_file", str(file), "oslo_policy")
    changed = build(api.conf, api.database, api.conductor)
    body = patch(INITIAL, OTHERS_INITIAL)
    assert changed.request("PATCH", ARQS, ADMIN, body=body).status_int == 400
    assert changed.request("PATCH", ARQS, ADMIN, body=patch(OTHERS_INITIAL)).status_int == 202
    assert api.conductor.calls[0][1][1:] == (OTHERS, False)


def test_no_policy_file_is_no_error(conf: cfg.ConfigOpts, tmp_path: Path) -> None:
    Authorizer(conf)
    conf.set_override("policy_file", str(tmp_path / "none.yaml"), "oslo_policy")
    Authorizer(conf)


def test_what_a_user_may_depends_on_how_the_arq_is(api: Api) -> None:
    """The conductor is told what the decision was made on, unless a service decided."""
    for persona, told in ((MANAGER, True), (NOVA, False)):
        api.conductor.generations.clear()
        for op in ("add", "remove"):
            body = patch(INITIAL, op=op)
            assert api.request("PATCH", ARQS, persona, body=body).status_int == 202
        assert api.request("DELETE", f"{ARQS}/{INITIAL}", persona).status_int == 204
        assert api.conductor.generations == [{INITIAL: 1} if told else None] * 3


def test_deleting_by_instance_without_a_service_names_the_arqs(api: Api, tmp_path: Path) -> None:
    """Where the operator lets users do so: what is bound meanwhile is not theirs to delete."""
    file = tmp_path / "policy.yaml"
    file.write_text('"cyborg:arq:delete": "role:manager"\n')
    api.conf.set_override("policy_file", str(file), "oslo_policy")
    changed = build(api.conf, api.database, api.conductor)
    answer = changed.request("DELETE", f"{ARQS}?instance={INSTANCE}", MANAGER)
    assert answer.status_int == 204
    assert api.conductor.calls == [("delete_accelerator_requests", [BOUND])]
    assert api.conductor.generations == [{BOUND: 1}]
