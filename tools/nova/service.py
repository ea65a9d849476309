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
from process import Process
from proxy import Proxy, address_in, through
from settings import CONDUCTORS, FAKE
from stack import Stack
from waiting import Hopeless, wait_for

_STOP_PATIENCE = 20.0
_RELOADED = "configuration read again"


class Service:
    """The processes of one deployment, with a database of their own."""

    def __init__(self, folder: Path, stack: Stack, *, uwsgi: bool = False) -> None:
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
        self._fake = dict(FAKE)

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
        """Make an empty database with our schema, and healthy fake devices."""
        self._fake = dict(FAKE)
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

    # -- the fake driver

    def fake(self, **changes: Any) -> None:
        """Change the fake devices of all hosts; settings that are not named get their default.

        Returns when the agents have taken it and the conductor knows of it.
        """
        wanted = {**FAKE, **changes}
        if wanted != self._fake:
            self._fake = wanted
            for host in self.hosts:
                self._reload(self._processes[host])
        self.wait_for_reports()

    def wait_for_reports(self) -> None:
        """Wait until the conductor has recorded the devices as they are now."""
        wait_for("the agents' reports of their devices", self._reported, 40)

    def handles(self) -> int:
        """Return how many attach handles each device has."""
        return int(self._fake["handles"])

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
        fake = self._fake
        total = int(fake["handles"])
        rows = self.database.deployables().values()
        ready = sum(handles for _, handles in rows) + len(self.database.quarantined())
        prepare = bool(fake["prepare_delay"] or fake["prepare_failures"])
        release = prepare or bool(fake["release_delay"] or fake["release_failures"])
        return (
            len(rows) == len(self.hosts) * int(fake["devices"])
            and all(accelerators == total for accelerators, _ in rows)
            and ready == total * len(rows)
            and self.database.count_of_kind(prepare, release) == len(rows)
        )

    def _command(self, name: str, uwsgi: bool) -> tuple[list[str], dict[str, str]]:
        path = self._write(name)
        if name == "api" and uwsgi:
            return self._uwsgi_command(path)
        command = "api" if name == "api" else "conductor" if name in CONDUCTORS else "agent"
        return [str(self._commands / f"cyborg-{command}"), "--config-file", path], {}

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
            values = settings.of_agent(name, self._folder, self._facts, self._fake)
        else:
            values = settings.of_controller(name, self._folder, self._facts, self._port)
        return settings.write(self._folder / f"{name}.conf", values)
