"""What devices have from microversion 2.5 on: whether they are there, and whether they work."""

from __future__ import annotations

from typing import Any

import pytest

from cyborg.domain.model import DeviceCondition, Presence
from cyborg.tests.unit.api.harness import ACCELERATOR_ADMIN, MEMBER, Api, fault, text_of
from cyborg.tests.unit.api.rows import DEVICE, DEVICE_OFF
from cyborg.tests.unit.api.test_pages import filters, uuids
from cyborg.tests.unit.api.test_version_2_4 import change

V = "2.5"
NEW = {"presence", "condition", "condition_reason"}
WHY = "It has fallen off the bus."


@pytest.fixture
def api(api: Api) -> Api:
    """The first of two devices is lost; of the second nobody can tell."""
    change(api, "devices", 1, presence="missing", condition="failed", condition_reason=WHY)
    return api


def test_fields(api: Api) -> None:
    shown = [api.get(f"/v2/devices/{uuid}", version=V).json for uuid in (DEVICE, DEVICE_OFF)]
    assert [[each[name] for name in sorted(NEW)] for each in shown] == [
        ["failed", WHY, "missing"],
        ["unmonitored", None, "present"],
    ]
    assert api.get("/v2/devices", version=V).json["devices"] == shown


@pytest.mark.parametrize("version", ["2.0", "2.3", "2.4"])
def test_there_are_none_before(api: Api, version: str) -> None:
    for path in (f"/v2/devices/{DEVICE}", "/v2/devices"):
        answer = api.get(path, version=version).json
        [old, *_] = answer.get("devices", [answer])
        assert not NEW & set(old)
    new = api.get(f"/v2/devices/{DEVICE}", version=V).json
    assert set(new) - set(api.get(f"/v2/devices/{DEVICE}", version="2.4").json) == NEW


@pytest.mark.parametrize("presence", Presence)
@pytest.mark.parametrize("condition", DeviceCondition)
def test_every_value_is_shown(api: Api, presence: Presence, condition: DeviceCondition) -> None:
    change(api, "devices", 2, presence=presence, condition=condition, condition_reason="why")
    shown = api.get(f"/v2/devices/{DEVICE_OFF}", version=V).json
    assert (shown["presence"], shown["condition"]) == (presence.value, condition.value)
    query = f"presence={presence}&condition={condition}&type=GPU"
    assert uuids(api, f"/v2/devices?{query}", version=V) == [DEVICE_OFF]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("presence=missing", [DEVICE]),
        ("presence=present", [DEVICE_OFF]),
        ("presence=suspect", []),
        ("condition=failed", [DEVICE]),
        ("condition=unmonitored", [DEVICE_OFF]),
        ("condition=healthy", []),
        ("presence=missing&condition=failed&status=enabled", [DEVICE]),
        ("presence=missing&condition=unmonitored", []),
        ("presence=missing&hostname=node2", []),
        ("sort=presence", [DEVICE, DEVICE_OFF]),
        ("sort=presence:desc", [DEVICE_OFF, DEVICE]),
        ("sort=condition:desc", [DEVICE_OFF, DEVICE]),
        ("sort=condition,uuid:desc", [DEVICE, DEVICE_OFF]),
        (f"sort=presence:desc&marker={DEVICE_OFF}", [DEVICE]),
    ],
)
def test_filters_and_order(api: Api, query: str, found: list[str]) -> None:
    assert uuids(api, f"/v2/devices?{query}", version=V) == found


@pytest.mark.parametrize(
    "query",
    [
        "presence=",
        "presence=Missing",
        "presence=gone",
        "presence=present,missing",
        "presence=missing&presence=present",
        "condition=",
        "condition=broken",
        "condition=FAILED",
        "condition_reason=why",
        "sort=condition_reason",
        "sort=presence:up",
        "filters.field=sort_key&filters.value=presence",
    ],
)
def test_bad_values(api: Api, query: str) -> None:
    response = api.get(f"/v2/devices?{query}", version=V)
    assert response.status_int == 400
    assert fault(response, coded=True)["code"] == "cyborg.invalid_input"


@pytest.mark.parametrize("version", ["2.0", "2.3", "2.4"])
@pytest.mark.parametrize("name", ["presence", "condition"])
def test_filters_are_not_known_before(api: Api, name: str, version: str) -> None:
    coded = version == "2.4"
    for value in ("present", "healthy", ""):
        response = api.get(f"/v2/devices?{name}={value}", version=version)
        assert response.status_int == 400
        said: Any = fault(response, coded=coded)
        assert said["faultstring"].startswith(f'Unknown argument: "{name}"')


@pytest.mark.parametrize("name", ["presence", "condition"])
def test_the_order_is_not_known_before(api: Api, name: str) -> None:
    response = api.get(f"/v2/devices?sort={name}", version="2.4")
    assert response.status_int == 400
    assert name not in fault(response, coded=True)["faultstring"].split(";")[0]
    for form in filters(("sort_key", name)):
        assert "It can be sorted by" in text_of(api.get(f"/v2/devices?{form}", version="2.3"))


@pytest.mark.parametrize("path", ["/v2/deployables", "/v2/accelerator_requests"])
@pytest.mark.parametrize("query", ["presence=present", "condition=failed", "sort=presence"])
def test_only_devices_have_them(api: Api, path: str, query: str) -> None:
    assert api.get(f"{path}?{query}", version=V).status_int == 400


def test_who_may_see_them(api: Api) -> None:
    path = "/v2/devices?condition=failed"
    assert uuids(api, path, ACCELERATOR_ADMIN, V) == [DEVICE]
    assert api.get(path, MEMBER, version=V).status_int == 403


@pytest.mark.parametrize("query", ["", "?presence=missing", "?condition=failed&sort=presence"])
def test_they_cost_no_statement(api: Api, query: str) -> None:
    with api.statements() as statements:
        api.get(f"/v2/devices{query}", version=V)
    assert len(statements) == 2
