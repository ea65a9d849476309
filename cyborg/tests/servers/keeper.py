"""The process between the tests and one private server.

It runs the server as its child, adopts every process that the server leaves behind, and ends them
all and removes their folder as soon as it is told to, or the test process is gone. So cleaning up
is the same work after a test run that ended well and after one that was killed with SIGKILL. (A
parent death signal would not do: it fires when the *thread* that started the server ends.)

Run as ``python -I keeper.py SETTINGS`` with the settings below as JSON. Each line ``start`` on
standard input starts the server again, and its pid is the answer; anything else ends the keeper.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import TypedDict

PR_SET_CHILD_SUBREAPER = 36
LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 5.0


class Settings(TypedDict):
    """What a keeper needs to know."""

    parent: int  # the test process
    folder: str  # removed at the end
    script: str  # shell script that becomes the server
    account: tuple[int, int] | None  # uid and gid to run it as, None for our own
    end_signal: int  # asks the server to end; SIGKILL follows


def processes_below(root: int) -> list[int]:
    """Return the living descendants of a process, parents before their children."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            children.setdefault(int(parent), []).append(int(entry))
    found = children.get(root, [])
    for pid in found:  # grows while it is walked
        found.extend(children.get(pid, []))
    return found


def state_of(pid: int) -> str:
    """Return the letter that the kernel has for a process's state, X for one that is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _adopt_orphans() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _reap(_number: int, _frame: FrameType | None) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _start(settings: Settings) -> int:
    uid, gid = settings["account"] or (None, None)
    return subprocess.Popen(
        ["/bin/sh", "-c", settings["script"]],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        cwd=settings["folder"],
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
    ).pid


def _obey(settings: Settings) -> None:
    while os.getppid() == settings["parent"]:
        if not select.select([0], [], [], LOOK_SECONDS)[0]:
            continue
        if os.read(0, 64) != b"start\n":
            return
        os.write(1, b"%d\n" % _start(settings))


def _end(settings: Settings) -> None:
    number, deadline = settings["end_signal"], time.monotonic() + PATIENCE_SECONDS
    told: set[int] = set()
    while pids := processes_below(os.getpid()):
        if time.monotonic() > deadline:
            number, told = signal.SIGKILL, set()
        for pid in pids:
            if pid not in told:
                send(pid, number)
                send(pid, signal.SIGCONT)  # a paused process would not hear it
                told.add(pid)
        time.sleep(0.02)
    shutil.rmtree(settings["folder"], ignore_errors=True)


def main() -> None:
    """Keep the server until told to end it or the test process is gone."""
    settings: Settings = json.loads(sys.argv[1])
    _adopt_orphans()
    signal.signal(signal.SIGCHLD, _reap)
    try:
        _obey(settings)
    finally:
        _end(settings)


if __name__ == "__main__":
    main()
