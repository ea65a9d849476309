"""One of our processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

#: So that nothing survives us, even if we are killed: the port would be taken next time.
_LEASH = ("--pdeathsig", "KILL")


class Process:
    """A program that logs into a file, in a session of its own: Ctrl-C is for us alone."""

    def __init__(
        self, name: str, arguments: Sequence[str], log: Path, env: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = log
        self._arguments = list(arguments)
        self._env = dict(env)
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns at once."""
        setpriv = shutil.which("setpriv")
        leash = [setpriv, *_LEASH, "--"] if setpriv else []
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(  # noqa: S603 -- our own commands
                [*leash, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._env, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    def alive(self) -> bool:
        """Return whether it runs."""
        return self._child is not None and self._child.poll() is None

    def send(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self._child is not None and self.alive():
            self._child.send_signal(number)

    def kill(self) -> None:
        """End it without a warning, and whatever it has started."""
        if self._child is None:
            return
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._child.wait()

    def wait(self, patience: float) -> None:
        """Wait for its end; kill it if that does not come in time."""
        if self._child is None:
            return
        try:
            self._child.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()

    def text(self) -> str:
        """Return all it has logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""
