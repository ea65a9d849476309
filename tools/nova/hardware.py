"""What the compute hosts have, and which driver their agents run for it."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from arqs import Arq
from waiting import expect


@dataclass(frozen=True)
class Deployable:
    """What a host must have in our inventory, and as a provider in Placement."""

    name: str
    host: str
    total: int
    resource_class: str
    traits: frozenset[str]

    @property
    def uuid(self) -> str:
        """Its provider's uuid, and its own."""
        return str(uuid.uuid3(uuid.NAMESPACE_DNS, self.name))


class Hardware(ABC):
    """The same on all hosts. A flow names the kind that it needs."""

    #: Of the agents' ``[agent] enabled_drivers``.
    driver: ClassVar[str]
    resource_class: ClassVar[str]
    traits: ClassVar[frozenset[str]]
    #: Of all its attach handles.
    attach_type: ClassVar[str]

    def __init__(self, folder: Path, hosts: Sequence[str]) -> None:
        """Describe it; :meth:`build` makes it.

        :param folder: where it may keep files.
        """
        self.hosts = list(hosts)
        self._folder = folder

    # -- what there is

    @property
    def groups(self) -> list[dict[str, str]]:
        """The groups of a device profile that asks for one unit."""
        required = {f"trait:{trait}": "required" for trait in sorted(self.traits)}
        return [{f"resources:{self.resource_class}": "1", **required}]

    @abstractmethod
    def totals(self, host: str) -> dict[str, int]:
        """Return how many handles the deployables of a host have, by their names."""

    def deployables(self, *hosts: str) -> list[Deployable]:
        """Return the deployables of some hosts, of all if none is named."""
        return [
            Deployable(name, host, total, self.resource_class, self.traits)
            for host in hosts or self.hosts
            for name, total in self.totals(host).items()
        ]

    def deployable(self, host: str) -> Deployable:
        """Return the deployable of a host that has only one."""
        [found] = self.deployables(host)
        return found

    def expect_handle(self, arq: Arq) -> None:
        """Fail unless an ARQ has such a handle as Nova can use."""
        seen = arq["attach_handle_type"]
        expect(seen == self.attach_type, f"an ARQ without its handle: {arq}")

    # -- what is done with it

    @abstractmethod
    def needs(self) -> tuple[bool, bool]:
        """Return whether the agents prepare and release it as it is now."""

    @abstractmethod
    def build(self) -> None:
        """Make it, new and healthy."""

    @abstractmethod
    def change(self, **changes: Any) -> bool:
        """Make it behave so, and in all other respects as between the flows.

        :return: whether the agents must read their configuration again.
        """

    @abstractmethod
    def mark(self) -> None:
        """Forget what has been recorded of it so far."""

    @abstractmethod
    def settings(self) -> dict[str, dict[str, Any]]:
        """Return the groups of an agent's configuration that are the driver's."""

    @abstractmethod
    def agent(self, commands: Path, host: str) -> list[str]:
        """Return the command that runs a host's agent.

        :param commands: the directory of our virtual environment's programs.
        """
