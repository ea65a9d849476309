"""The life of a private server: start, pause, kill, start again, stop."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import IO, ClassVar

from cyborg.tests.servers import keeper, system
from cyborg.tests.servers.installed import Installed
from cyborg.tests.servers.startable import Startable

START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.05
TAIL_LINES = 40


class ServerError(RuntimeError):
    """A private server did not start or could not be ended; tells the end of its log."""


class Server(Startable, Installed):
    """A server of our own on 127.0.0.1, in a folder of its own.

    Not safe for use by several threads at once. The server outlives the thread that started it,
    but never the process.
    """

    user: ClassVar[str | None]  # account to run as when the tests run as root, None for root
    end_signal: ClassVar[int] = signal.SIGKILL  # nothing needs saving: the folder is removed

    def __init__(self) -> None:
        self.port = 0
        self.folder = Path()
        self._ports: list[system.Port] = []
        self._keeper: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._main = 0
        self._paused = False

    @abstractmethod
    def _script(self) -> str:
        """Return a shell script that prepares the data if there is none and becomes the server.

        It runs in the server's folder, as the server's account.
        """

    @abstractmethod
    def _check(self) -> None:
        """Return when the server answers, raise any of ``not_ready`` when it does not."""

    not_ready: ClassVar[tuple[type[Exception], ...]] = (OSError,)

    @classmethod
    def _find(cls, *names: str, folders: Sequence[str]) -> dict[str, str | None]:
        return {name: system.find_binary(name, *folders) for name in names}

    def start(self) -> None:
        """Make the server run and answer: start it, or resume or restart it on its port and data.

        Does nothing to a server that runs. When it fails nothing stays behind.

        :raises ServerError: it ended or did not answer within 60 seconds.
        """
        try:
            if self._keeper is None:
                self._create()
            if self._paused:
                self.resume()
            if self._main not in self.processes():
                self.kill()  # what a server that died by itself may have left
                self._main = self._launch()
            self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server, its processes and its folder. May be called twice.

        :raises ServerError: its keeper does not end.
        """
        try:
            if self._keeper:
                self._dismiss(self._keeper)
        finally:
            self._keeper = None
            if self._log:
                self._log.close()
            for port in self._ports:
                port.release()
            self._ports, self._log, self._main, self._paused = [], None, 0, False
            # The keeper did that, unless it never ran or was killed.
            if self.folder != Path():
                shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """End all processes of the server with SIGKILL; port and data stay for ``start()``.

        :raises ServerError: they do not end.
        """
        deadline = time.monotonic() + STOP_SECONDS
        while pids := self.processes():
            if time.monotonic() > deadline:
                raise ServerError(f"{self.title}: processes {pids} do not end")
            for pid in pids:
                keeper.send(pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)
        self._paused = False

    def pause(self) -> None:
        """Stop all processes of the server where they are: connections stay, nothing answers.

        :raises ServerError: they do not stop.
        """
        self._paused = True
        told: set[int] = set()
        # Until a look finds nobody new: a process may have been born during the last look.
        while new := [pid for pid in self.processes() if pid not in told]:
            for pid in new:
                keeper.send(pid, signal.SIGSTOP)
            told.update(new)
        deadline = time.monotonic() + STOP_SECONDS
        # The signal takes effect when a process comes back from the kernel.
        while not all(keeper.state_of(pid) in "TZX" for pid in told):
            if time.monotonic() > deadline:
                raise ServerError(f"{self.title}: processes {sorted(told)} do not pause")
            time.sleep(POLL_SECONDS)

    def resume(self) -> None:
        """Let a paused server go on. Does nothing to one that is not paused."""
        for pid in self.processes():
            keeper.send(pid, signal.SIGCONT)
        self._paused = False

    def processes(self) -> list[int]:
        """Return the pids of the server and everything below it; none when it does not run."""
        return keeper.processes_below(self._keeper.pid) if self._keeper else []

    def log_tail(self) -> str:
        """Return the last lines that the server wrote."""
        if self._log is None or self._log.closed:
            return ""
        self._log.seek(0)
        return "\n".join(self._log.read().decode(errors="replace").splitlines()[-TAIL_LINES:])

    def _environment(self) -> dict[str, str]:
        # Nothing is inherited but PATH: PGDATA, RABBITMQ_NODENAME and the like would redirect us.
        return {
            "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "LC_ALL": "C.UTF-8",
        }

    def _prepare(self) -> None:
        """Reserve ports and write what the script needs into the new folder."""
        self.port = self._new_port()

    def _new_port(self) -> int:
        port = system.Port()
        self._ports.append(port)
        return port.number

    def _write(self, name: str, lines: Sequence[str]) -> None:
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines))
        path.chmod(0o644)  # for the server's account, whatever our umask is

    def _create(self) -> None:
        account = None if self.user is None else system.account_for(self.user)
        self.folder = system.make_folder(f"cyborg-{self.name}-", account)
        self._log = (self.folder / "server.log").open("a+b")
        self._prepare()
        settings: keeper.Settings = {
            "parent": os.getpid(),
            "folder": str(self.folder),
            "script": self._script(),
            "account": account,
            "end_signal": self.end_signal,
        }
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", keeper.__file__, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
            env=self._environment(),
            start_new_session=True,  # Ctrl-C is for the tests, which still need the server then
        )

    def _launch(self) -> int:
        """Have the keeper start the script; return its pid, 0 when that failed (see the log)."""
        if not (self._keeper and self._keeper.stdin and self._keeper.stdout):
            return 0
        try:
            self._keeper.stdin.write(b"start\n")
        except BrokenPipeError:
            return 0
        return int(self._keeper.stdout.readline() or 0)

    def _dismiss(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin and process.stdout:
            with contextlib.suppress(BrokenPipeError):
                # Closing would not do: a process that a test forked may hold the other end.
                process.stdin.write(b"stop\n")
            process.stdin.close()
            process.stdout.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise ServerError(f"{self.title}: its keeper did not end") from error

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self._check()
            except self.not_ready as error:
                if self._main not in self.processes():
                    trouble = "ended while starting"
                elif time.monotonic() > deadline:
                    trouble = f"did not answer within {START_SECONDS:.0f} s ({error})"
                else:
                    time.sleep(POLL_SECONDS)
                    continue
                raise ServerError(
                    f"{self.title} {trouble}; its log ends:\n{self.log_tail()}"
                ) from error
