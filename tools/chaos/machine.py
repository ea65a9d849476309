"""The agent's command on a machine of its own: ``machine.py FOLDER ARGUMENT...``.

What is the kernel's is as files of the folder say: ``boot_id`` is the boot's name, which began
when the process did; ``full`` names the step of writing a file at which the disk is full.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cyborg.agent import journal
from cyborg.cmd.agent import main

BOOT_ID, FULL = "boot_id", "full"
#: The steps of writing a file durably, each of which may find no room.
STEPS = ("open", "fsync", "replace")


class _Machine:
    def __init__(self, folder: Path, state: Path) -> None:
        self._folder = folder
        self._state = str(state)
        self._booted = time.monotonic()
        self._clock = time.clock_gettime

    def take_over(self) -> None:
        """Be what the process takes for the kernel."""
        journal._BOOT_ID = self._folder / BOOT_ID
        time.clock_gettime = self._clock_gettime
        os.fsync = self._short_of_room("fsync", os.fsync)
        os.replace = self._short_of_room("replace", os.replace)
        # What is opened for reading needs no room.
        sys.addaudithook(self._hook)

    def _clock_gettime(self, clock: int) -> float:
        if clock == time.CLOCK_BOOTTIME:
            return time.monotonic() - self._booted
        return self._clock(clock)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[1], str) and "w" in arguments[1]:
            if str(arguments[0]).startswith(self._state):
                self._fail("open")

    def _short_of_room(self, step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            self._fail(step)
            return call(*arguments, **options)

        return called

    def _fail(self, step: str) -> None:
        path = self._folder / FULL
        if os.path.exists(path) and Path(path).read_text().strip() == step:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


if __name__ == "__main__":
    own = Path(sys.argv.pop(1))
    _Machine(own, own.parent).take_over()
    main()
