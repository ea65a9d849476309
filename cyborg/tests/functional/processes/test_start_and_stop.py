"""How processes begin and end: whole or not at all, and one a directory."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyborg.tests.functional.processes.harness import (
    Api,
    Deployment,
    Process,
    deployed,
    free_port,
    wait_for,
)

#: A command, with one thing broken that a thread of it does.
BROKEN = {
    "conductor: rpc": ("conductor", "from cyborg.rpc.server import Server as it; name = '_serve'"),
    "conductor: looks": (
        "conductor",
        "from cyborg.conductor.service import ConductorService as it; name = '_look_after'",
    ),
    "conductor: start": (
        "conductor",
        "from cyborg.conductor.service import ConductorService as it; name = '_serve'",
    ),
    "agent: reports": ("agent", "from cyborg.agent.report import Reporter as it; name = 'run'"),
    "agent: rpc": ("agent", "from cyborg.rpc.server import Server as it; name = '_serve'"),
    "agent: connect": ("agent", "from cyborg.rpc.caller import Caller as it; name = '_reach'"),
    "api: connect": ("api", "from cyborg.rpc.caller import Caller as it; name = '_reach'"),
    "api: http": ("api", "from cheroot.wsgi import Server as it; name = 'serve'"),
    "library": (
        "conductor",
        "from oslo_messaging._drivers.base import PollStyleListenerAdapter as it; name = '_runner'",
    ),
}

LAUNCHER = """
from cyborg.cmd.{command} import main
{what}
def broken(*arguments):
    raise RuntimeError("what nobody thought of")
broken.__globals__["__name__"] = it.__module__
setattr(it, name, broken)
broken.__globals__["__name__"] = "__main__"
main()
"""


@pytest.fixture
def deployment(tmp_path: Path, mariadb_url: str, rabbit_url: str) -> Iterator[Deployment]:
    """A deployment with a schema and no processes."""
    with deployed(tmp_path, mariadb_url, rabbit_url) as made:
        made.dbsync()
        yield made


@pytest.mark.parametrize("what", BROKEN)
def test_a_process_that_lost_a_thread_ends(deployment: Deployment, what: str) -> None:
    command, statements = BROKEN[what]
    code = LAUNCHER.format(command=command, what=statements)
    if what == "library":
        code = code.replace('= "__main__"', '= "oslo_messaging.test"')
    config = deployment.config(
        command,
        agent={"resource_provider_name": "compute-1"},
        DEFAULT={"graceful_shutdown_timeout": 2, "state_path": deployment.folder},
    )
    process = Process("python", ["-c", code, "--config-file", config], deployment.folder / "log")
    deployment.processes.append(process.start())
    wait_for("its end", lambda: not process.alive())
    assert process.end() == 1
    text = process.text()
    assert text.count(" CRITICAL ") == text.count("thread lost name=") >= 1
    assert "RuntimeError: what nobody thought of" in text
    assert "stopped" in text.splitlines()[-1]


class Standalone:
    """The command with a data folder and a port of its own."""

    def __init__(self, folder: Path, name: str = "out", **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.api = Api(f"http://127.0.0.1:{self.port}")
        arguments = [f"--data-dir={folder / 'data'}", f"--port={self.port}"]
        self.process = Process(
            "cyborg-standalone", arguments, folder / f"{name}.log", environment=environment
        )

    def answers(self) -> bool:
        assert self.process.alive(), self.process.text()
        return self.api.status("GET", "/") == 200


@pytest.fixture
def standalone(tmp_path: Path) -> Iterator[Standalone]:
    """The service, not running yet."""
    made = Standalone(tmp_path)
    yield made
    if made.process.alive():
        made.process.end(signal.SIGKILL)


def refused(process: Process, *, patience: float = 10) -> str:
    """Return the last line of a process that ends with status 2, by itself and at once."""
    began = time.monotonic()
    process.start()
    assert process.child is not None
    assert process.child.wait(patience) == 2
    assert time.monotonic() - began < patience
    assert "Traceback" not in process.text()
    return process.text().splitlines()[-1]


def test_a_standalone_whose_agent_cannot_start_ends(standalone: Standalone) -> None:
    standalone.process.start()
    wait_for("the service", standalone.answers)
    assert standalone.process.end() == 0
    path = standalone.folder / "data" / "cyborg.conf"
    path.write_text(path.read_text().replace("= fake_driver", "= no_such_driver"))
    line = refused(standalone.process)
    assert line.startswith("cyborg-standalone: ")
    assert "no_such_driver" in line


def test_a_standalone_whose_database_is_unusable_ends(standalone: Standalone) -> None:
    standalone.process.start()
    wait_for("the service", standalone.answers)
    assert standalone.process.end() == 0
    for path in (standalone.folder / "data").glob("cyborg.sqlite*"):
        path.unlink()
    (standalone.folder / "data" / "cyborg.sqlite").write_text("no database at all " * 100)
    standalone.process.start()
    wait_for("its end", lambda: not standalone.process.alive(), patience=15)
    assert standalone.process.end() != 0


def test_a_data_directory_is_one_process_only(standalone: Standalone) -> None:
    standalone.process.start()
    wait_for("the service", standalone.answers)
    second = Standalone(standalone.folder, "second")
    line = refused(second.process)
    assert standalone.process.child is not None
    pid = standalone.process.child.pid
    assert f"{standalone.folder / 'data'} is in use by process {pid};" in line
    assert standalone.answers()
    standalone.process.end(signal.SIGKILL)
    second.process.start()
    wait_for("the second", second.answers)
    assert second.process.end() == 0


def test_a_state_path_is_one_agent_only(deployment: Deployment) -> None:
    first = deployment.agent("compute-1", DEFAULT={"state_path": deployment.folder / "state"})
    wait_for("the first", lambda: "agent started" in first.text())
    config = deployment.config(
        "other",
        agent={"resource_provider_name": "compute-2"},
        DEFAULT={"state_path": deployment.folder / "state"},
    )
    log = deployment.folder / "other.log"
    second = Process("cyborg-agent", ["--config-file", config], log)
    deployment.processes.append(second)
    line = refused(second)
    assert first.child is not None
    assert (
        f"{deployment.folder / 'state' / 'agent'} is in use by process {first.child.pid};" in line
    )
    assert first.end() == 0
    second.start()
    wait_for("the other", lambda: "agent started" in second.text())


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_a_data_directory_is_its_owners(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        standalone = Standalone(tmp_path)
        standalone.process.start()
    finally:
        os.umask(before)
    try:
        wait_for("the service", standalone.answers)
        wait_for("its device", lambda: standalone.api.get("/v2/devices")["devices"])
        standalone.api.profile("one")
        data = tmp_path / "data"
        found = {str(path.relative_to(data)): path for path in data.rglob("*")}
        assert {"cyborg.conf", "cyborg.sqlite", "cyborg.log", "clouds.yaml", "bitstreams"} <= {
            *found
        }
        for path in (data, *found.values()):
            mode = oct(path.stat().st_mode & 0o777)
            assert mode == ("0o700" if path.is_dir() else "0o600"), path
        assert re.search(r"inventory reported", standalone.process.text())
    finally:
        standalone.process.end(signal.SIGKILL)
