"""A process of ours on a host that was built: ``python -m cyborg.testing.drivers.service``.

The arguments are the host's root directory, ``agent`` or ``standalone``, and what
``cyborg-agent`` or ``cyborg-standalone`` is given. Nothing of the real host is looked at or
touched. Functions whose addresses are in ROOT/busy, a line each, are open.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator, MutableSet
from pathlib import Path
from typing import Any
from unittest import mock

from oslo_config import cfg

from cyborg import no_eventlet  # noqa: F401 - before everything of oslo's
from cyborg.agent import service
from cyborg.testing.drivers.machine import Machine


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


def main() -> None:
    """Run a process."""
    root, command, *arguments = sys.argv[1:]
    module = importlib.import_module(f"cyborg.cmd.{command}")

    def agent_service(conf: cfg.ConfigOpts, transport: Any, **more: Any) -> service.AgentService:
        machine = Machine(Path(root), Path(conf.state_path) / "agent", conf)
        machine.kernel.busy = AddressesInFile(Path(root) / "busy")
        return service.AgentService(conf, transport, host=machine.host, verbs=machine.verbs, **more)

    sys.argv[1:] = arguments
    with mock.patch.object(module, "AgentService", agent_service):
        module.main()


if __name__ == "__main__":
    main()
