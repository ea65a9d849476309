"""Our service beside the stack: two conductors, an agent a host, the API."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import requests
import settings
from bootstrap import REPOSITORY
from commands import run
from database import Database
from hardware import Hardware
from process import Process
from proxy import Proxy, address_in, through
from settings import CONDUCTORS
from stack import Stack
from waiting import Hopeless, wait_for

_STOP_PATIENCE = 20.0
_RELOADED = "configuration read again"


class Service:
    """The processes of one deployment, with a database of their own."""

    def __init__(
        self, folder: Path, stack: Stack, hardware: type[Hardware], *, uwsgi: bool = False
    ) -> None:
        self.url = f"http://127.0.0.1:{stack.port}"
        self.hosts = stack.hosts
        self.database = Database(stack.facts["MS_DB_URL"])
        #: Our ways to the database and to the message queue.
        self.ways = {
            "database": Proxy(*address_in(stack.facts["MS_DB_URL"], 3306)),
            "queue": Proxy(*address_in(stack.facts["MS_TRANSPORT_URL"], 5672)),
        }
        self._folder = folder
        self._facts = {
            **stack.facts,
            "MS_DB_URL": through(stack.facts["MS_DB_URL"], self.ways["database"].port),
            "MS_TRANSPORT_URL": through(stack.facts["MS_TRANSPORT_URL"], self.ways["queue"].port),
        }
        self._port = stack.port
        self._uwsgi = uwsgi
        self._commands = REPOSITORY / ".venv" / "bin"
        self._processes: dict[str, Process] = {}
        self.equip(hardware)

    # -- all of it

    def start(self) -> None:
        """Start everything on an empty database, and wait until the API answers."""
        self.prepare()
        self.launch_all()
        self.wait_for_api()

    def launch_all(self) -> None:
        """Start everything, on the database as it is, and wait for nothing."""
        for name in (*CONDUCTORS, *self.hosts, "api"):
            self.launch(name)

    def prepare(self) -> None:
        """Make an empty database with our schema, and healthy hardware."""
        self.hardware.build()
        self.database.recreate()
        path = self._write("dbsync")
        run([str(self._commands / "cyborg-dbsync"), "--config-file", path, "upgrade"])

    def wait_for_api(self) -> None:
        """Wait until the API answers; a process that has ended is a failure."""
        wait_for(f"an answer of {self.url}", self._answers, 60)

    def stop(self) -> None:
        """Stop everything."""
        for way in self.ways.values():
            way.mend()
        self.end(*self._processes)
        for process in self._processes.values():
            process.kill()

    def running(self) -> bool:
        """Return whether all processes run that were started."""
        return bool(self._processes) and all(p.alive() for p in self._processes.values())

    # -- single processes

    def launch(self, name: str, *, uwsgi: bool | None = None) -> None:
        """Start a process: a conductor, the agent of a host, or ``api``."""
        arguments, env = self._command(name, self._uwsgi if uwsgi is None else uwsgi)
        process = Process(name, arguments, self._folder / f"{name}.log", env)
        process.start()
        self._processes[name] = process

    def kill(self, name: str) -> None:
        """End a process with SIGKILL."""
        self._processes[name].kill()

    def end(self, *names: str) -> None:
        """End processes in the polite way, all at the same time."""
        for name in names:
            self._processes[name].send(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_PATIENCE
        for name in names:
            self._processes[name].wait(max(0.1, deadline - time.monotonic()))

    def log(self, name: str) -> str:
        """Return all that a process has logged."""
        return self._processes[name].text()

    def logs(self) -> dict[str, str]:
        """Return the ends of all logs."""
        return {f"{name}.log": self.log(name)[-60_000:] for name in self._processes}

    # -- the hardware

    def equip(self, hardware: type[Hardware]) -> None:
        """Let the hosts have hardware of another kind from the next start on."""
        self.hardware = hardware(self._folder, self.hosts)

    def change(self, **changes: Any) -> None:
        """Change the hardware of all hosts; what is not named is as between the flows.

        Returns when the agents have taken it and the conductor knows of it.
        """
        if self.hardware.change(**changes):
            for host in self.hosts:
                self._reload(self._processes[host])
        self.wait_for_reports()

    def wait_for_reports(self) -> None:
        """Wait until the conductor has recorded the devices as they are now."""
        wait_for("the agents' reports of their devices", self._reported, 40)

    # -- how

    def _answers(self) -> bool:
        dead = [process.name for process in self._processes.values() if not process.alive()]
        if dead:
            raise Hopeless(f"ended: {', '.join(dead)}")
        try:
            return requests.get(f"{self.url}/", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def _reload(self, process: Process) -> None:
        before = process.text().count(_RELOADED)
        self._write(process.name)
        process.send(signal.SIGHUP)
        if process.alive():
            wait_for(
                f"{process.name} to read its configuration again",
                lambda: process.text().count(_RELOADED) > before,
                10,
                0.1,
            )

    def _reported(self) -> bool:
        wanted = {each.uuid: each.total for each in self.hardware.deployables()}
        rows = self.database.deployables()
        ready = sum(handles for _, handles in rows.values()) + len(self.database.quarantined())
        return (
            {provider: accelerators for provider, (accelerators, _) in rows.items()} == wanted
            and ready == sum(wanted.values())
            and self.database.count_of_kind(*self.hardware.needs()) == len(rows)
        )

    def _command(self, name: str, uwsgi: bool) -> tuple[list[str], dict[str, str]]:
        path = self._write(name)
        if name == "api" and uwsgi:
            return self._uwsgi_command(path)
        if name in self.hosts:
            command = self.hardware.agent(self._commands, name)
        else:
            program = "api" if name == "api" else "conductor"
            command = [str(self._commands / f"cyborg-{program}")]
        return [*command, "--config-file", path], {}

    def _uwsgi_command(self, config: str) -> tuple[list[str], dict[str, str]]:
        # Where cyborg.wsgi.api finds its configuration: the home directory's .cyborg.
        home = self._folder / "home"
        (home / ".cyborg").mkdir(parents=True, exist_ok=True)
        (home / ".cyborg" / "cyborg.conf").write_text(Path(config).read_text())
        arguments = [
            str(Path(os.environ["MS_VENV"], "bin", "uwsgi")),
            *("--http-socket", f"127.0.0.1:{self._port}"),
            *("--module", "cyborg.wsgi.api:application"),
            *("--virtualenv", str(self._commands.parent), "--master", "--processes", "2"),
            *("--threads", "4", "--enable-threads", "--die-on-term", "--need-app"),
            # Nova keeps its connections, which a plain http-socket does not.
            *("--buffer-size", "65535", "--add-header", "Connection: close"),
        ]
        return arguments, {"HOME": str(home)}

    def _write(self, name: str) -> str:
        if name in self.hosts:
            values = settings.of_agent(name, self._folder, self._facts, self.hardware)
        else:
            values = settings.of_controller(name, self._folder, self._facts, self._port)
        return settings.write(self._folder / f"{name}.conf", values)
