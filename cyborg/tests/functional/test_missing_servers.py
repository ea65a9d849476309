"""Where a private server is not installed: its tests are skipped and named, or fail in CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cyborg.tests.servers import Keystone, MariaDB, RabbitMQ
from cyborg.tests.servers.installed import CyborgClient, NotInstalledError, OpenStackClients

TOP = Path(__file__).resolve().parents[3]

TESTS = """
from cyborg.tests.servers.installed import OpenStackClients
from cyborg.tests.servers.plugin import require

def test_clients():
    require(OpenStackClients)

def test_mariadb(mariadb_url):
    assert mariadb_url

def test_mariadb_again(mariadb):
    assert mariadb

def test_rabbitmq(rabbit_url):
    assert rabbit_url

def test_placement(empty_placement):
    assert empty_placement

def test_nothing():
    pass
"""


def run_pytest(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        key: value
        for key, value in os.environ.items()
        if key != "CI" and not key.startswith(("CYBORG_TEST_", "PYTEST_"))
    }
    plugins = ["-p", "cyborg.tests.servers.plugin", "-p", "no:cacheprovider"]
    options = ["--color=no", "-rs", "-p", "no:warnings", "--rootdir", str(folder)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *options, str(folder)],
        cwd=folder,
        env=inherited | {"PYTHONPATH": str(TOP)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_names_of_missing_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYBORG_TEST_WITHOUT", "mariadb,rabbitmq,keystone")
    assert Keystone.missing() == ["keystone-manage", "python"]
    assert MariaDB.missing() == ["mariadbd", "mariadb-install-db"]
    assert RabbitMQ.missing() == ["rabbitmq-server", "epmd", "erl_call"]


def test_an_environment_that_was_not_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CYBORG_TEST_OPENSTACK", str(tmp_path))
    monkeypatch.setenv("CYBORG_TEST_CLIENT", str(tmp_path))
    assert OpenStackClients.missing() == ["tempest", "openstack", "stestr", "python"]
    with pytest.raises(NotInstalledError, match="OpenStack clients: python is not installed"):
        OpenStackClients.binary("python")
    program = tmp_path / "bin" / "openstack"
    program.parent.mkdir()
    program.touch()
    assert CyborgClient.missing() == []
    assert CyborgClient.binary("openstack") == str(program)


def test_missing_servers_are_skipped_and_named_last(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    without = "mariadb,rabbitmq,placement,clients"
    result = run_pytest(tmp_path, CYBORG_TEST_WITHOUT=without)
    assert result.returncode == 0
    assert "no MariaDB server (mariadbd): run 'make deps'" in result.stdout
    assert "no RabbitMQ server (rabbitmq-server): run 'make deps'" in result.stdout
    assert "no Placement (placement-manage): run 'make .venv-services/.made'" in result.stdout
    *_, summary, first, second, third, fourth = result.stdout.splitlines()
    assert "1 passed, 5 skipped" in summary
    assert first.startswith("No MariaDB server found: 2 tests were skipped; 'make deps' installs")
    assert second.startswith("No RabbitMQ server found: 1 test was skipped; 'make deps' installs")
    assert third.startswith("No Placement found: 1 test was skipped; 'make .venv-services/.made'")
    assert fourth.startswith("No OpenStack clients found: 1 test was skipped; 'make .venv-openst")


@pytest.mark.parametrize("true", ["1", "true", "YES"])
def test_missing_servers_fail_in_ci(tmp_path: Path, true: str) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    without = "mariadb,rabbitmq,placement,clients"
    result = run_pytest(tmp_path, CYBORG_TEST_WITHOUT=without, CI=true)
    assert result.returncode == 1
    assert "1 failed, 1 passed, 4 errors" in result.stdout.splitlines()[-1]
    assert "no MariaDB server (mariadbd): run 'make deps'" in result.stdout
