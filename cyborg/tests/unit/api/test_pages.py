"""Pages, order and filters over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from cyborg.tests.unit.api.harness import (
    ACCELERATOR_ADMIN,
    ADMIN,
    MEMBER,
    MINE,
    NOVA,
    OTHER_MEMBER,
    OTHERS,
    READER,
    SYSTEM,
    Api,
    Persona,
    fault,
    text_of,
)
from cyborg.tests.unit.api.rows import (
    BOUND,
    DEPLOYABLE,
    DEVICE,
    DEVICE_OFF,
    DIRECT,
    INITIAL,
    OTHERS_INITIAL,
    PROFILE,
    STARTED,
    STARTED_TOO,
    UNKNOWN,
    UNUSED_PROFILE,
)

ARQS = "/v2/accelerator_requests"
COLLECTIONS = {
    "/v2/devices": "devices",
    "/v2/deployables": "deployables",
    f"/v2/deployables/{DEPLOYABLE}/attach_handles": "attach_handles",
    "/v2/attributes": "attributes",
    "/v2/device_profiles": "device_profiles",
    ARQS: "arqs",
}
#: Of the caller's project, in the order in which they were made.
MY_ARQS = [INITIAL, BOUND, DIRECT, STARTED, STARTED_TOO]


def uuids(api: Api, path: str, persona: Persona = ADMIN, version: str = "2.4") -> list[str]:
    response = api.get(path, persona, version=version)
    assert response.status_int == 200, response.text
    [key] = [key for key in response.json if not key.endswith("_links")]
    assert next(iter(response.json)) == key
    return [one["uuid"] for one in response.json[key]]


@pytest.mark.parametrize("path", COLLECTIONS)
def test_next_links_lead_through_everything(api: Api, path: str) -> None:
    key = COLLECTIONS[path]
    whole = uuids(api, path)
    seen: list[str] = []
    following: str | None = f"{path}?limit=1&sort=created_at"
    while following is not None:
        response = api.get(following, version="2.4")
        seen += [one["uuid"] for one in response.json[key]]
        links = response.json.get(f"{key}_links")
        assert links is None or [link["rel"] for link in links] == ["next"]
        following = links and "?".join(urlsplit(links[0]["href"])[2:4])
    assert seen == whole


def test_a_link_has_the_query_and_the_prefix(api: Api) -> None:
    api.conf.set_override("public_endpoint", "https://cloud.example.org/accelerator", "api")
    response = api.get(f"{ARQS}?limit=1&state=Bound&sort=uuid:desc", version="2.4")
    assert response.json["arqs_links"] == [
        {
            "rel": "next",
            "href": f"https://cloud.example.org/accelerator{ARQS}"
            f"?limit=1&state=Bound&sort=uuid%3Adesc&marker={STARTED_TOO}",
        }
    ]


@pytest.mark.parametrize("version", ["2.0", "2.3"])
def test_limit_and_marker_before_2_4(api: Api, version: str) -> None:
    response = api.get(f"{ARQS}?limit=2", MEMBER, version=version)
    assert list(response.json) == ["arqs"]
    assert uuids(api, f"{ARQS}?limit=2", MEMBER, version) == MY_ARQS[:2]
    assert uuids(api, f"{ARQS}?limit=2&marker={BOUND}", MEMBER, version) == MY_ARQS[2:4]
    assert uuids(api, f"{ARQS}?marker={STARTED}", MEMBER, version) == MY_ARQS[4:]
    assert uuids(api, f"{ARQS}?marker={STARTED_TOO}", MEMBER, version) == []
    assert text_of(api.get(f"{ARQS}?sort=uuid", version=version)).startswith("Unknown argument")


def test_the_maximum_is_of_2_4(api: Api) -> None:
    api.conf.set_override("max_limit", 2, "api")
    for query in ("", "?limit=3", "?limit=2"):
        response = api.get(f"{ARQS}{query}", MEMBER, version="2.4")
        assert len(response.json["arqs"]) == 2
        assert response.json["arqs_links"]
        assert len(uuids(api, f"{ARQS}?limit=4", MEMBER, "2.3")) == 4
    assert uuids(api, ARQS, MEMBER, "2.3") == MY_ARQS


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "cyborg.invalid_input"),
        ("limit=-1", "cyborg.invalid_input"),
        ("limit=x", "cyborg.invalid_input"),
        ("limit=", "cyborg.invalid_input"),
        ("limit=99999999999", "cyborg.invalid_input"),
        ("limit=\uff11", "cyborg.invalid_input"),  # a wide digit
        ("limit=1&limit=2", "cyborg.invalid_input"),
        ("marker=x", "cyborg.invalid_input"),
        (f"marker={UNKNOWN}", "cyborg.marker_not_found"),
        ("sort=", "cyborg.invalid_input"),
        ("sort=nothing", "cyborg.invalid_input"),
        ("sort=uuid:up", "cyborg.invalid_input"),
        ("sort=uuid,,created_at", "cyborg.invalid_input"),
        ("sort=id", "cyborg.invalid_input"),
    ],
)
@pytest.mark.parametrize("path", COLLECTIONS)
def test_bad_pages(api: Api, path: str, query: str, code: str) -> None:
    response = api.get(f"{path}?{quote(query, safe='=&:,')}", version="2.4")
    assert response.status_int == 400
    assert fault(response, coded=True)["code"] == code


def test_a_marker_that_is_not_the_callers_is_none(api: Api) -> None:
    assert api.get(f"{ARQS}?marker={OTHERS_INITIAL}", MEMBER).status_int == 400
    assert api.get(f"{ARQS}?marker={OTHERS_INITIAL}", ADMIN).status_int == 200


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v2/devices?model=miss%20model%20info&type=GPU", [DEVICE_OFF]),
        ("/v2/devices?status=enabled", [DEVICE]),
        ("/v2/devices?status=maintaining&hostname=node1", []),
        ("/v2/devices?vendor=", [DEVICE, DEVICE_OFF]),
        ("/v2/devices?sort=type:desc,uuid", [DEVICE_OFF, DEVICE]),
        ("/v2/devices?sort=hostname:desc", [DEVICE_OFF, DEVICE]),
        (f"/v2/deployables?device_uuid={DEVICE}", [DEPLOYABLE]),
        (f"/v2/deployables?device_uuid={DEVICE_OFF}", []),
        (f"/v2/deployables?rp_uuid={DEPLOYABLE}&driver_name=fake", [DEPLOYABLE]),
        ("/v2/deployables?driver_name=other", []),
        ("/v2/deployables?resource_class=FPGA", [DEPLOYABLE]),
        ("/v2/deployables?resource_class=GPU", []),
        (f"/v2/attributes?deployable_uuid={DEPLOYABLE}&key=rc", [UNKNOWN[:-1] + "1"]),
        (f"/v2/attributes?deployable_uuid={UNKNOWN}", []),
        ("/v2/device_profiles?resource_class=FPGA", [PROFILE, UNUSED_PROFILE]),
        ("/v2/device_profiles?resource_class=GPU", []),
        ("/v2/device_profiles?trait=CUSTOM_FAKE_DEVICE&name=unused", [UNUSED_PROFILE]),
        ("/v2/device_profiles?sort=name:desc", [UNUSED_PROFILE, PROFILE]),
        (f"{ARQS}?state=Bound", [BOUND, DIRECT, STARTED_TOO]),
        (f"{ARQS}?state=Bound&bind_state=resolved&sort=uuid:desc", [STARTED_TOO, DIRECT, BOUND]),
        (f"{ARQS}?state=BindStarted&bind_state=resolved", []),
        (f"{ARQS}?hostname=node1&state=BindStarted", [STARTED]),
        (f"{ARQS}?hostname=node2", []),
        (f"{ARQS}?project_id={OTHERS}", [OTHERS_INITIAL]),
        (f"{ARQS}?project_id={MINE}", MY_ARQS),
        (f"{ARQS}?device_profile_name=unused", []),
        (f"{ARQS}?device_profile_name=fpga&project_id={OTHERS}", [OTHERS_INITIAL]),
    ],
)
def test_filters(api: Api, path: str, found: list[str]) -> None:
    assert uuids(api, path) == found


@pytest.mark.parametrize(
    "path",
    [
        "/v2/devices?model=x",
        "/v2/devices?status=enabled",
        "/v2/deployables?name=x",
        f"/v2/deployables?device_uuid={DEVICE}",
        f"/v2/attributes?deployable_uuid={DEPLOYABLE}",
        "/v2/device_profiles?trait=CUSTOM_T",
        "/v2/device_profiles?resource_class=FPGA",
        f"{ARQS}?state=Bound",
        f"{ARQS}?hostname=node1",
        f"{ARQS}?project_id={MINE}",
        f"{ARQS}?device_profile_name=fpga",
    ],
)
def test_filters_are_of_2_4(api: Api, path: str) -> None:
    assert api.get(path, version="2.4").status_int == 200
    assert api.get(path, version="2.3").status_int == 400


@pytest.mark.parametrize(
    "path",
    [
        "/v2/devices?status=off",
        f"{ARQS}?state=Deleting",
        f"{ARQS}?state=bound",
        "/v2/device_profiles?trait=x%0A",
        "/v2/device_profiles?resource_class=%25",
        "/v2/deployables?device_uuid=x",
        "/v2/attributes?deployable_id=1",
    ],
)
def test_bad_filters(api: Api, path: str) -> None:
    assert api.get(path, version="2.4").status_int == 400


@pytest.mark.parametrize(
    ("persona", "project", "status"),
    [
        (MEMBER, MINE, 200),
        (READER, MINE, 200),
        (MEMBER, OTHERS, 403),
        (OTHER_MEMBER, MINE, 403),
        (ACCELERATOR_ADMIN, OTHERS, 403),
        (ADMIN, OTHERS, 200),
        (NOVA, OTHERS, 200),
        (SYSTEM, MINE, 403),
    ],
)
def test_of_a_project(api: Api, persona: Persona, project: str, status: int) -> None:
    response = api.get(f"{ARQS}?project_id={project}", persona, version="2.4")
    assert response.status_int == status


def filters(*pairs: tuple[str, str]) -> list[str]:
    """Return the same filters in each form."""
    many = "&".join(
        f"filters[{n}].field={field}&filters[{n}].value={value}"
        for n, (field, value) in enumerate(pairs)
    )
    as_json = [{"field": field, "value": value} for field, value in pairs]
    forms = [many, f"filters={quote(str(as_json).replace(chr(39), chr(34)))}"]
    if len(pairs) == 1:
        forms.append(f"filters.field={pairs[0][0]}&filters.value={pairs[0][1]}")
    return forms


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        ([("limit", "1")], [DEVICE]),
        ([("sort_dir", "desc"), ("sort_key", "type")], [DEVICE_OFF, DEVICE]),
        ([("sort_key", "type"), ("limit", "1"), ("marker", DEVICE)], [DEVICE_OFF]),
        ([("board", "x")], [DEVICE, DEVICE_OFF]),
        ([("name", "x")], [DEVICE, DEVICE_OFF]),
        ([("instance_uuid", "x"), ("limit", "1")], [DEVICE]),
    ],
)
def test_old_filters_of_devices(api: Api, pairs: list[tuple[str, str]], found: list[str]) -> None:
    for form in filters(*pairs):
        assert uuids(api, f"/v2/devices?{form}", version="2.3") == found
        assert api.get(f"/v2/devices?{form}", version="2.4").status_int == 400


def test_old_filters_of_deployables(api: Api) -> None:
    for name, found in (("node1_0000:0c:00.0", [DEPLOYABLE]), ("x", [])):
        for form in filters(("name", name)):
            assert uuids(api, f"/v2/deployables?{form}", version="2.0") == found


@pytest.mark.parametrize(
    "query",
    [
        "filters.field=uuid&filters.value=x",
        "filters.field=limit",
        "filters.value=1",
        "filters.field=limit&filters.value=x",
        "filters.field=sort_key&filters.value=nothing",
        "filters.field=sort_dir&filters.value=up",
        "filters[0].field=limit&filters[1].value=1",
        "filters=x",
        "filters=[1]",
        "filters=" + quote('[{"field": 1, "value": 2}]'),
        "filters=" + quote('{"field": "limit"}'),
        "filters=" + "[" * 2000,
        "filters.other=1",
        "limit=1&filters.field=limit&filters.value=1",
    ],
)
@pytest.mark.parametrize("path", ["/v2/devices", "/v2/deployables"])
def test_bad_old_filters(api: Api, path: str, query: str) -> None:
    response = api.get(f"{path}?{query}")
    assert response.status_int == 400
    fault(response)


@pytest.mark.parametrize("path", COLLECTIONS)
@pytest.mark.parametrize("query", ["", "?limit=1", "?limit=1000&sort=created_at:desc"])
def test_statements_are_few(api: Api, path: str, query: str) -> None:
    with api.statements() as statements:
        api.get(f"{path}{query}", version="2.4")
    expected: dict[str, Any] = {"devices": 2, "deployables": 3, "attach_handles": 4}
    assert len(statements) == expected.get(COLLECTIONS[path], 1)
