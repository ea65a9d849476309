"""Keystone's tokens, and none at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
import webob
from keystoneauth1 import exceptions
from keystonemiddleware import auth_token
from keystonemiddleware.auth_token import _exceptions
from oslo_config import cfg

from cyborg.api.authentication import NOBODY, PublicPaths
from cyborg.db.database import Database
from cyborg.tests.unit.api.conftest import build
from cyborg.tests.unit.api.harness import ADMIN, MINE, Api, Persona, RecordingConductor
from cyborg.tests.unit.api.rows import BOUND, INITIAL
from cyborg.tests.unit.api.test_accelerator_requests import patch

ARQS = "/v2/accelerator_requests"
FORGED = {**ADMIN.with_service_token().headers(), "X-Is-Admin-Project": "True"}
NOBODY_KNOWN = Persona(())


def token(*roles: str, project: str = MINE) -> dict[str, Any]:
    """Return what Keystone says of a token."""
    domain = {"id": "default", "name": "Default"}
    return {
        "token": {
            "methods": ["password"],
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "user": {"id": "u" * 32, "name": "user", "domain": domain},
            "project": {"id": project, "name": "project", "domain": domain},
            "roles": [{"id": role, "name": role} for role in roles],
            "catalog": [],
        }
    }


@pytest.fixture
def keystone(
    conf: cfg.ConfigOpts,
    database: Database,
    conductor: RecordingConductor,
    monkeypatch: pytest.MonkeyPatch,
) -> Api:
    """The application behind keystonemiddleware; only the call of Keystone is replaced."""
    known = {
        "admin": token("admin", "manager", "member", "reader"),
        "member": token("member", "reader"),
        "service": token("service", project="5" * 32),
        "operator": token("operator", project="5" * 32),
    }

    def fetch(_self: object, sent: str, **_options: object) -> Any:
        if sent not in known:
            raise _exceptions.InvalidToken
        return known[sent]

    monkeypatch.setattr(auth_token.AuthProtocol, "fetch_token", fetch)
    conf.register_opts(auth_token.list_opts()[0][1], "keystone_authtoken")
    conf.set_override("www_authenticate_uri", "http://keystone", "keystone_authtoken")
    conf.set_override("auth_type", "none", "keystone_authtoken")
    return build(conf, database, conductor)


def ask(api: Api, method: str, path: str, headers: dict[str, str], body: object = None) -> Any:
    environ = {"REMOTE_ADDR": "127.0.0.1"}
    request = webob.Request.blank(path, environ, method=method, headers=headers)
    if body is not None:
        request.content_type = "application/json"
        request.body = json.dumps(body).encode()
    return request.get_response(api.application)


@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": "unknown"}, FORGED])
@pytest.mark.parametrize("path", ["/v2/devices", "/devices", "/healthcheck", "/v2/x", "//"])
def test_no_token(keystone: Api, path: str, headers: dict[str, str]) -> None:
    response = ask(keystone, "GET", path, headers)
    assert response.status_int == 401
    assert response.headers["WWW-Authenticate"] == 'Keystone uri="http://keystone"'
    assert response.headers["x-openstack-request-id"].startswith("req-")
    assert "error" in response.json


@pytest.mark.parametrize("path", ["/", "", "/v2", "/v2/", "/v2.json", "/.json"])
@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": "unknown"}, FORGED])
def test_public_paths(keystone: Api, path: str, headers: dict[str, str]) -> None:
    assert ask(keystone, "GET", path, headers).status_int == 200


def test_public_paths_discard_identities() -> None:
    """Also from keystonemiddleware's view nobody is anybody there."""
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], _start_response: object) -> list[bytes]:
        seen.update(environ)
        return []

    public = PublicPaths(application, None)
    environ = webob.Request.blank("/v2", headers={**FORGED, "X-Auth-Token": "t"}).environ
    public(environ, None)
    left = {name for name in seen if name.startswith("HTTP_")}
    assert left == {"HTTP_HOST"}


def test_roles_come_from_the_token(keystone: Api) -> None:
    assert ask(keystone, "GET", "/v2/devices", {"X-Auth-Token": "admin"}).status_int == 200
    headers = {**FORGED, "X-Auth-Token": "member"}
    assert ask(keystone, "GET", "/v2/devices", headers).status_int == 403
    assert len(ask(keystone, "GET", ARQS, headers).json["arqs"]) == 5


def test_whom_keystonemiddleware_does_not_know_is_nobody(
    keystone: Api, conf: cfg.ConfigOpts, database: Database
) -> None:
    """With delay_auth_decision it lets them through, and leaves the decision to us."""
    conf.set_override("delay_auth_decision", True, "keystone_authtoken")
    api = build(conf, database, keystone.conductor)
    for headers in (FORGED, {**FORGED, "X-Auth-Token": "unknown"}):
        assert ask(api, "GET", "/v2/devices", headers).status_int == 401
        assert ask(api, "PATCH", ARQS, headers, patch(BOUND)).status_int == 401
    assert api.conductor.calls == []


def test_a_service_token(keystone: Api) -> None:
    headers = {"X-Auth-Token": "member", "X-Service-Token": "service"}
    response = ask(keystone, "PATCH", ARQS, headers, patch(INITIAL))
    assert response.status_int == 202
    assert keystone.conductor.calls[0][1][1:] == (MINE, True)


def test_a_forged_service_token(keystone: Api) -> None:
    headers = {**FORGED, "X-Auth-Token": "member"}
    response = ask(keystone, "PATCH", ARQS, headers, patch(INITIAL))
    assert response.status_int == 403


@pytest.mark.parametrize("service_token", ["member", "operator", "unknown"])
def test_a_token_that_is_no_services(keystone: Api, service_token: str) -> None:
    headers = {"X-Auth-Token": "member", "X-Service-Token": service_token}
    assert ask(keystone, "PATCH", ARQS, headers, patch(INITIAL)).status_int == 401


def test_roles_of_services_are_configured(
    keystone: Api, conf: cfg.ConfigOpts, database: Database
) -> None:
    conf.set_override("service_token_roles", ["operator"], "keystone_authtoken")
    api = build(conf, database, keystone.conductor)
    headers = {"X-Auth-Token": "member", "X-Service-Token": "operator"}
    assert ask(api, "PATCH", ARQS, headers, patch(INITIAL)).status_int == 202
    headers = {"X-Auth-Token": "member", "X-Service-Token": "service"}
    assert ask(api, "PATCH", ARQS, headers, patch(INITIAL)).status_int == 401


def test_a_role_is_needed_even_where_keystonemiddleware_does_not_ask(
    keystone: Api, conf: cfg.ConfigOpts, database: Database
) -> None:
    conf.set_override("service_token_roles_required", False, "keystone_authtoken")
    api = build(conf, database, keystone.conductor)
    headers = {"X-Auth-Token": "member", "X-Service-Token": "operator"}
    assert ask(api, "PATCH", ARQS, headers, patch(INITIAL)).status_int == 403


def test_roles_are_required_by_default(keystone: Api) -> None:
    assert keystone.conf.keystone_authtoken.service_token_roles_required is True


def test_keystone_is_down(keystone: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def verify(*_arguments: object, **_options: object) -> None:
        raise exceptions.ConnectFailure("secret")

    monkeypatch.undo()
    monkeypatch.setattr(
        "keystonemiddleware.auth_token._identity.IdentityServer.verify_token", verify
    )
    response = ask(keystone, "GET", "/v2/devices", {"X-Auth-Token": "member"})
    assert response.status_int == 503
    assert "Retry-After" in response.headers
    assert "secret" not in response.text


class TestNoauth:
    def test_everybody_administrates(self, noauth_api: Api) -> None:
        assert ask(noauth_api, "GET", "/v2/devices", {}).status_int == 200
        assert ask(noauth_api, "DELETE", f"{ARQS}/{BOUND}", {}).status_int == 204
        noauth_api.conductor.calls.clear()
        assert ask(noauth_api, "PATCH", ARQS, {}, patch(INITIAL)).status_int == 202
        assert noauth_api.conductor.calls[0][1][1:] == (NOBODY, True)
        noauth_api.conductor.calls.clear()
        assert ask(noauth_api, "POST", ARQS, {}, {"device_profile_name": "fpga"}).status_int == 201
        assert noauth_api.conductor.calls == [
            ("create_accelerator_requests", ("fpga", NOBODY, True))
        ]

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-Project-Id": MINE, "X-Tenant-Id": MINE, "X-Tenant": MINE},
            {"X-Roles": "reader", "X-Role": "reader"},
            {"X-Domain-Id": "d", "OpenStack-System-Scope": "all"},
            {"X-Service-Roles": "", "X-Service-Identity-Status": "Invalid"},
            {"X-Auth-Token": "t", "X-Service-Token": "t", "X-Storage-Token": "t"},
        ],
    )
    def test_forged_headers_do_not_count(self, noauth_api: Api, headers: dict[str, str]) -> None:
        body = patch(INITIAL)
        assert ask(noauth_api, "PATCH", ARQS, headers, body).status_int == 202
        assert noauth_api.conductor.calls[0][1][1:] == (NOBODY, True)
