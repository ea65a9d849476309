"""The hosts that can be built, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cyborg.testing.hosts.host import FakeHost
from cyborg.testing.hosts.manifest import Manifest

Make = Callable[[FakeHost], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A host that can be built."""

    name: str
    description: str
    make: Make


#: Those whose modules have been imported.
SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, description: str) -> Callable[[Make], Make]:
    """Return a decorator that makes a function known as one that makes a host."""

    def register(make: Make) -> Make:
        if name in SCENARIOS:
            raise ValueError(f"there are two scenarios {name!r}")
        SCENARIOS[name] = Scenario(name, description, make)
        return make

    return register


def scenarios() -> dict[str, str]:
    """Return the hosts that can be built: names, and a line about each."""
    return {each.name: each.description for each in SCENARIOS.values()}


class BuiltHosts:
    """Hosts that several tests look at: each is built once, and nobody may change it."""

    def __init__(self, make_directory: Callable[[str], Path]) -> None:
        """Begin without a host.

        :param make_directory: makes a directory for a host, by its name.
        """
        self._make_directory = make_directory
        self._known: dict[str, tuple[Path, Manifest]] = {}

    def get(self, name: str) -> tuple[Path, Manifest]:
        """Return a host's root directory, and what is true of it."""
        if name not in self._known:
            root = self._make_directory(name) / "root"
            self._known[name] = (root, build(name, root))
        return self._known[name]


def build(name: str, root: Path) -> Manifest:
    """Build a host in a directory, always the same one; return what is true of it.

    The tree can be moved: its links are relative. ``manifest.json`` in it says what is returned.

    :param root: a directory that is empty, or is not there.
    :raises KeyError: there is no such scenario.
    :raises FileExistsError: there is something in the directory.
    """
    chosen = SCENARIOS[name]
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} is not empty")
    host = FakeHost(root)
    chosen.make(host)
    manifest = Manifest(name, chosen.description, tuple(host.devices), tuple(host.notes))
    manifest.write(host.root)
    # What is shared with the next build must not be given away.
    return Manifest.read(host.root)
