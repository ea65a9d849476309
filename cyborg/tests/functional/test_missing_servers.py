"""Where a private server is not installed: its tests are skipped and named, or fail in CI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cyborg.tests.servers import Keystone, MariaDB, RabbitMQ

TOP = Path(__file__).resolve().parents[3]

TESTS = """
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


def test_missing_servers_are_skipped_and_named_last(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    without = "mariadb,rabbitmq,placement"
    result = run_pytest(tmp_path, CYBORG_TEST_WITHOUT=without)
    assert result.returncode == 0
    assert "no MariaDB server (mariadbd): run 'make deps'" in result.stdout
    assert "no RabbitMQ server (rabbitmq-server): run 'make deps'" in result.stdout
    assert "no Placement (placement-manage): run 'make .venv-services/.made'" in result.stdout
    *_, summary, first, second, third = result.stdout.splitlines()
    assert "1 passed, 4 skipped" in summary
    assert first.startswith("No MariaDB server found: 2 tests were skipped; 'make deps' installs")
    assert second.startswith("No RabbitMQ server found: 1 test was skipped; 'make deps' installs")
    assert third.startswith("No Placement found: 1 test was skipped; 'make .venv-services/.made'")


@pytest.mark.parametrize("true", ["1", "true", "YES"])
def test_missing_servers_fail_in_ci(tmp_path: Path, true: str) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    without = "mariadb,rabbitmq,placement"
    result = run_pytest(tmp_path, CYBORG_TEST_WITHOUT=without, CI=true)
    assert result.returncode == 1
    assert "1 passed, 4 errors" in result.stdout.splitlines()[-1]
    assert "no MariaDB server (mariadbd): run 'make deps'" in result.stdout
