"""The private Keystone and Placement: who is who, what is kept, what is noted."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
import requests

from cyborg.tests.servers import Keystone, Placement, ServerError
from cyborg.tests.servers.keystone import PASSWORD, Scope

# user, project, the roles that the service sees
PEOPLE = [
    ("admin", "admin", {"admin", "manager", "member", "reader"}),
    ("admin", "demo", {"admin", "manager", "member", "reader"}),
    (
        "operator",
        "admin",
        {"admin", "manager", "member", "reader", "accelerator_admin", "accelerator_user"},
    ),
    ("cyborg", "service", {"admin", "manager", "member", "reader", "service"}),
    ("nova", "service", {"admin", "manager", "member", "reader", "service"}),
    ("placement", "service", {"admin", "manager", "member", "reader", "service"}),
    ("svc-only", "service", {"service"}),
    ("demo", "demo", {"member", "reader"}),
    ("demo-reader", "demo", {"reader"}),
    ("demo-manager", "demo", {"manager", "member", "reader"}),
    ("demo-admin", "demo", {"admin", "manager", "member", "reader"}),
    ("demo-admin", "admin", {"admin", "manager", "member", "reader"}),
    ("demo-accelerator-user", "demo", {"accelerator_user"}),
    ("demo-accelerator-admin", "demo", {"accelerator_admin", "accelerator_user"}),
    ("other", "other", {"member", "reader"}),
    ("other-manager", "other", {"manager", "member", "reader"}),
    ("other-accelerator-admin", "other", {"accelerator_admin", "accelerator_user"}),
]


def validated(keystone: Keystone, token: str) -> requests.Response:
    """Ask about a token as services do."""
    headers = {"X-Auth-Token": keystone.token("cyborg"), "X-Subject-Token": token}
    return requests.get(f"{keystone.url}/auth/tokens", headers=headers, timeout=30)


@pytest.fixture(params=["empty_placement", "empty_keystone_placement"])
def some_placement(request: pytest.FixtureRequest) -> Placement:
    """Each of the two."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Placement)
    return found


@pytest.mark.parametrize(("user", "project", "roles"), PEOPLE)
def test_people(keystone: Keystone, user: str, project: str, roles: set[str]) -> None:
    token = validated(keystone, keystone.token(user, project)).json()["token"]
    assert {role["name"] for role in token["roles"]} == roles
    assert token["project"]["id"] == keystone.project_id(project)
    assert token["user"]["id"] == keystone.user_id(user)


def test_tokens_are_for_the_own_project_by_default_and_for_no_foreign_one(
    keystone: Keystone,
) -> None:
    token = validated(keystone, keystone.token("other")).json()["token"]
    assert token["project"]["name"] == "other"
    with pytest.raises(ServerError, match="401"):
        keystone.token("other", "demo")
    assert validated(keystone, "invented").status_code == 404


@pytest.mark.parametrize(
    ("scope", "roles", "known"),
    [
        (Scope.UNSCOPED, set(), set()),
        (Scope.DOMAIN, {"admin", "manager", "member", "reader"}, {"domain"}),
        (Scope.SYSTEM, {"admin", "manager", "member", "reader"}, {"system"}),
    ],
)
def test_tokens_for_no_project(
    keystone: Keystone, scope: Scope, roles: set[str], known: set[str]
) -> None:
    token = validated(keystone, keystone.token("admin", scope)).json()["token"]
    assert {role["name"] for role in token.get("roles", [])} == roles
    assert token.keys() & {"project", "domain", "system"} == known


def test_tokens_that_were_valid(keystone: Keystone) -> None:
    assert validated(keystone, keystone.expired_token("demo")).status_code == 404
    token = keystone.token("demo")
    keystone.revoke(token)
    assert validated(keystone, token).status_code == 404
    assert validated(keystone, keystone.token("demo")).status_code == 200


def test_credentials(keystone: Keystone) -> None:
    assert keystone.credentials("cyborg") == {
        "auth_type": "password",
        "auth_url": keystone.url,
        "username": "cyborg",
        "password": PASSWORD,
        "project_name": "service",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
    }


def test_the_catalogue_names_what_is_registered(keystone: Keystone) -> None:
    keystone.register("accelerator", "cyborg", "http://127.0.0.1:1/v2")
    keystone.register("accelerator", "cyborg", "http://127.0.0.1:2/v2")
    assert keystone.catalogue()["accelerator"] == "http://127.0.0.1:2/v2"
    assert keystone.catalogue()["identity"] == keystone.url
    keystone.unregister("accelerator")
    keystone.unregister("accelerator")
    assert "accelerator" not in keystone.catalogue()


def test_tokens_outlive_a_killed_keystone(keystone: Keystone) -> None:
    token = keystone.token("demo")
    keystone.kill()
    keystone.start()
    assert validated(keystone, token).json()["token"]["user"]["name"] == "demo"


def test_requests_are_noted(keystone: Keystone) -> None:
    keystone.forget_requests()
    token = keystone.token("demo")  # our helpers do not count
    requests.get(
        f"{keystone.url}/auth/catalog?x=1",
        headers={"X-Auth-Token": token, "X-OpenStack-Request-ID": "req-1"},
        timeout=30,
    )
    (noted,) = keystone.requests()
    assert (noted.method, noted.path, noted.status) == ("GET", "/v3/auth/catalog?x=1", 200)
    assert (noted.request_id, noted.version, noted.authenticated) == ("req-1", None, True)
    keystone.forget_requests()
    assert keystone.requests() == []


def test_a_provider_and_all_it_has(some_placement: Placement) -> None:
    placement = some_placement
    root = placement.make_root("compute-1")
    assert placement.traits(root) == {"COMPUTE_ACCELERATORS"}
    assert placement.inventories(root)["MEMORY_MB"]["total"] == 32768

    child = str(uuid4())
    body = {"name": "compute-1_device", "uuid": child, "parent_provider_uuid": root}
    assert placement.ask("POST", "/resource_providers", body).ok
    placement.set_inventory(child, "CUSTOM_QAT", total=4)
    placement.set_inventory(child, "FPGA", total=1)
    placement.set_inventory(child, "CUSTOM_QAT", total=4, reserved=1)
    assert placement.inventories(child)["CUSTOM_QAT"]["reserved"] == 1
    placement.remove_inventory(child, "FPGA")
    assert set(placement.inventories(child)) == {"CUSTOM_QAT"}
    placement.set_traits(child, ["CUSTOM_FAST", "OWNER_CYBORG"])
    placement.set_traits(child, ["OWNER_CYBORG"])
    assert placement.traits(child) == {"OWNER_CYBORG"}
    assert {one["uuid"] for one in placement.tree(child)} == {root, child}
    provider = placement.provider(child)
    assert provider is not None
    assert provider["root_provider_uuid"] == root

    consumer = str(uuid4())
    placement.allocate(consumer, {child: {"CUSTOM_QAT": 1}})
    placement.allocate(consumer, {child: {"CUSTOM_QAT": 3}}, project_id="0" * 32)
    assert placement.allocations(consumer) == {child: {"CUSTOM_QAT": 3}}
    assert placement.usages(child) == {"CUSTOM_QAT": 3}
    assert placement.delete_provider(child) == 409
    with pytest.raises(AssertionError, match="409"):
        placement.allocate(str(uuid4()), {child: {"CUSTOM_QAT": 1}})
    placement.deallocate(consumer)
    assert placement.delete_provider(child) == 204
    assert placement.delete_provider(child) == 404
    assert placement.provider(child) is None


def test_wiping_removes_everything_that_is_not_standard(some_placement: Placement) -> None:
    placement = some_placement
    for _ in range(2):
        root = placement.make_root("compute-1")
        placement.set_inventory(root, "CUSTOM_QAT", total=4)
        placement.set_traits(root, ["CUSTOM_FAST", "HW_CPU_X86_AVX"])
        placement.allocate(str(uuid4()), {root: {"CUSTOM_QAT": 1}})
        provider = placement.provider(root)
        assert provider is not None
        body = {
            "aggregates": [str(uuid4())],
            "resource_provider_generation": provider["generation"],
        }
        assert placement.ask("PUT", f"/resource_providers/{root}/aggregates", body).ok
        placement.wipe()
        assert placement.providers() == []
        assert placement.ask("GET", "/traits/CUSTOM_FAST").status_code == 404
        assert placement.ask("GET", "/resource_classes/CUSTOM_QAT").status_code == 404
        assert placement.ask("GET", "/traits/HW_CPU_X86_AVX").status_code == 204
        assert placement.ask("GET", "/resource_classes/FPGA").status_code == 200


def test_only_administrators_write_behind_a_keystone(
    keystone: Keystone, empty_keystone_placement: Placement
) -> None:
    url = f"{empty_keystone_placement.url}/resource_providers"
    body = {"name": "compute-1"}
    statuses = {}
    for user in ("cyborg", "svc-only", "demo", "demo-admin"):
        headers = {"X-Auth-Token": keystone.token(user)}
        statuses[user] = requests.post(url, json=body, headers=headers, timeout=30).status_code
        empty_keystone_placement.wipe()
    assert statuses == {"cyborg": 201, "svc-only": 201, "demo": 403, "demo-admin": 201}
    assert requests.get(url, timeout=30).status_code == 401
    assert keystone.catalogue()["placement"] == empty_keystone_placement.url


def test_calls_are_counted(empty_placement: Placement) -> None:
    empty_placement.make_root("compute-1")
    headers = {
        "X-Auth-Token": "admin",
        "X-OpenStack-Request-ID": "req-2",
        "OpenStack-API-Version": "placement 1.36",
    }
    url = f"{empty_placement.url}/resource_providers?name=compute-1"
    requests.get(url, headers=headers, timeout=30)
    requests.get(url, timeout=30)
    first, second = empty_placement.requests()
    assert (first.method, first.path) == ("GET", "/resource_providers?name=compute-1")
    assert (first.status, first.request_id, first.authenticated) == (200, "req-2", True)
    assert first.version == "placement 1.36"
    assert (second.status, second.request_id, second.authenticated) == (401, None, False)


def test_a_test_finds_it_whole_after_one_that_killed_or_paused_it(
    placement: Placement, request: pytest.FixtureRequest
) -> None:
    placement.make_root("left-behind")
    placement.pause()
    pids = placement.processes()
    assert all("T (stopped)" in Path(f"/proc/{pid}/status").read_text() for pid in pids)
    fresh = request.getfixturevalue("empty_placement")
    assert isinstance(fresh, Placement)
    assert fresh.providers() == []
    fresh.make_root("compute-2")
    fresh.kill()
    with pytest.raises(requests.ConnectionError):
        fresh.providers()
    fresh.start()
    assert [one["name"] for one in fresh.providers()] == ["compute-2"]
