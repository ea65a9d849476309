"""Who is served unauthenticated: this machine, and nobody else."""

from __future__ import annotations

from typing import Any

import pytest
import webob
from oslo_config import cfg

from cyborg.api import app
from cyborg.api.loopback import is_loopback, why_not_local
from cyborg.db.database import Database
from cyborg.tests.unit.api.harness import Api, RecordingConductor, text_of

HERE = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:6666"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1", "unknown", "localhost.evil"]
)
def test_no_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"REMOTE_ADDR": "::1", "HTTP_HOST": "[::1]:6666"},
        {"HTTP_HOST": "localhost"},
        {"HTTP_HOST": ""},
    ],
)
def test_local(change: dict[str, str]) -> None:
    assert why_not_local({**HERE, **change}) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"REMOTE_ADDR": "192.0.2.1"}, "comes from 192.0.2.1"),
        ({"REMOTE_ADDR": ""}, "comes from unknown"),
        ({"HTTP_X_FORWARDED_FOR": "192.0.2.1"}, "proxy"),
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, "proxy"),
        ({"HTTP_X_FORWARDED_PROTO": "https"}, "proxy"),
        ({"HTTP_FORWARDED": "for=127.0.0.1"}, "proxy"),
        ({"HTTP_VIA": "1.1 proxy"}, "proxy"),
        ({"HTTP_X_REAL_IP": "127.0.0.1"}, "proxy"),
        ({"HTTP_HOST": "cloud.example.org"}, "another host"),
        ({"HTTP_HOST": "127.0.0.1.evil.example"}, "another host"),
        ({"HTTP_HOST": "[::1"}, "another host"),
    ],
)
def test_not_local(change: dict[str, str], reason: str) -> None:
    assert reason in (why_not_local({**HERE, **change}) or "")


def test_a_server_that_knows_no_address() -> None:
    assert why_not_local({"HTTP_HOST": "localhost"}) is not None


@pytest.mark.parametrize("path", ["/", "/v2/devices"])
def test_others_are_refused(noauth_api: Api, path: str, caplog: pytest.LogCaptureFixture) -> None:
    response = noauth_api.get(path, environ={"REMOTE_ADDR": "192.0.2.1"})
    assert response.status_int == 403
    assert "192.0.2.1" in text_of(response)
    assert "unauthenticated request refused" in caplog.text


def test_an_address_from_a_header_does_not_help(noauth_api: Api) -> None:
    """The proxy middleware takes it for the caller's address."""
    noauth_api.conf.set_override("enable_proxy_headers_parsing", True, "oslo_middleware")
    for headers in ({"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}):
        response = noauth_api.get(
            "/v2/devices", environ={"REMOTE_ADDR": "192.0.2.1"}, headers=headers
        )
        assert response.status_int == 403


def test_others_are_served_where_that_is_meant(conf: cfg.ConfigOpts, database: Database) -> None:
    conf.set_override("auth_strategy", "noauth")
    conductor: Any = RecordingConductor()
    application = app.build_application(conf, database, conductor, unauthenticated_remote=True)
    request = webob.Request.blank("/v2/devices", {"REMOTE_ADDR": "192.0.2.1"})
    assert request.get_response(application).status_int == 200
