import socket
import time

import pytest

from cyborg.agent.identity import boot_age, introduction, provider_name
from cyborg.domain.agents import AgentIdentity, identity_of
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


def test_what_an_agent_says_of_itself_is_understood() -> None:
    said = introduction("boot-1", 60.0, lambda: 7.5)
    assert said == {"boot_id": "boot-1", "boot_age": 7.5, "interval": 60.0}
    assert identity_of(said) == AgentIdentity("boot-1", 7.5, 60.0)


def test_where_boots_have_no_names_nothing_is_said() -> None:
    def refuse() -> float:
        raise AssertionError

    assert introduction("", 60.0, refuse) is None


def test_the_age_of_this_boot() -> None:
    before, monotonic = boot_age(), time.monotonic()
    assert monotonic <= before + 1, "time in which the machine sleeps counts too"
    assert before <= boot_age() <= before + 60
