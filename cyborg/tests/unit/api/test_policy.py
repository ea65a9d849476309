"""How policy is asked and changed; who may do what by default is in ``functional/matrix``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from oslo_config import cfg

from cyborg.api.authorization import Authorizer
from cyborg.domain.errors import ConfigurationError
from cyborg.policies import list_rules
from cyborg.tests.unit.api.conftest import build
from cyborg.tests.unit.api.harness import (
    ACCELERATOR_ADMIN,
    ADMIN,
    MANAGER,
    MEMBER,
    NOVA,
    OTHERS,
    READER,
    SYSTEM,
    USER,
    Api,
    Persona,
    text_of,
)
from cyborg.tests.unit.api.rows import (
    BOUND,
    DEVICE,
    INITIAL,
    INSTANCE,
    OTHERS_INITIAL,
)
from cyborg.tests.unit.api.test_accelerator_requests import patch

ARQS = "/v2/accelerator_requests"


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
