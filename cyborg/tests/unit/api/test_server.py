"""Listening, serving, stopping."""

from __future__ import annotations

import http.client
import logging
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from oslo_config import cfg

from cyborg.api.server import HttpServer, check_exposure, load_tls
from cyborg.domain.errors import ConfigurationError
from cyborg.tests.helpers import make_conf

HOST = "127.0.0.1"


class Slow:
    """Answers once it may."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.may_answer = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.entered.set()
        self.may_answer.wait(10)
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]


@pytest.fixture
def slow() -> Iterator[Slow]:
    application = Slow()
    yield application
    application.may_answer.set()


def get(port: int, answers: list[object]) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", "/")
        answers.append(connection.getresponse().read())
    except OSError as error:
        answers.append(error)
    finally:
        connection.close()


def test_stop_finishes_what_is_under_way(slow: Slow) -> None:
    server = HttpServer(HOST, 0, 2)
    server.bind()
    server.start(slow)
    answers: list[object] = []
    asking = threading.Thread(target=get, args=(server.port, answers))
    asking.start()
    assert slow.entered.wait(10)
    stopping = threading.Thread(target=server.stop, args=(10,))
    stopping.start()
    # The port is closed first.
    for _ in range(100):
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((HOST, server.port)) != 0:
                break
    assert answers == []
    assert stopping.is_alive()
    slow.may_answer.set()
    asking.join(10)
    stopping.join(15)
    assert answers == [b"done"]
    assert not stopping.is_alive()


def test_stop_does_not_wait_for_ever(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cyborg.api.server._CLOSING", 0.1)
    server = HttpServer(HOST, 0, 1)
    server.bind()
    server.start(slow)
    answers: list[object] = []
    asking = threading.Thread(target=get, args=(server.port, answers))
    asking.start()
    assert slow.entered.wait(10)
    server.stop(0.1)
    assert answers == []
    slow.may_answer.set()
    asking.join(10)


def test_busy_port() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = HttpServer(HOST, port, 1)
        with pytest.raises(ConfigurationError) as caught:
            server.bind()
    expected = f"cannot listen on {HOST} port {port}: Address already in use"
    assert str(caught.value) == expected


def test_address_of_another_host() -> None:
    server = HttpServer("192.0.2.1", 0, 1)
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1 port 0: Cannot assign"):
        server.bind()


def test_no_address() -> None:
    with pytest.raises(ConfigurationError, match="cannot listen on no-such-host") as caught:
        HttpServer("no-such-host.invalid", 0, 1).bind()
    assert "\n" not in str(caught.value)


class TestExposure:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
    def test_loopback(self, conf: cfg.ConfigOpts, host: str) -> None:
        conf.set_override("auth_strategy", "noauth")
        conf.set_override("host_ip", host, "api")
        check_exposure(conf, allow=False)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "cloud.example.com"])
    def test_others(
        self, conf: cfg.ConfigOpts, host: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        conf.set_override("auth_strategy", "noauth")
        conf.set_override("host_ip", host, "api")
        with pytest.raises(ConfigurationError, match="noauth") as caught:
            check_exposure(conf, allow=False)
        assert "\n" not in str(caught.value)
        check_exposure(conf, allow=True)
        assert [record.levelno for record in caplog.records] == [logging.WARNING]

    def test_keystone(self, conf: cfg.ConfigOpts) -> None:
        conf.set_override("host_ip", "0.0.0.0", "api")
        check_exposure(conf, allow=False)


def test_https(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert(HOST)
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for certificate in issued.cert_chain_pems:
        certificate.write_to_path(tmp_path / "certificate.pem", append=True)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    conf = make_conf(
        "sqlite://",
        api={"enable_ssl_api": True},
        ssl={"cert_file": str(tmp_path / "certificate.pem"), "key_file": str(tmp_path / "key.pem")},
    )
    server = HttpServer(HOST, 0, 2, load_tls(conf))
    server.bind()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        return [environ["wsgi.url_scheme"].encode()]

    server.start(application)
    try:
        trusted = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
        connection = http.client.HTTPSConnection(HOST, server.port, timeout=10, context=trusted)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"https"
        connection.close()
    finally:
        server.stop(1)


def test_https_needs_a_certificate() -> None:
    assert load_tls(make_conf("sqlite://")) is None
    with pytest.raises(ConfigurationError, match="cert_file"):
        load_tls(make_conf("sqlite://", api={"enable_ssl_api": True}))
