"""What a host offers to drivers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cyborg.drivers.host.state import StateFile


@dataclass(frozen=True, slots=True)
class Host:
    """One host, given by the directories where it is found."""

    #: Where what drivers keep lies; made when the first of them writes.
    state_directory: Path

    def state_file(self, driver: str) -> StateFile:
        """Return the file where a driver keeps what its hardware cannot.

        :param driver: the driver's name, so that each has a file of its own.
        """
        return StateFile(self.state_directory / f"{driver}.json")
