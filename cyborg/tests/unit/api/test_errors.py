"""What callers see when something is wrong: theirs, ours, or a neighbour's."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from oslo_context import context as oslo_context

from cyborg.domain.errors import NoFreeHandle, RemoteError, ServiceUnavailable
from cyborg.tests.unit.api.harness import Api, fault, text_of
from cyborg.tests.unit.api.rows import DEVICE, DEVICE_OFF

ENABLE = f"/v2/devices/{DEVICE_OFF}/enable"


def test_remote_error_keeps_its_status(api: Api) -> None:
    api.conductor.answers["set_device_status"] = RemoteError("taken", NoFreeHandle.code, 409)
    response = api.request("POST", ENABLE)
    assert response.status_int == 409
    assert fault(response)["faultstring"] == "taken"
    assert response.headers["OpenStack-API-Version"] == "accelerator 2.0"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("SELECT secret"),
        RecursionError("secret"),
        RemoteError("secret", "cyborg.internal", 500),
    ],
)
def test_unexpected_error_shows_only_the_request_id(
    api: Api, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    api.conductor.answers["set_device_status"] = error
    response = api.request("POST", ENABLE)
    assert response.status_int == 500
    assert "secret" not in response.text
    assert response.headers["x-openstack-request-id"] in text_of(response)
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(logged) == 1
    assert logged[0].exc_info is not None


def test_unavailable_conductor(api: Api) -> None:
    api.conductor.answers["set_device_status"] = ServiceUnavailable("The queue is not there.")
    response = api.request("POST", ENABLE)
    assert response.status_int == 503
    assert response.headers["Retry-After"] == "2"
    assert text_of(response) == "The queue is not there."


def test_unavailable_database(api: Api) -> None:
    api.database.dispose()
    api.conf.set_override("connection", "mysql+pymysql://u:p@127.0.0.1:1/cyborg", "database")
    response = api.get("/v2/devices")
    assert response.status_int == 503
    assert response.headers["Retry-After"] == "2"
    assert "127.0.0.1" not in text_of(response)
    assert api.get("/").status_int == 200


def test_body_too_large(api: Api) -> None:
    response = api.request("POST", "/v2/device_profiles", raw=b" " * (64 * 1024 + 1))
    assert response.status_int == 413
    assert text_of(response) == "Request Entity Too Large."
    assert api.request("POST", "/v2/device_profiles", raw=b" " * 64 * 1024).status_int == 400


def test_body_too_large_without_a_length(api: Api) -> None:
    response = api.request(
        "POST",
        "/v2/device_profiles",
        raw=b" " * (64 * 1024 + 1),
        environ={"wsgi.input_terminated": True},
        headers={"Content-Length": ""},
    )
    assert response.status_int == 413
    fault(response)


@pytest.mark.parametrize("method", ["POST"])
@pytest.mark.parametrize(
    "path", ["/v2/device_profiles", "/v2/attributes", "/v2/accelerator_requests"]
)
class TestBodies:
    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"{",
            b"nonsense",
            b'{"a": NaN}',
            b'{"a": Infinity}',
            b'{"a": 1e999}',
            b'{"a": ' + b"1" * 5000 + b"}",
            b'{"a": 1, "a": 2}',
            b'["\xff"]',
            '{"a": 1}'.encode("utf-16"),
            b'{"a": "\\u0000"}',
            b'{"\\u0000": 1}',
            b'[["\\ud800"]]',
            b"[" * 20 + b"]" * 20,
            b"[" * 30000 + b"]" * 30000,
            b'{"a":' * 10000 + b"1" + b"}" * 10000,
            b"null",
            b"1",
            b'"text"',
            b"[]",
            b"{}",
            b"[1]",
            b"[[]]",
            b"[{}]",
            b"[{}, {}]",
        ],
    )
    def test_bad(self, api: Api, method: str, path: str, raw: bytes) -> None:
        response = api.request(method, path, raw=raw)
        assert response.status_int == 400
        fault(response)
        assert api.conductor.calls == []

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
    def test_wrong_type(self, api: Api, method: str, path: str, kind: str) -> None:
        response = api.request(method, path, raw=b"{}", headers={"Content-Type": kind})
        assert response.status_int == 415
        fault(response)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/devices",
        "/v2/deployables",
        "/v2/attributes",
        "/v2/device_profiles",
        "/v2/accelerator_requests",
    ],
)
def test_unknown_query_parameters_are_named(api: Api, path: str) -> None:
    response = api.get(f"{path}?limit=1&y=1&x=2&y=3")
    assert response.status_int == 400
    assert text_of(response).startswith('Unknown argument: "y, x" (known: ')
    assert "limit, marker" in text_of(response)


def test_unknown_query_parameter_where_none_is_known(api: Api) -> None:
    response = api.get(f"/v2/devices/{DEVICE}?limit=1")
    assert response.status_int == 400
    assert text_of(response) == 'Unknown argument: "limit"'


@pytest.mark.parametrize("query", ["hostname=%00", "hostname=%ff", "type=a&type=b", "%00=1"])
def test_bad_query(api: Api, query: str) -> None:
    response = api.get(f"/v2/devices?{query}")
    assert response.status_int == 400
    fault(response)


@pytest.mark.parametrize("path", ["/v2/device_profiles/a%00", "/v2/device_profiles/%ff", "/%00"])
def test_bad_path(api: Api, path: str) -> None:
    assert api.get(path, version="2.3").status_int == 404


def test_the_global_request_id_reaches_the_context(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        api.conductor, "set_device_status", lambda *_: seen.append(oslo_context.get_current())
    )
    sent = "req-" + "1" * 8 + "-1111-1111-1111-" + "1" * 12
    response = api.request("POST", ENABLE, headers={"X-OpenStack-Request-ID": sent})
    assert response.headers["x-openstack-request-id"] == seen[0].request_id != sent
    assert seen[0].global_request_id == sent
    assert seen[0].project_id == "a" * 32


def test_the_body_is_json_text_in_json(api: Api) -> None:
    assert json.loads(api.get("/v2/devices/x").json["error_message"]) == {
        "faultcode": "Client",
        "faultstring": "Device x could not be found.",
        "debuginfo": None,
    }
