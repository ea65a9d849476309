"""The commands: their options, their refusals, and what they never load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cyborg.tests.functional.processes.harness import COMMANDS
from cyborg.version import version

SERVICES = ("cyborg-api", "cyborg-conductor", "cyborg-agent", "cyborg-standalone")
ALL = (*SERVICES, "cyborg-dbsync")

MODULES = (
    "cyborg.cmd.api",
    "cyborg.cmd.conductor",
    "cyborg.cmd.agent",
    "cyborg.cmd.standalone",
    "cyborg.cmd.dbsync",
    "cyborg.cmd.manage",
    "cyborg.cmd.audit",
    "cyborg.cmd.bootstrap",
)


def run(command: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMANDS / command, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        check=False,
    )


def config(folder: Path, text: str) -> str:
    path = folder / "cyborg.conf"
    path.write_text(f"[database]\nconnection = sqlite:///{folder}/c.sqlite\n{text}\n")
    return f"--config-file={path}"


@pytest.mark.parametrize("command", ALL)
def test_version_and_help(command: str, tmp_path: Path) -> None:
    shown = run(command, "--version", cwd=tmp_path)
    assert (shown.returncode, shown.stdout.strip()) == (0, f"{command} {version()}")
    helped = run(command, "--help", cwd=tmp_path)
    assert helped.returncode == 0
    assert "--config-file" in helped.stdout
    assert list(tmp_path.iterdir()) == [], "asking left something behind"


@pytest.mark.parametrize("command", ALL)
def test_an_unknown_option_is_one_line(command: str, tmp_path: Path) -> None:
    refused = run(command, "--no-such-option", cwd=tmp_path)
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert line.startswith(command)
    assert refused.stdout == ""


@pytest.mark.parametrize("command", SERVICES[:3])
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[api]\nport = 99999999", "port"),
        ("[api]\nthreads = 0", "threads"),
        ("[conductor]\njob_lease = soon", "job_lease"),
        ("[fake_driver]\ndevices = -3", "devices"),
        ("[DEFAULT]\nauth_strategy = maybe", "auth_strategy"),
        ("[DEFAULT\nhost = x", "cyborg.conf"),
    ],
)
def test_a_wrong_value_is_one_line(command: str, text: str, name: str, tmp_path: Path) -> None:
    refused = run(command, config(tmp_path, text), cwd=tmp_path)
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert line.startswith(f"{command}: ")
    assert name in line


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    refused = run("cyborg-conductor", "--config-file=/no/such/file", cwd=tmp_path)
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert "/no/such/file" in line


@pytest.mark.parametrize("command", ["cyborg-conductor", "cyborg-api"])
def test_a_missing_database_is_one_line(command: str, tmp_path: Path) -> None:
    path = tmp_path / "cyborg.conf"
    path.write_text("[DEFAULT]\nauth_strategy = noauth\n")
    refused = run(command, f"--config-file={path}", cwd=tmp_path)
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert "[database]" in line


def test_keystone_without_credentials_is_one_line(tmp_path: Path) -> None:
    refused = run("cyborg-api", config(tmp_path, "[api]\nport = 0"), cwd=tmp_path)
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert "[keystone_authtoken]" in line


@pytest.mark.parametrize("group", ["placement", "nova"])
@pytest.mark.parametrize(
    "text", ["auth_type = password", "auth_type = no_such_plugin", "auth_section = nowhere"]
)
def test_credentials_that_cannot_be_used_are_one_line(
    group: str, text: str, tmp_path: Path
) -> None:
    refused = run("cyborg-conductor", config(tmp_path, f"[{group}]\n{text}"), cwd=tmp_path)
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert f"[{group}]" in line


@pytest.mark.parametrize("text", ["", "[ssl]\ncert_file = /none\nkey_file = /none"])
def test_https_without_a_certificate_is_one_line(text: str, tmp_path: Path) -> None:
    noauth = f"[DEFAULT]\nauth_strategy = noauth\n[api]\nport = 0\nenable_ssl_api = true\n{text}"
    refused = run("cyborg-api", config(tmp_path, noauth), cwd=tmp_path)
    assert refused.returncode == 2
    assert "[ssl]" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr


def test_an_unreadable_policy_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text('"cyborg:device:get_all": "role:reader')
    text = (
        "[DEFAULT]\nauth_strategy = noauth\n[api]\nport = 0\n"
        f"[oslo_policy]\npolicy_file = {tmp_path}/policy.yaml"
    )
    refused = run("cyborg-api", config(tmp_path, text), cwd=tmp_path)
    assert refused.returncode == 2
    assert "policy.yaml" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr


def test_an_unknown_driver_is_one_line(tmp_path: Path) -> None:
    text = "[agent]\nenabled_drivers = no_such_driver"
    refused = run("cyborg-agent", config(tmp_path, text), cwd=tmp_path)
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert "no_such_driver" in line
    assert "fake_driver" in line, "it does not say which there are"


def test_an_api_for_everybody_is_not_opened_to_others(tmp_path: Path) -> None:
    text = "[DEFAULT]\nauth_strategy = noauth\n[api]\nhost_ip = 0.0.0.0\nport = 0"
    refused = run("cyborg-api", config(tmp_path, text), cwd=tmp_path)
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert "0.0.0.0" in line


def test_dbsync(tmp_path: Path) -> None:
    option = config(tmp_path, "")
    assert run("cyborg-dbsync", option, "version", cwd=tmp_path).stdout == "none\n"
    assert run("cyborg-dbsync", option, "upgrade", cwd=tmp_path).returncode == 0
    known = run("cyborg-dbsync", option, "version", cwd=tmp_path).stdout
    assert known != "none\n"
    assert run("cyborg-dbsync", option, "upgrade", cwd=tmp_path).returncode == 0
    wrong = run("cyborg-dbsync", option, "upgrade", "--revision", "nonsense", cwd=tmp_path)
    assert wrong.returncode == 1
    assert len(wrong.stderr.splitlines()) == 1
    stamped = run("cyborg-dbsync", option, "stamp", "--revision", "base", cwd=tmp_path)
    assert stamped.returncode == 0
    assert run("cyborg-dbsync", option, "version", cwd=tmp_path).stdout == "none\n"
    nothing = run("cyborg-dbsync", option, cwd=tmp_path)
    assert nothing.returncode == 2


def test_dbsync_without_a_server_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "cyborg.conf"
    path.write_text("[database]\nconnection = mysql+pymysql://root@127.0.0.1:1/none\n")
    refused = run("cyborg-dbsync", f"--config-file={path}", "upgrade", cwd=tmp_path)
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("module", MODULES)
def test_eventlet_is_never_loaded(module: str, tmp_path: Path) -> None:
    code = (
        f"import {module}, sys\n"
        "assert sys.modules['eventlet'] is None\n"
        "loaded = [name for name in sys.modules if name.split('.')[0] in ('eventlet', 'greenlet')"
        " and sys.modules[name] is not None]\n"
        "assert not [name for name in loaded if name.startswith('eventlet')], loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr


def test_eventlet_is_never_loaded_by_the_wsgi_application(tmp_path: Path) -> None:
    folder = tmp_path / ".cyborg"
    folder.mkdir()
    (folder / "cyborg.conf").write_text(
        f"[DEFAULT]\nauth_strategy = noauth\ntransport_url = fake://\n"
        f"[database]\nconnection = sqlite:///{tmp_path}/c.sqlite\n"
    )
    code = (
        "import cyborg.wsgi.api, sys\n"
        "assert callable(cyborg.wsgi.api.application)\n"
        "assert cyborg.wsgi.api.cfg.CONF.transport_url == 'fake://'\n"
        "assert sys.modules['eventlet'] is None\n"
        "assert not [name for name in sys.modules if name.startswith('eventlet.')]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
