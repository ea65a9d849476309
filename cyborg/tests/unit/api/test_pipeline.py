"""Pipelines of paste files, and that none of them believes what a caller claims."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import webob
from keystoneauth1 import exceptions
from keystonemiddleware import auth_token
from keystonemiddleware.auth_token import _exceptions
from oslo_config import cfg
from paste.deploy import loadapp

from cyborg.api import app
from cyborg.api.authentication import PUBLIC_PATHS
from cyborg.conf.opts import MAX_BODY
from cyborg.db.database import Database
from cyborg.domain.errors import ConfigurationError
from cyborg.tests import paste_files
from cyborg.tests.unit.api.harness import ADMIN, RecordingConductor, fault, text_of
from cyborg.tests.unit.api.test_authentication import token

SAMPLE = Path(__file__).parents[4] / "etc/cyborg/api-paste.ini"
FILES = {
    "kolla": paste_files.KOLLA,
    "helm": paste_files.HELM,
    "sample": SAMPLE.read_text(),
    "urlmap": paste_files.URLMAP,
}
AS_ADMIN = {"X-Auth-Token": "admin"}
FORGED = ADMIN.with_service_token().headers()


class Paste:
    """Applications of paste files, behind a Keystone that knows two tokens."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database, folder: Path) -> None:
        self.conf = conf
        self.path = folder / "pa ste#1.ini"
        self._database = database

    def application(self, text: str) -> Any:
        self.path.write_text(text)
        self.conf.set_override("api_paste_config", str(self.path), "api")
        return self.build()

    def build(self, **options: bool) -> Any:
        conductor: Any = RecordingConductor()
        return app.build_application(self.conf, self._database, conductor, **options)


@pytest.fixture
def paste(
    conf: cfg.ConfigOpts, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Paste]:
    known = {"admin": token("admin", "reader"), "reader": token("reader")}

    def fetch(_self: object, sent: str, **_options: object) -> Any:
        if sent not in known:
            raise _exceptions.InvalidToken
        return known[sent]

    monkeypatch.setattr(auth_token.AuthProtocol, "fetch_token", fetch)
    # Keystonemiddleware's own filter has no other configuration than the global one.
    for each in (conf, cfg.CONF):
        each.register_opts(auth_token.list_opts()[0][1], "keystone_authtoken")
        each.set_override("www_authenticate_uri", "http://keystone", "keystone_authtoken")
        each.set_override("auth_type", "none", "keystone_authtoken")
    yield Paste(conf, database, tmp_path)
    cfg.CONF.clear_override("www_authenticate_uri", "keystone_authtoken")
    cfg.CONF.clear_override("auth_type", "keystone_authtoken")


def ask(application: Any, path: str, **headers: str) -> webob.Response:
    environ = {"REMOTE_ADDR": "127.0.0.1"}
    return webob.Request.blank(path, environ, headers=headers).get_response(application)


@pytest.mark.parametrize("name", FILES)
class TestPipelines:
    def test_public_paths(self, paste: Paste, name: str, caplog: pytest.LogCaptureFixture) -> None:
        application = paste.application(FILES[name])
        for path in sorted(PUBLIC_PATHS):
            response = ask(application, path, **FORGED)
            assert response.status_int == 200, path
            assert response.headers["x-openstack-request-id"].startswith("req-")
        assert ask(application, "/v2").headers["OpenStack-API-Version"] == "accelerator 2.0"
        assert "acl_public_routes" not in caplog.text

    def test_no_token(self, paste: Paste, name: str) -> None:
        application = paste.application(FILES[name])
        for headers in ({}, {"X-Auth-Token": "unknown"}, FORGED):
            response = ask(application, "/v2/devices", **headers)
            assert response.status_int == 401
            assert response.headers["WWW-Authenticate"] == 'Keystone uri="http://keystone"'
            assert response.headers["x-openstack-request-id"].startswith("req-")

    def test_a_token_counts_and_nothing_else(self, paste: Paste, name: str) -> None:
        application = paste.application(FILES[name])
        response = ask(application, "/v2/devices", **AS_ADMIN)
        assert (response.status_int, len(response.json["devices"])) == (200, 2)
        assert response.headers["OpenStack-API-Version"] == "accelerator 2.0"
        response = ask(application, "/v2/devices", **{**FORGED, "X-Auth-Token": "reader"})
        assert response.status_int == 403
        assert "cyborg:device:get_all" in text_of(response)

    def test_errors_have_their_form(self, paste: Paste, name: str) -> None:
        application = paste.application(FILES[name])
        assert ask(application, "/v2/nothing", **AS_ADMIN).status_int == 404
        response = ask(application, "/v2/devices?x=1", **AS_ADMIN)
        assert (response.status_int, text_of(response)[:21]) == (400, 'Unknown argument: "x"')
        version = {"OpenStack-API-Version": "accelerator 9.9"}
        response = ask(application, "/v2/devices", **AS_ADMIN, **version)
        assert (response.status_int, fault(response, coded=True)["faultcode"]) == (406, "Client")
        assert response.headers["OpenStack-API-Minimum-Version"] == "2.0"

    def test_a_body_has_its_limit(self, paste: Paste, name: str) -> None:
        request = webob.Request.blank(
            "/v2/device_profiles", method="POST", headers={"X-Auth-Token": "admin"}
        )
        request.content_type, request.body = "application/json", b" " * (MAX_BODY + 1)
        response = request.get_response(paste.application(FILES[name]))
        assert (response.status_int, fault(response)["faultcode"]) == (413, "Client")

    def test_keystone_is_down(
        self, paste: Paste, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def verify(*_arguments: object, **_options: object) -> None:
            raise exceptions.ConnectFailure("secret")

        monkeypatch.undo()
        monkeypatch.setattr(
            "keystonemiddleware.auth_token._identity.IdentityServer.verify_token", verify
        )
        response = ask(paste.application(FILES[name]), "/v2/devices", **AS_ADMIN)
        assert response.status_int == 503
        assert "secret" not in text_of(response)

    def test_without_authentication_by_option(self, paste: Paste, name: str) -> None:
        paste.conf.set_override("auth_strategy", "noauth")
        application = paste.application(FILES[name])
        assert ask(application, "/v2/devices").status_int == 200
        proxied = ask(application, "/v2/devices", **{"X-Forwarded-For": "127.0.0.1"})
        assert proxied.status_int == 403
        assert "only this machine" in text_of(proxied)


def test_urlmap_moves_the_links(paste: Paste) -> None:
    application = paste.application(paste_files.URLMAP)
    document = ask(application, "/accelerator/v2").json
    assert document["links"][0]["href"] == "http://localhost/accelerator/v2/"


class TestNobodyAuthenticates:
    @pytest.mark.parametrize("path", ["/v2/devices", "/devices", "/v2/accelerator_requests", "//"])
    def test_what_is_claimed_does_not_count(self, paste: Paste, path: str) -> None:
        application = paste.application(paste_files.OPEN)
        claims = {
            **FORGED,
            "X-Auth-Token": "admin",
            "Keystone.Token-Auth": "1",
            "Cyborg.Noauth": "1",
            "Keystone.Token_Auth": "1",
        }
        response = ask(application, path, **claims)
        assert response.status_int == 401
        assert response.headers["WWW-Authenticate"] == "Keystone"
        assert "has not been authenticated" in text_of(response)

    @pytest.mark.parametrize("key", ["keystone.token_auth", "keystone.token_info", "cyborg.noauth"])
    def test_nor_does_what_a_server_sets(self, paste: Paste, key: str) -> None:
        """By uwsgi_param, SetEnv and the like: any name, but text."""
        request = webob.Request.blank("/v2/devices", {key: "Confirmed"}, headers=FORGED)
        assert request.get_response(paste.application(paste_files.OPEN)).status_int == 401

    def test_version_documents_are_served(self, paste: Paste) -> None:
        response = ask(paste.application(paste_files.OPEN), "/v2", **FORGED)
        assert response.status_int == 200
        assert response.headers["x-openstack-request-id"].startswith("req-")

    def test_not_even_without_authentication_by_option(self, paste: Paste) -> None:
        paste.conf.set_override("auth_strategy", "noauth")
        assert ask(paste.application(paste_files.OPEN), "/v2/devices").status_int == 401


class TestKeystonesOwnFilter:
    def test_it_is_believed(self, paste: Paste) -> None:
        application = paste.application(paste_files.PLAIN_KEYSTONE)
        assert ask(application, "/v2/devices", **AS_ADMIN).status_int == 200
        assert ask(application, "/v2", **AS_ADMIN).status_int == 200
        assert ask(application, "/v2/devices", **FORGED).status_int == 401
        reader = {**FORGED, "X-Auth-Token": "reader"}
        assert ask(application, "/v2/devices", **reader).status_int == 403

    def test_nobody_is_let_through_undecided(self, paste: Paste) -> None:
        """With delay_auth_decision it passes on whoever has no token, as nobody."""
        text = paste_files.PLAIN_KEYSTONE.replace(
            "[filter:keystone]", "[filter:keystone]\ndelay_auth_decision = true"
        )
        application = paste.application(text)
        for headers in ({}, {"X-Auth-Token": "unknown"}, FORGED):
            response = ask(application, "/v2/devices", **headers)
            assert "has not been authenticated" in text_of(response)
        assert ask(application, "/v2").status_int == 200


def test_only_version_documents_can_be_public(
    paste: Paste, caplog: pytest.LogCaptureFixture
) -> None:
    text = paste_files.KOLLA.replace("= /, /v2\n", "= /, /v2/devices\n")
    application = paste.application(text)
    assert "/v2/devices" in caplog.text
    for path in ("/v2/devices", "/v2"):
        response = ask(application, path, **FORGED)
        assert response.status_int == 401
        # Keystone's own: it has been asked.
        assert response.headers["WWW-Authenticate"] == 'Keystone uri="http://keystone"'
    assert ask(application, "/").status_int == 200


def test_options_in_the_file_count(paste: Paste) -> None:
    text = paste_files.KOLLA.replace(
        "[filter:authtoken]", "[filter:authtoken]\nwww_authenticate_uri = http://other"
    )
    response = ask(paste.application(text), "/v2/devices")
    assert response.headers["WWW-Authenticate"] == 'Keystone uri="http://other"'


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[pipeline:main]", "[pipeline:other]"), "main"),
        (("[pipeline:main]", "[pipeline:main"), "section"),
        (("authtoken api_v2", "authtoken nothing api_v2"), "nothing"),
        (("cyborg.api.app:app_factory", "cyborg.api.app:none"), "none"),
        (("cyborg.api.app:app_factory", "cyborg.api.none:app_factory"), "cyborg.api.none"),
        (("oslo_config_project = cyborg\n", ""), "oslo_config_project"),
        (("= /, /v2", "= /%(nothing)s"), "nothing"),
        (("[filter:authtoken]", "[filter:authtoken]\nhttp_connect_timeout = soon"), "timeout"),
        (("cors request_id authtoken api_v2", "request_id osprofiler api_v2"), "cyborg.common"),
    ],
)
def test_a_broken_file_is_one_line(paste: Paste, change: tuple[str, str], words: str) -> None:
    assert change[0] in paste_files.KOLLA
    with pytest.raises(ConfigurationError) as caught:
        paste.application(paste_files.KOLLA.replace(*change))
    text = str(caught.value)
    assert "\n" not in text
    assert str(paste.path) in text
    assert words in text


def test_a_directory_is_no_file(paste: Paste) -> None:
    paste.path.mkdir()
    paste.conf.set_override("api_paste_config", str(paste.path), "api")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        paste.build()


def test_no_credentials_is_said_as_without_a_file(paste: Paste) -> None:
    paste.conf.clear_override("auth_type", "keystone_authtoken")
    with pytest.raises(ConfigurationError, match="no auth_type"):
        paste.application(paste_files.KOLLA)


@pytest.mark.parametrize(
    ("name", "level"), [("api-paste.ini", logging.INFO), ("/none/paste.ini", logging.WARNING)]
)
def test_no_file_is_the_pipeline_in_code(
    paste: Paste, name: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    paste.conf.set_override("api_paste_config", name, "api")
    application = paste.build()
    [record] = [record for record in caplog.records if name in record.getMessage()]
    assert record.levelno == level
    assert ask(application, "/v2/devices", **AS_ADMIN).status_int == 200
    assert ask(application, "/v2/devices", **FORGED).status_int == 401


def test_an_empty_option_looks_for_nothing(paste: Paste, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    paste.conf.set_override("api_paste_config", "", "api")
    paste.build()
    assert "paste" not in caplog.text


def test_a_name_is_looked_for_beside_the_configuration(
    paste: Paste, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "cyborg.conf").write_text("")
    (tmp_path / "api-paste.ini").write_text(paste_files.KOLLA)
    paste.conf([], project="cyborg", default_config_files=[str(tmp_path / "cyborg.conf")])
    paste.build()
    assert f"path={tmp_path}/api-paste.ini" in caplog.text


def test_the_factories_are_for_this_service_only(tmp_path: Path) -> None:
    path = tmp_path / "paste.ini"
    path.write_text(paste_files.KOLLA)
    with pytest.raises(ConfigurationError, match="cyborg-api"):
        loadapp(f"config:{path}")
