"""Our processes, which can be killed, frozen, told to stop, and begun again."""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from machine import BOOT_ID
from settings import Groups, Settings

from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.processes.cloud import Cloud
from cyborg.tests.functional.processes.harness import Api, Process, wait_for
from cyborg.tests.servers.keeper import processes_below, send

CONDUCTORS = ("conductor-1", "conductor-2")
API = "api"
#: The agent's command.
MACHINE = Path(__file__).with_name("machine.py")

_UWSGI = (
    "--master",
    "--processes=2",
    "--threads=24",
    "--listen=100",
    "--no-orphans",
    "--die-on-term",
    # SIGTERM, as every service manager sends it, lets requests end.
    "--hook-master-start=unix_signal:15 gracefully_kill_them_all",
    "--worker-reload-mercy=30",
    "--add-header=Connection: close",
    "--module=cyborg.wsgi.api:application",
)


class Processes(ABC):
    """Those of a deployment, by name: the conductors, the hosts of the agents, and the API."""

    cloud: Cloud

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.hosts = {host.name: host for host in settings.hosts}
        self.processes: dict[str, Process] = {}
        #: How often each was started.
        self.starts: Counter[str] = Counter()
        self._frozen: set[str] = set()

    @abstractmethod
    def seen(self, host: str) -> Any:
        """Return when a host's agent was heard last."""

    @abstractmethod
    def as_admin(self) -> Api:
        """Return the API as an operator uses it."""

    @abstractmethod
    def log(self, name: str) -> str:
        """Return all that a process has printed."""

    def begin(self, name: str, **groups: Any) -> Process:
        """Start a process that does not run, with the configuration that it has by default.

        :param groups: changes by group.
        """
        ours = self.cloud.ours
        if name in CONDUCTORS:
            process = ours.conductor(name, **groups)
        elif name == API:
            process = ours.wsgi("uwsgi", *_UWSGI, f"--http-socket=127.0.0.1:{ours.port}")
        else:
            process = self._begin_agent(name, groups)
        self.processes[name] = process
        self.starts[name] += 1
        return process

    def _begin_agent(self, name: str, changes: Groups) -> Process:
        ours = self.cloud.ours
        own = {"fake_driver": self.hosts[name].fake_driver(), **changes}
        config = ours.config(name, **self._own(name), **own)
        arguments = [str(MACHINE), str(self.machine(name)), "--config-file", config]
        environment = ours.environments.get(name, {})
        log = self.folder / f"{name}.log"
        process = Process("python", arguments, log, environment=environment).start()
        ours.processes.append(process)
        return process

    def machine(self, name: str) -> Path:
        """Return the folder that says how the machine of a host is."""
        folder = self.folder / name / "machine"
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.joinpath(BOOT_ID).write_text(new_uuid())
        return folder

    def _own(self, name: str) -> dict[str, Any]:
        return {
            "agent": {"resource_provider_name": name},
            "DEFAULT": {"state_path": self.folder / name},
        }

    def begin_anew(self, name: str, patience: float = 30) -> float:
        """Start a process again; return how many seconds it took until it did its work."""
        began = time.monotonic()
        seen = self.seen(name) if name in self.hosts else None
        self.begin(name)
        wait_for(f"{name} at work", partial(self._works, name, seen), patience)
        return time.monotonic() - began

    def _works(self, name: str, seen: Any) -> bool:
        if name in CONDUCTORS:
            return self.log(name).count("conductor serves") >= self.starts[name]
        if name == API:
            return self.as_admin().status("GET", "/v2") == 200
        return self.is_seen_after(name, seen)

    def is_seen_after(self, host: str, before: Any) -> bool:
        """Return whether a host's agent was heard since."""
        return bool(self.seen(host) > before)

    def kill(self, name: str) -> None:
        """End a process with SIGKILL."""
        self._drop(name).end(signal.SIGKILL)

    def terminate(self, name: str, patience: float = 60) -> int:
        """End a process with SIGTERM; return its status."""
        return self._drop(name).end(signal.SIGTERM, patience)

    def freeze(self, name: str) -> None:
        """Stop a process, and those below it, where it is."""
        self._frozen.add(name)
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let a frozen process go on."""
        self._frozen.discard(name)
        self._signal(name, signal.SIGCONT)

    def reload(self, name: str, **fake_driver: Any) -> None:
        """Change the fake devices of a host while its agent runs; the others stay as they were."""
        fake = self.hosts[name].fake_driver(**fake_driver)
        self.cloud.ours.config(name, **self._own(name), fake_driver=fake)
        process = self.processes[name]
        before = process.text().count("configuration read again")
        process.send(signal.SIGHUP)
        wait_for("a new configuration", lambda: process.text().count("configuration read") > before)

    def thaw_all(self) -> None:
        """Let all that is frozen go on."""
        for name in set(self._frozen):
            self.thaw(name)

    def _drop(self, name: str) -> Process:
        process = self.processes.pop(name)
        self.cloud.ours.processes.remove(process)
        return process

    def _signal(self, name: str, number: int) -> None:
        process = self.processes.get(name)
        if process is not None and process.child is not None and process.alive():
            for pid in (process.child.pid, *processes_below(process.child.pid)):
                send(pid, number)
