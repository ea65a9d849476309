import socket

import pytest

from cyborg.agent.identity import provider_name
from cyborg.tests.unit.drivers.helpers import make_conf


@pytest.mark.parametrize(
    ("configured", "fqdn", "expected"),
    [
        ("compute-7", "host.example.org", "compute-7"),
        (None, "host.example.org", "host.example.org"),
        ("", "host.example.org", "host.example.org"),
        (None, "localhost", "configured-host"),
        (None, "localhost.localdomain", "configured-host"),
        (None, "localhost6.localdomain6", "configured-host"),
        (None, "", "configured-host"),
    ],
)
def test_provider_name(configured: str | None, fqdn: str, expected: str) -> None:
    conf = make_conf(
        DEFAULT={"host": "configured-host"}, agent={"resource_provider_name": configured}
    )
    assert provider_name(conf, lambda: fqdn) == expected


def test_a_configured_name_asks_no_name_server() -> None:
    def refuse() -> str:
        raise AssertionError

    conf = make_conf(agent={"resource_provider_name": "compute-7"})
    assert provider_name(conf, refuse) == "compute-7"


def test_by_default_the_system_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    fqdn = socket.getfqdn()
    conf = make_conf(DEFAULT={"host": "configured-host"})
    assert provider_name(conf) in {fqdn, "configured-host"}
