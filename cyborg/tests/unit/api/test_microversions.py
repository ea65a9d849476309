"""The header OpenStack-API-Version, both ways."""

from __future__ import annotations

import logging

import pytest

from cyborg.api import microversions
from cyborg.domain.errors import NotAcceptable
from cyborg.tests.unit.api.harness import Api, fault, text_of
from cyborg.tests.unit.api.rows import PROFILE, UNKNOWN


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (None, (2, 0)),
        ("", (2, 0)),
        ("accelerator 2.0", (2, 0)),
        ("accelerator 2.3", (2, 3)),
        ("Accelerator  2.3", (2, 3)),
        ("accelerator latest", (2, 6)),
        ("latest", (2, 6)),
        ("2.2", (2, 2)),
        ("compute 2.90", (2, 0)),
        ("compute 2.90, placement latest", (2, 0)),
        ("compute 2.90, accelerator 2.1", (2, 1)),
        ("accelerator 2.1, compute 2.90", (2, 1)),
        ("compute 2.90, 2.2", (2, 2)),
    ],
)
def test_negotiate(header: str | None, version: tuple[int, int]) -> None:
    assert microversions.negotiate(header) == version


@pytest.mark.parametrize("header", ["2.7", "accelerator 2.7", "accelerator 1.0", "accelerator 3.0"])
def test_out_of_range(api: Api, header: str) -> None:
    response = api.get("/v2/devices", headers={"OpenStack-API-Version": header})
    assert response.status_int == 406
    assert response.headers["OpenStack-API-Minimum-Version"] == "2.0"
    assert response.headers["OpenStack-API-Maximum-Version"] == "2.6"
    assert "OpenStack-API-Version" not in response.headers
    assert fault(response, coded=True)["code"] == "cyborg.not_acceptable"


@pytest.mark.parametrize(
    "header",
    [
        "garbage",
        "accelerator",
        "accelerator 2",
        "accelerator abc",
        "accelerator 2.-1",
        "accelerator 2.0_1",
        "accelerator 2." + "9" * 5000,
        "accelerator 2.1.1",
    ],
)
def test_unparsable(api: Api, header: str) -> None:
    response = api.get("/v2/devices", headers={"OpenStack-API-Version": header})
    assert response.status_int == 406
    assert "OpenStack-API-Minimum-Version" not in response.headers
    assert "OpenStack-API-Version" not in response.headers
    assert fault(response, coded=True)["code"] == "cyborg.not_acceptable"


@pytest.mark.parametrize("path", ["/v2/devices", "/devices", f"/v2/devices/{UNKNOWN}", "/v2"])
def test_response_headers(api: Api, path: str) -> None:
    response = api.get(path, version="2.2")
    assert response.headers["OpenStack-API-Version"] == "accelerator 2.2"
    assert response.headers["OpenStack-API-Minimum-Version"] == "2.0"
    assert response.headers["OpenStack-API-Maximum-Version"] == "2.6"
    assert response.headers["Vary"] == "OpenStack-API-Version"


def test_status_of_devices_is_of_2_3(api: Api) -> None:
    assert "status" not in api.get("/v2/devices", version="2.2").json["devices"][0]
    statuses = [d["status"] for d in api.get("/v2/devices", version="2.3").json["devices"]]
    assert statuses == ["enabled", "maintaining"]


def test_profile_by_name_is_of_2_2(api: Api) -> None:
    response = api.get("/v2/device_profiles/fpga", version="2.1")
    assert response.status_int == 406
    assert "2.2" in text_of(response)
    assert api.get("/v2/device_profiles/fpga", version="2.2").json["device_profile"]["uuid"]
    assert api.get(f"/v2/device_profiles/{PROFILE}").status_int == 200


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "application/json;q=0"])
@pytest.mark.parametrize("path", ["/", "/v2", "/v2/devices"])
def test_accept_without_json(
    api: Api, accept: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = api.get(path, headers={"Accept": accept})
    assert response.status_int == 406
    fault(response)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "accept", ["*/*", "application/*", "text/html, */*;q=0.1", "application/json", "nonsense,,"]
)
def test_accept_with_json(api: Api, accept: str) -> None:
    assert api.get("/v2/devices", headers={"Accept": accept}).status_int == 200


def test_require() -> None:
    microversions.require((2, 2), (2, 2), "x")
    with pytest.raises(NotAcceptable, match=r"2\.2"):
        microversions.require((2, 1), (2, 2), "x")
