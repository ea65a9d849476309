"""An agent of executor, journal and driver, which dies when a test wants it to.

A *step* is whatever it does that outlives it, seen from outside of its code, by an audit hook: it
opens a file to write, renames, removes or makes one, begins a process (which writes to the kernel
for it), opens what it writes to in there, or talks to the conductor. Killed at a step, it dies
just before that; where the process that writes has come to the step, its parent dies, and the
write goes on.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agents_parts import HOST_NAME, Entries, Parts, make_conf

from cyborg.agent.calls import Calls
from cyborg.agent.executor import Executor
from cyborg.agent.journal import Journal, read_boot_id
from cyborg.domain.clock import utcnow
from cyborg.domain.work import STEPS, Handle, OwnedHandle, Prepare, Release, Work
from cyborg.drivers.contract import Bitstream

#: Seconds after which a piece of work has failed.
_PATIENCE = 120.0

_CHANGES = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.fork"})


@dataclass(frozen=True, slots=True)
class Life:
    """What an agent is to do, and when it dies."""

    #: Where it keeps what it knows.
    state: str
    entries: Entries
    #: ``prepare`` or ``release``.
    step: str
    handle: Handle
    job: str
    generation: int
    #: The step at which it is killed, from 1; None: it lives.
    dies_at: int | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What an agent has told its conductor of the job, and when by ``time.monotonic``."""

    error: str | None
    at: float


@dataclass(frozen=True, slots=True)
class Lived:
    """What has come of an agent."""

    was_killed: bool
    #: What it has begun to do, one after the other.
    steps: tuple[str, ...]
    said: tuple[Said, ...]


class Nursery:
    """A process without threads, of which agents are born that need not load anything first."""

    def __init__(self) -> None:
        self._socket, inner = socket.socketpair()
        if os.fork() == 0:
            self._socket.close()
            _serve(inner)
        inner.close()

    def live(self, life: Life) -> Lived:
        """Let an agent live, and return when it is dead."""
        _send(self._socket, asdict(life))
        answer = _received(self._socket)
        assert answer is not None, "the nursery has died"
        return Lived(
            answer["was_killed"],
            tuple(answer["steps"]),
            tuple(Said(**each) for each in answer["said"]),
        )


class _Hook:
    """Notes each step in a file, and kills at the one that a test has named."""

    def __init__(self, path: Path, dies_at: int | None) -> None:
        self._path = os.fspath(path)
        self._dies_at = dies_at
        self._agent = os.getpid()
        #: Shared with the processes that it begins.
        self._count = mmap.mmap(-1, 4)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGES:
            self.step(f"{event} {arguments[0] if arguments else ''}".strip())
        elif event == "open" and _writes(arguments[2]) and arguments[0] != self._path:
            self.step(f"open {arguments[0]}")

    def step(self, name: str) -> None:
        """Note a step that is about to be done, or die."""
        (number,) = struct.unpack("I", self._count[:4])
        number += 1
        self._count[:4] = struct.pack("I", number)
        where = "" if os.getpid() == self._agent else " (its writer)"
        self._note({"step": name + where})
        if number == self._dies_at:
            os.kill(self._agent, signal.SIGKILL)

    def told(self, said: Said) -> None:
        """Note what the conductor was told."""
        self._note({"said": asdict(said)})

    def _note(self, what: object) -> None:
        # The process that writes to the kernel has closed all that was open.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, json.dumps(what).encode() + b"\n")
        os.close(descriptor)


def _writes(flags: object) -> bool:
    return isinstance(flags, int) and flags & os.O_ACCMODE != os.O_RDONLY


class _Conductor:
    """Lets everything be done, and notes what is told."""

    def __init__(self, hook: _Hook) -> None:
        self._hook = hook

    def begin_work(
        self,
        host: str,
        uuid: str,
        generation: int,
        step: int,
        *,
        agent: Mapping[str, Any] | None = None,
    ) -> bool:
        """Say yes."""
        self._hook.step("ask the conductor")
        return True

    def company(self, host: str, uuid: str, generation: int) -> list[OwnedHandle]:
        """Refuse: only a driver of cards that are reset together is told."""
        raise AssertionError("pci_driver does nothing together")

    def finish_job(
        self,
        host: str,
        uuid: str,
        generation: int,
        error: str | None,
        *,
        away: bool = False,
        not_begun: bool = False,
    ) -> None:
        """Note how it ended."""
        self._hook.step("tell the conductor")
        self._hook.told(Said(error, time.monotonic()))


class _NoBitstreams:
    """Nothing is programmed here."""

    def fetch(self, image_uuid: str, project_id: str | None) -> Bitstream:
        """Refuse."""
        raise AssertionError("nothing is programmed here")

    def release(self, bitstream: Bitstream) -> None:
        """Refuse."""
        raise AssertionError("nothing is programmed here")


def _live(life: Life, hook: _Hook) -> None:
    """Do what the agent is asked for, from its start to its end."""
    state = Path(life.state)
    parts = Parts(state, make_conf(life.entries))
    executor = Executor(
        HOST_NAME,
        {parts.driver.name: parts.driver},
        Journal(state / "journal", utcnow, read_boot_id()),
        _Conductor(hook),
        time.sleep,
        bitstreams=_NoBitstreams(),
        calls=Calls(lambda _name: _PATIENCE, lambda: None),
        report_changed=lambda: None,
    )
    step = Prepare(life.handle, {}) if life.step == Prepare.name else Release(life.handle)
    assert STEPS[life.step] is type(step)
    sys.addaudithook(hook)
    executor.submit(
        Work(life.job, life.generation, life.step, parts.driver.name, life.handle.device, (step,))
    )
    assert executor.wait_until_idle(_PATIENCE)


def _serve(connection: socket.socket) -> None:
    """Let one agent live after the other, until nobody asks for more."""
    while (asked := _received(connection)) is not None:
        life = Life(**{**asked, "handle": Handle(**asked["handle"])})
        notes = Path(f"/tmp/steps-{os.getpid()}")  # noqa: S108 - of a host that nobody else has
        notes.unlink(missing_ok=True)
        child = os.fork()
        if child == 0:
            _live_and_end(life, notes)
        _, status = os.waitpid(child, 0)
        lines = [json.loads(line) for line in notes.read_text().splitlines()]
        _send(
            connection,
            {
                "was_killed": os.WIFSIGNALED(status),
                "steps": [line["step"] for line in lines if "step" in line],
                "said": [line["said"] for line in lines if "said" in line],
            },
        )
    os._exit(0)


def _live_and_end(life: Life, notes: Path) -> None:
    """Live, and end without what a forked process would do of its parent's at its end."""
    status = 1
    try:
        _live(life, _Hook(notes, life.dies_at))
        status = 0
    finally:
        os._exit(status)


def _send(connection: socket.socket, value: object) -> None:
    content = json.dumps(value).encode()
    connection.sendall(struct.pack("!I", len(content)) + content)


def _received(connection: socket.socket) -> Any:
    head = connection.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        return None
    return json.loads(connection.recv(struct.unpack("!I", head)[0], socket.MSG_WAITALL))
