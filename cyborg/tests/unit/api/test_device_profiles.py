"""Device profiles."""

from __future__ import annotations

import pytest

from cyborg.domain.errors import DeviceProfileInUse, RemoteError
from cyborg.domain.model import DeviceProfile
from cyborg.tests.unit.api.harness import NOW, Api, fault, text_of
from cyborg.tests.unit.api.rows import GROUPS, PROFILE, UNKNOWN, UNUSED_PROFILE

PATH = "/v2/device_profiles"
TIME = "2026-11-22T23:45:18.339187+00:00"
WIRE = {
    "uuid": PROFILE,
    "name": "fpga",
    "description": None,
    "groups": GROUPS,
    "links": [{"href": f"http://localhost{PATH}/{PROFILE}", "rel": "self"}],
    "created_at": TIME,
    "updated_at": None,
}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["fpga", "unused"]),
        ("?name=fpga", ["fpga"]),
        ("?name=unused,fpga,none", ["fpga", "unused"]),
        ("?name=none", []),
        ("?name=", []),
        ("?name=FPGA", []),
    ],
)
def test_list(api: Api, query: str, names: list[str]) -> None:
    with api.statements() as statements:
        found = api.get(PATH + query).json["device_profiles"]
    assert [profile["name"] for profile in found] == names
    assert len(statements) == 1
    if "fpga" in names:
        assert found[0] == WIRE


@pytest.mark.parametrize("segment", [PROFILE, PROFILE.replace("-", ""), "fpga"])
def test_show(api: Api, segment: str) -> None:
    with api.statements() as statements:
        response = api.get(f"{PATH}/{segment}", version="2.2")
    assert response.json == {"device_profile": WIRE}
    assert len(statements) == 1


@pytest.mark.parametrize("segment", [UNKNOWN, "none", "x" * 300])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_unknown(api: Api, segment: str, method: str) -> None:
    response = api.request(method, f"{PATH}/{segment}", version="2.3")
    assert response.status_int == 404
    fault(response)
    assert api.conductor.calls == []


def test_create(api: Api) -> None:
    made = DeviceProfile(3, UNKNOWN, "new", "text", tuple(GROUPS), NOW, None)
    api.conductor.answers["create_device_profile"] = made
    groups = [{"resources:FPGA": 2, "accel:x": 1.7}]
    body = [{"name": "new", "groups": groups, "description": "text", "links": [], "id": 7}]
    with api.statements() as statements:
        response = api.request("POST", PATH, body=body)
    assert response.status_int == 201
    assert response.json["uuid"] == UNKNOWN
    assert response.json["groups"] == GROUPS
    assert response.json["description"] == "text"
    sent = {"name": "new", "groups": groups, "description": "text", "uuid": None}
    assert api.conductor.calls == [("create_device_profile", sent)]
    assert statements == []


def test_create_with_uuid_and_without_description(api: Api) -> None:
    api.conductor.answers["create_device_profile"] = DeviceProfile(
        3, UNKNOWN, "new", None, tuple(GROUPS), NOW, None
    )
    body = [{"name": "new", "groups": GROUPS, "uuid": "9" * 32, "description": None}]
    assert api.request("POST", PATH, body=body).status_int == 201
    sent = {"name": "new", "groups": GROUPS, "description": None, "uuid": UNKNOWN}
    assert api.conductor.calls == [("create_device_profile", sent)]


@pytest.mark.parametrize(
    "body",
    [
        [],
        [{"name": "a", "groups": GROUPS}, {"name": "b", "groups": GROUPS}],
        {"name": "a", "groups": GROUPS},
        [{"groups": GROUPS}],
        [{"name": "a"}],
        [{"name": "a", "groups": GROUPS, "uuid": "x"}],
        [{"name": "a", "groups": GROUPS, "uuid": 5}],
        [{"name": "a", "groups": GROUPS, "description": 5}],
    ],
)
def test_create_refused(api: Api, body: object) -> None:
    response = api.request("POST", PATH, body=body)
    assert response.status_int == 400
    fault(response)
    assert api.conductor.calls == []


@pytest.mark.parametrize("segment", [UNUSED_PROFILE, "unused"])
def test_delete(api: Api, segment: str) -> None:
    """By name at every version, as deployed clients do."""
    with api.statements() as statements:
        response = api.request("DELETE", f"{PATH}/{segment}")
    assert (response.status_int, response.body) == (204, b"")
    assert api.conductor.calls == [("delete_device_profiles", [UNUSED_PROFILE])]
    assert len(statements) == 1


def test_delete_in_use(api: Api) -> None:
    api.conductor.answers["delete_device_profiles"] = RemoteError(
        "in use", DeviceProfileInUse.code, 409
    )
    assert api.request("DELETE", f"{PATH}/fpga").status_int == 409


def test_delete_by_names(api: Api) -> None:
    with api.statements() as statements:
        response = api.request("DELETE", f"{PATH}?value=unused,fpga,unused")
    assert response.status_int == 204
    assert api.conductor.calls == [("delete_device_profiles", [PROFILE, UNUSED_PROFILE])]
    assert len(statements) == 1


def test_delete_by_names_all_or_none(api: Api) -> None:
    response = api.request("DELETE", f"{PATH}?value=fpga,none")
    assert response.status_int == 404
    assert "none" in text_of(response)
    assert api.conductor.calls == []


@pytest.mark.parametrize("query", ["", "?value=", "?value=a,,b", "/", "?name=fpga"])
def test_delete_without_names(api: Api, query: str) -> None:
    assert api.request("DELETE", PATH + query).status_int == 400
    assert api.conductor.calls == []
