"""Starting, asking and ending the service's processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from cyborg.domain.clock import new_uuid

#: Where pip put our commands.
COMMANDS = Path(sys.executable).parent

PATIENCE = 60.0


def wait_for(what: str, condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Return the condition's first true value; fail with ``what`` after a while."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited in vain: {what}")


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Process:
    """One of our commands."""

    command: str
    arguments: list[str]
    log: Path
    child: subprocess.Popen[bytes] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)  # beside our own

    def start(self) -> Process:
        """Start it; returns at once."""
        with self.log.open("ab") as output:
            self.child = subprocess.Popen(
                [str(COMMANDS / self.command), *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment},
            )
        return self

    def text(self) -> str:
        """Return all it has printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def alive(self) -> bool:
        """Return whether it runs."""
        return self.child is not None and self.child.poll() is None

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self.child is not None
        self.child.send_signal(number)

    def end(self, number: int = signal.SIGTERM, patience: float = 40) -> int:
        """Send it a signal, wait for its end, and return its exit status."""
        assert self.child is not None
        if self.alive():
            self.child.send_signal(number)
        try:
            return self.child.wait(patience)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError(f"{self.command} did not end:\n{self.text()[-3000:]}") from None


@dataclass
class Api:
    """The HTTP API as a client sees it."""

    url: str
    session: requests.Session = field(default_factory=requests.Session)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """Send one request, on the newest microversion."""
        return self.session.request(
            method,
            self.url + path,
            json=body,
            headers={"OpenStack-API-Version": "accelerator latest", **headers},
            timeout=60,
        )

    def get(self, path: str) -> Any:
        """GET and return the body; anything but 200 is a failure."""
        answer = self.ask("GET", path)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()

    def status(self, method: str, path: str, body: Any = None) -> int | None:
        """Return the status only, None if nobody answers."""
        try:
            return self.ask(method, path, body).status_code
        except requests.ConnectionError:
            return None

    def profile(self, name: str, *groups: Mapping[str, str]) -> str:
        """Make a profile, of one FPGA by default."""
        body = [{"name": name, "groups": list(groups) or [{"resources:FPGA": "1"}]}]
        answer = self.ask("POST", "/v2/device_profiles", body)
        assert answer.status_code == 201, answer.text
        return name

    def arqs(self, profile: str) -> list[str]:
        """Make ARQs of a profile."""
        answer = self.ask("POST", "/v2/accelerator_requests", {"device_profile_name": profile})
        assert answer.status_code == 201, answer.text
        return [arq["uuid"] for arq in answer.json()["arqs"]]

    def bind(self, uuids: list[str], instance: str, host: str, provider: str) -> requests.Response:
        """Bind ARQs as Nova does."""
        values = {"hostname": host, "device_rp_uuid": provider, "instance_uuid": instance}
        patch = [{"op": "add", "path": f"/{key}", "value": value} for key, value in values.items()]
        return self.ask("PATCH", "/v2/accelerator_requests", dict.fromkeys(uuids, patch))

    def program(self, deployable: str, image: str) -> requests.Response:
        """Program a deployable as the SDK does."""
        patch = [{"op": "replace", "path": "/program", "value": [{"image_uuid": image}]}]
        return self.ask("PATCH", f"/v2/deployables/{deployable}/program/{deployable}", patch)

    def of_instance(self, instance: str) -> list[dict[str, Any]]:
        """Return an instance's ARQs."""
        found: list[dict[str, Any]] = self.get(f"/v2/accelerator_requests?instance={instance}")[
            "arqs"
        ]
        return found


class Deployment:
    """Separate processes on a database and a message queue, with changes by group for all."""

    def __init__(
        self, folder: Path, database_url: str, transport_url: str, **groups: Mapping[str, Any]
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.api = Api(f"http://127.0.0.1:{self.port}")
        self.processes: list[Process] = []
        #: What more a process gets in its environment, by its name.
        self.environments: dict[str, Mapping[str, str]] = {}
        self._settings: dict[str, dict[str, Any]] = {
            "DEFAULT": {
                "transport_url": transport_url,
                "auth_strategy": "noauth",
                "state_path": folder,
                "periodic_interval": 2,
                "graceful_shutdown_timeout": 20,
            },
            "database": {"connection": database_url},
            "api": {"port": self.port, "rpc_timeout": 20, "threads": 40},
            "conductor": {"job_poll_interval": 0.2, "job_lease": 3},
            "oslo_messaging_rabbit": {"rabbit_retry_backoff": 1, "rabbit_interval_max": 2},
        }
        for group, values in groups.items():
            self._settings[group] = {**self._settings.get(group, {}), **values}

    def config(self, name: str, **groups: Mapping[str, Any]) -> str:
        """Write a configuration file, with changes by group, and return its path."""
        path = self.folder / f"{name}.conf"
        lines = []
        for group in [*self._settings, *(g for g in groups if g not in self._settings)]:
            lines.append(f"[{group}]")
            values = {**self._settings.get(group, {}), **groups.get(group, {})}
            lines += [f"{key} = {value}" for key, value in values.items()]
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    def dbsync(self) -> None:
        """Bring the schema up to date."""
        subprocess.run(
            [COMMANDS / "cyborg-dbsync", "--config-file", self.config("dbsync"), "upgrade"],
            check=True,
            timeout=PATIENCE,
        )

    def start(self, command: str, name: str, **groups: Mapping[str, Any]) -> Process:
        """Start a process with a configuration of its own."""
        arguments = ["--config-file", self.config(name, **groups)]
        environment = self.environments.get(name, {})
        log = self.folder / f"{name}.log"
        process = Process(command, arguments, log, environment=environment).start()
        self.processes.append(process)
        return process

    def conductor(self, name: str = "conductor", **groups: Mapping[str, Any]) -> Process:
        """Start a conductor."""
        return self.start("cyborg-conductor", name, **{"DEFAULT": {"host": name}, **groups})

    def agent(self, name: str = "compute-1", **groups: Mapping[str, Any]) -> Process:
        """Start the agent of a host."""
        own: dict[str, Mapping[str, Any]] = {
            "agent": {"resource_provider_name": name},
            "DEFAULT": {"state_path": self.folder / name},
        }
        return self.start("cyborg-agent", name, **{**own, **groups})

    def http(self, **groups: Mapping[str, Any]) -> Process:
        """Start the API."""
        return self.start("cyborg-api", "api", **groups)

    def wsgi(self, command: str, *arguments: str) -> Process:
        """Start the API under a WSGI server, where it finds its configuration by itself."""
        home = self.folder / "home"
        (home / ".cyborg").mkdir(parents=True, exist_ok=True)
        self.config("home/.cyborg/cyborg")
        log = self.folder / f"{command}.log"
        environment = {**self.environments.get(command, {}), "HOME": str(home)}
        process = Process(command, list(arguments), log, environment=environment).start()
        self.processes.append(process)
        return process

    def wait_for_device(self, host: str = "compute-1") -> str:
        """Wait until a host's first deployable is there; return its provider."""

        def provider() -> str | None:
            dead = [process.command for process in self.processes if not process.alive()]
            assert not dead, f"ended: {dead}"
            if self.api.status("GET", "/v2/devices") != 200:
                return None
            names = {
                d["name"]: d["rp_uuid"] for d in self.api.get("/v2/deployables")["deployables"]
            }
            return names.get(f"{host}_FakeDevice")

        found: str = wait_for(f"a device of {host}", provider)
        return found

    def logs(self) -> str:
        """Return the ends of all logs, for a failure's report."""
        return "\n".join(
            f"==== {process.log.name}\n{process.text()[-2000:]}" for process in self.processes
        )

    def end(self) -> None:
        """Kill what still runs."""
        for process in self.processes:
            if process.alive():
                process.end(signal.SIGKILL)


@contextmanager
def deployed(
    folder: Path, database_url: str, transport_url: str, **groups: Mapping[str, Any]
) -> Iterator[Deployment]:
    """Return a deployment without processes; end them all afterwards."""
    deployment = Deployment(folder, database_url, transport_url, **groups)
    try:
        yield deployment
    finally:
        # Shown where the test fails.
        print(deployment.logs())
        deployment.end()


@contextmanager
def quorum_queues(folder: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """Return the settings for quorum queues only, with names that do not pile up."""
    name = f"cyborg-{new_uuid()}"
    yield {
        "oslo_concurrency": {"lock_path": folder},
        "oslo_messaging_rabbit": {
            "rabbit_quorum_queue": True,
            "rabbit_transient_quorum_queue": True,
            "use_queue_manager": True,
            "hostname": name,
        },
    }
    # Where oslo.messaging numbers the processes of a host.
    for counter in Path("/dev/shm").glob(f"{name}_*"):
        counter.unlink()


def fault(answer: requests.Response) -> str:
    """Return what an error answer says to its reader."""
    text: str = json.loads(answer.json()["error_message"])["faultstring"]
    return text
