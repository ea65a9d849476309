"""The small OpenStack: its processes, its logs, and the events that its Nova has got."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bootstrap import FOUND, running
from commands import run, uninterrupted

#: Beginnings of names, in the order in which the processes are stopped.
_LAYERS = (
    ("nova-compute",),
    ("nova-", "neutron", "glance", "placement"),
    ("keystone", "memcached"),
)

#: Lines of Nova's logs that are kept when a check fails.
_TELLING = (" ERROR ", " WARNING ", "accelerator", "cyborg")


def service_facts(path: Path) -> dict[str, str]:
    """Return what the stack tells an accelerator service (``service.env``)."""
    lines = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return {name: value.strip().strip('"') for name, value in lines}


class Stack:
    """The stack, which is left as it was found."""

    def __init__(self) -> None:
        self._scripts = Path(os.environ["MS_HERE"])
        self._found = set(os.environ[FOUND].split())
        self._run = Path(os.environ["MS_RUN"])
        self._log = Path(os.environ["MS_LOG"])
        self._mode = self._read_mode()
        self._hold = self._log / "external-events.jsonl.hold"
        self._events = self._log / "external-events.jsonl"
        self._events_seen = 0
        self._marks: dict[Path, int] = {}
        self.port = int(os.environ["MS_PORT_CYBORG"])
        self.facts = service_facts(Path(os.environ["MS_ETC"]) / "service.env")
        self.hosts = self.facts["MS_HOSTS"].split()

    # -- processes

    def start(self) -> None:
        """Start what does not run, and wait until all of it is usable."""
        self._hold.unlink(missing_ok=True)
        with uninterrupted():
            self._script("start.sh", "none", timeout=300)

    def offer(self, url: str) -> None:
        """Point the catalogue's accelerator endpoint to a URL."""
        python = str(Path(os.environ["MS_VENV"], "bin", "python"))
        run([python, str(self._scripts / "provision.py"), "accelerator", url])
        (self._run / "mode").write_text(f"{url}\n")

    def stop(self, *names: str) -> None:
        """Stop some processes at the same time; :meth:`start_again` starts them."""
        with uninterrupted(), ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(lambda name: self._script("stop.sh", name), names))

    def start_again(self) -> None:
        """Start what was stopped, without waiting for it to be usable."""
        with uninterrupted():
            self._script("start.sh", MS_NO_WAIT="1")

    def complete(self) -> bool:
        """Return whether all processes that the flows need run."""
        return self._expected() <= self.alive()

    def alive(self) -> set[str]:
        """Return the names of the processes that run."""
        return running(self._run)

    def leave(self, keep: bool) -> None:
        """Put everything back: what did not run is stopped, unless it is to be kept."""
        self._hold.unlink(missing_ok=True)
        if self._found - self.alive():
            self.start_again()
        if self._mode.startswith("http") and self._mode != self._read_mode():
            self.offer(self._mode)
        elif self._mode:
            (self._run / "mode").write_text(f"{self._mode}\n")
        started = set() if keep else self.alive() - self._found
        for layer in _LAYERS:
            names = [name for name in started if name.startswith(layer)]
            if names:
                self.stop(*names)
            started.difference_update(names)

    def _expected(self) -> set[str]:
        computes = {f"nova-compute-{host}" for host in self.hosts}
        return {"keystone", "placement", "nova-api", "nova-conductor", "nova-scheduler", *computes}

    def _read_mode(self) -> str:
        path = self._run / "mode"
        return path.read_text().strip() if path.exists() else ""

    def _script(self, name: str, *arguments: str, timeout: float = 180, **extra: str) -> None:
        run(
            ["bash", str(self._scripts / name), *arguments],
            env={**os.environ, **extra},
            timeout=timeout,
        )

    # -- what Nova has seen

    def mark(self) -> None:
        """Forget the events and log lines so far."""
        self._events_seen = len(self._recorded())
        self._marks = {path: path.stat().st_size for path in self._log.glob("nova-*.log")}

    def events(self, server: str) -> list[Mapping[str, Any]]:
        """Return the calls since the mark that told Nova something of a server."""
        return [
            call
            for call in self._recorded()[self._events_seen :]
            if any(event["server_uuid"] == server for event in call["request"]["events"])
        ]

    @contextmanager
    def held_events(self) -> Iterator[None]:
        """Let Nova have no event during the block (60 s at most), and all of them after it."""
        self._hold.touch()
        try:
            yield
        finally:
            self._hold.unlink(missing_ok=True)

    def release_events(self) -> None:
        """Hold no events, whatever was asked before."""
        self._hold.unlink(missing_ok=True)

    def _recorded(self) -> list[Mapping[str, Any]]:
        if not self._events.exists():
            return []
        return [json.loads(line) for line in self._events.read_text().splitlines()]

    def telling_lines(self, words: Sequence[str]) -> dict[str, str]:
        """Return, by log, the lines since the mark with one of the words or with trouble."""
        found = {}
        for path in sorted(self._log.glob("nova-*.log")):
            with path.open(errors="replace") as log:
                log.seek(self._marks.get(path, 0))
                lines = [line for line in log if any(word in line for word in (*_TELLING, *words))]
            found[path.name] = "".join(lines[-2000:])
        return found
