"""What a test needs of this machine and cannot bring along: programs, in their folders."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

WITHOUT = "CYBORG_TEST_WITHOUT"
_TOP = Path(__file__).resolve().parents[3]


class NotInstalledError(RuntimeError):
    """A program is not installed."""


class Installed(ABC):
    """Something that may not be installed; then the tests that need it are skipped."""

    name: ClassVar[str]  # as CYBORG_TEST_WITHOUT knows it
    title: ClassVar[str]
    remedy: ClassVar[str] = "make deps"  # installs it

    @classmethod
    @abstractmethod
    def binaries(cls) -> dict[str, str | None]:
        """Return the path of each program that is needed, None where it cannot be found."""

    @classmethod
    def missing(cls) -> list[str]:
        """Return the names of the programs that cannot be found, the most telling first.

        What is named in CYBORG_TEST_WITHOUT (a comma-separated list) counts as not installed.
        """
        hidden = cls.name in os.environ.get(WITHOUT, "").split(",")
        return [name for name, path in cls.binaries().items() if hidden or path is None]

    @classmethod
    def binary(cls, name: str) -> str:
        """Return the path of a program.

        :raises NotInstalledError: it is not installed.
        """
        path = cls.binaries()[name]
        if path is None:
            raise NotInstalledError(f"{cls.title}: {name} is not installed")
        return path


class VirtualEnvironment(Installed):
    """Programs in a virtual environment of their own, which ``make`` makes."""

    folder_name: ClassVar[str]  # in the checkout
    variable: ClassVar[str]  # of the environment, names another folder
    programs: ClassVar[tuple[str, ...]]

    @classmethod
    def binaries(cls) -> dict[str, str | None]:
        """Return the path of each program that is needed, None where it cannot be found."""
        return programs_in(cls.folder_name, cls.variable, cls.programs)


class CyborgClient(VirtualEnvironment):
    """python-cyborgclient, with an openstackclient that has no commands of these names."""

    name = "cyborgclient"
    title = "python-cyborgclient"
    remedy = "make .venv-client/.made"
    folder_name = ".venv-client"
    variable = "CYBORG_TEST_CLIENT"
    programs = ("openstack",)


class OpenStackClients(VirtualEnvironment):
    """openstackclient and its SDK, Nova's package, and tempest with the plugin for this service."""

    name = "clients"
    title = "OpenStack clients"
    remedy = "make .venv-openstack/.made"
    folder_name = ".venv-openstack"
    variable = "CYBORG_TEST_OPENSTACK"
    programs = ("tempest", "openstack", "stestr", "python")


def programs_in(folder: str, variable: str, names: Iterable[str]) -> dict[str, str | None]:
    """Return the paths of programs of a virtual environment, None where one is missing.

    :param folder: of the checkout, unless the environment's ``variable`` names another.
    """
    where = Path(os.environ.get(variable) or _TOP / folder) / "bin"
    paths = {name: where / name for name in names}
    return {name: str(path) if path.exists() else None for name, path in paths.items()}
