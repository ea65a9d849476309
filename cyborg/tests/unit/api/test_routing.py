"""Version documents, paths and methods."""

from __future__ import annotations

import pytest

from cyborg.tests.unit.api.conftest import build
from cyborg.tests.unit.api.harness import Api, fault
from cyborg.tests.unit.api.rows import DEVICE, UNKNOWN

SELF = "rel"


@pytest.mark.parametrize("path", ["/", "/.json", ""])
def test_root_document(api: Api, path: str) -> None:
    response = api.get(path)
    assert response.status_int == 200
    version = {
        "id": "v2",
        "status": "CURRENT",
        "max_version": "2.6",
        "min_version": "2.0",
        "links": [{"href": "http://localhost/v2", SELF: "self"}],
    }
    assert response.json["versions"] == [version]
    assert response.json["default_version"] == version
    assert {"name", "description"} < set(response.json)
    assert "OpenStack-API-Version" not in response.headers
    assert "OpenStack-API-Maximum-Version" not in response.headers


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2.json"])
def test_version_document(api: Api, path: str) -> None:
    response = api.get(path)
    assert response.json == {
        "id": "v2.0",
        "links": [{"href": "http://localhost/v2/", SELF: "self"}],
        "max_version": "2.6",
        "min_version": "2.0",
        "status": "CURRENT",
    }
    assert response.headers["OpenStack-API-Version"] == "accelerator 2.0"


@pytest.mark.parametrize(
    "path",
    ["/v2/devices", "/devices", "/v2/devices/", "/devices/", "/v2/devices.json", "/devices.json"],
)
def test_prefix_slash_and_suffix_do_not_matter(api: Api, path: str) -> None:
    assert len(api.get(path).json["devices"]) == 2


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v3",
        "/v1/devices",
        "/v2/v2",
        "/v2/nothing",
        "/healthcheck",
        "/v2//devices",
        "//devices",
        f"/v2/devices/{DEVICE}/enable/more",
        f"/v2/devices/{DEVICE}/nothing",
        f"/v2/devices/{DEVICE}//",
        f"/v2/deployables/{UNKNOWN}/programs",
        f"/v2/deployables/{UNKNOWN}/program/more/still",
        f"/v2/deployables/{UNKNOWN}/more/program",
        # Attributes of the controllers are no paths.
        "/services",
        "/versions",
        "/_route",
        "/v2/devices/x/find",
        "/v2/devices/x/list",
    ],
)
def test_no_such_path(api: Api, path: str) -> None:
    response = api.get(path)
    assert response.status_int == 404
    fault(response)
    assert "OpenStack-API-Version" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("HEAD", "/", "GET"),
        ("POST", "/", "GET"),
        ("OPTIONS", "/v2", "GET"),
        ("HEAD", "/v2/devices", "GET"),
        ("OPTIONS", "/v2/devices", "GET"),
        ("POST", "/v2/devices", "GET"),
        ("PUT", "/v2/device_profiles", "DELETE, GET, POST"),
        ("PUT", "/v2/accelerator_requests", "DELETE, GET, PATCH, POST"),
        ("POST", f"/v2/accelerator_requests/{UNKNOWN}", "DELETE, GET, PATCH"),
        ("PATCH", f"/v2/deployables/{UNKNOWN}", "GET"),
        ("GET", f"/v2/devices/{DEVICE}/enable", "POST"),
        ("DELETE", f"/v2/devices/{DEVICE}/disable", "POST"),
        ("PATCH", f"/v2/device_profiles/{UNKNOWN}", "DELETE, GET"),
        ("POST", f"/v2/attributes/{UNKNOWN}", "DELETE, GET"),
    ],
)
def test_wrong_method(api: Api, method: str, path: str, allowed: str) -> None:
    response = api.request(method, path)
    assert response.status_int == 405
    assert response.headers["Allow"] == allowed
    assert "OpenStack-API-Version" not in response.headers
    if method != "HEAD":
        fault(response)


@pytest.mark.parametrize("resource", ["devices", "deployables", "attributes", "device_profiles"])
def test_patch_of_a_collection_that_has_none(api: Api, resource: str) -> None:
    assert api.request("PATCH", f"/v2/{resource}").status_int == 404


def test_a_method_in_the_query_does_not_count(api: Api) -> None:
    """Pecan's RestController would take it for the method."""
    response = api.get(f"/v2/accelerator_requests/{UNKNOWN}?_method=delete")
    assert response.status_int == 400
    assert api.conductor.calls == []


@pytest.mark.parametrize(
    ("environ", "href"),
    [
        ({}, "http://localhost/v2"),
        ({"SCRIPT_NAME": "/accelerator"}, "http://localhost/accelerator/v2"),
        ({"HTTP_HOST": "cloud:6666"}, "http://cloud:6666/v2"),
        ({"HTTP_X_FORWARDED_PROTO": "https"}, "http://localhost/v2"),
    ],
)
def test_links_follow_the_request(api: Api, environ: dict[str, str], href: str) -> None:
    document = api.get("/", environ=environ).json
    assert document["versions"][0]["links"][0]["href"] == href
    device = api.get("/v2/devices", environ=environ).json["devices"][0]
    assert device["links"] == [{"href": f"{href}/devices/{DEVICE}", "rel": "self"}]


def test_links_behind_a_proxy(api: Api) -> None:
    api.conf.set_override("enable_proxy_headers_parsing", True, "oslo_middleware")
    environ = {
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_HOST": "public",
        "HTTP_X_FORWARDED_PREFIX": "/accelerator",
    }
    document = api.get("/v2", environ=environ).json
    assert document["links"][0]["href"] == "https://public/accelerator/v2/"


def test_links_by_configuration(api: Api) -> None:
    api.conf.set_override("public_endpoint", "https://public/acc/", "api")
    assert api.get("/v2").json["links"][0]["href"] == "https://public/acc/v2/"


def test_no_cors_headers_by_default(api: Api) -> None:
    response = api.get("/v2", headers={"Origin": "https://horizon"})
    assert "Access-Control-Allow-Origin" not in response.headers


def test_cors(api: Api) -> None:
    api.conf.set_override("allowed_origin", ["https://horizon"], "cors")
    open_ = build(api.conf, api.database, api.conductor)
    headers = {"Origin": "https://horizon"}
    response = open_.get("/v2/devices", headers=headers)
    assert response.headers["Access-Control-Allow-Origin"] == "https://horizon"
    assert "OpenStack-API-Version" in response.headers["Access-Control-Expose-Headers"]
    assert "OpenStack-API-Version" in response.headers["Vary"]
    preflight = open_.request(
        "OPTIONS", "/v2/devices", headers={**headers, "Access-Control-Request-Method": "GET"}
    )
    assert preflight.status_int == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://horizon"
    other = open_.get("/v2/devices", headers={"Origin": "https://evil"})
    assert "Access-Control-Allow-Origin" not in other.headers
