"""A driver that finds nothing, and does so in the worst ways; beside the fake driver.

What it does is in the file ``mood`` of the agent's state directory: ``raises``, ``hangs`` or
``garbage``; anything else is good behaviour.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, cast

from cyborg.drivers.contract import Discovery, Driver, Handle

MOOD = "mood"


class ChaosDriver(Driver):
    """Has no devices."""

    name: ClassVar[str] = "chaos_driver"
    simulated: ClassVar[bool] = True

    def discover(self) -> Discovery:
        """Return nothing, or fail as the file says.

        :raises RuntimeError: it says so.
        """
        mood = self._mood()
        if mood == "raises":
            raise RuntimeError("this driver was told to raise")
        while mood == "hangs":
            time.sleep(0.1)
            mood = self._mood()
        return cast(Discovery, "garbage") if mood == "garbage" else Discovery()

    def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
        """Do nothing: there are no devices."""

    def release(self, handle: Handle) -> None:
        """Do nothing: there are no devices."""

    def _mood(self) -> str:
        path = Path(self.environment.conf.state_path, MOOD)
        return path.read_text().strip() if path.exists() else ""
