"""A process of ours on a host that was built: ``python -m cyborg.testing.drivers.service``.

The arguments are the host's root directory, ``agent`` or ``standalone``, and what
``cyborg-agent`` or ``cyborg-standalone`` is given. Nothing of the real host is looked at or
touched. Another process can see what is done to the host, and trouble it:

* functions whose addresses are in ROOT/busy, a line each, are open;
* ROOT/writes gets a line of JSON for each write to the kernel when it is ``asked``, and another
  one when it is answered: ``ok``, or the error's name;
* ROOT/trouble, JSON, says which writes fail, ``{"fail": {PATH: "EIO"}}``, and how many seconds
  one takes, ``{"hang": {PATH: 2.5}}``.
"""

from __future__ import annotations

import errno
import importlib
import json
import sys
from collections.abc import Iterable, Iterator, MutableSet
from pathlib import Path
from typing import Any
from unittest import mock

from oslo_config import cfg

from cyborg import no_eventlet  # noqa: F401 - before everything of oslo's
from cyborg.agent import service
from cyborg.testing.drivers.machine import Machine
from cyborg.testing.hosts import Kernel


class AddressesInFile(MutableSet[str]):
    """What a file says now, a line each; nothing as long as it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __contains__(self, value: object) -> bool:
        return value in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def add(self, value: str) -> None:
        """Add a line."""
        self._path.write_text("".join(f"{name}\n" for name in {*self, value}))

    def discard(self, value: str) -> None:
        """Take a line away, if it is there."""
        self._path.write_text("".join(f"{name}\n" for name in self if name != value))

    def _names(self) -> list[str]:
        return self._path.read_text().split() if self._path.exists() else []

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> MutableSet[Any]:
        return set(it)


class WatchedKernel(Kernel):
    """A kernel that another process can look at, and trouble, while it runs."""

    def write(self, path: str, value: str | int) -> None:
        """See :class:`cyborg.testing.hosts.Kernel`."""
        self._read_trouble()
        self._record(path, value, "asked")
        try:
            super().write(path, value)
        except OSError as error:
            self._record(path, value, errno.errorcode.get(error.errno or 0, str(error)))
            raise
        self._record(path, value, "ok")

    def _read_trouble(self) -> None:
        place = self.root / "trouble"
        trouble = json.loads(place.read_text()) if place.exists() else {}
        self.fail = {path: getattr(errno, name) for path, name in trouble.get("fail", {}).items()}
        self.hang = trouble.get("hang", {})

    def _record(self, path: str, value: str | int, answer: str) -> None:
        line = json.dumps({"path": path, "value": str(value).strip(), "answer": answer})
        # One write to the end of the file: lines of several threads do not mix.
        with (self.root / "writes").open("ab", buffering=0) as record:
            record.write(f"{line}\n".encode())


def main() -> None:
    """Run a process."""
    root, command, *arguments = sys.argv[1:]
    module = importlib.import_module(f"cyborg.cmd.{command}")

    def agent_service(conf: cfg.ConfigOpts, transport: Any, **more: Any) -> service.AgentService:
        kernel = WatchedKernel(Path(root))
        kernel.busy = AddressesInFile(Path(root) / "busy")
        machine = Machine(Path(root), Path(conf.state_path) / "agent", conf, kernel=kernel)
        return service.AgentService(conf, transport, host=machine.host, verbs=machine.verbs, **more)

    sys.argv[1:] = arguments
    with mock.patch.object(module, "AgentService", agent_service):
        module.main()


if __name__ == "__main__":
    main()
