"""Running programs, and being interrupted only where nothing is left half done."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType


class CommandFailed(Exception):
    """A program ended badly; the text has the end of what it printed."""


class _Interrupts:
    """What SIGINT and SIGTERM do: interrupt at once, afterwards, or nothing any more."""

    def __init__(self) -> None:
        self.depth = 0
        self.pending = False
        self.ignored = False

    def note(self, number: int, frame: FrameType | None) -> None:
        if self.ignored:
            return
        if self.depth:
            self.pending = True
        else:
            self.interrupt()

    def interrupt(self) -> None:
        self.pending = False
        # What cleans up is not to be interrupted by an impatient second Ctrl-C.
        self.ignored = True
        raise KeyboardInterrupt


_interrupts = _Interrupts()


def interruptible() -> None:
    """Turn SIGINT, SIGTERM and SIGHUP into one KeyboardInterrupt; later ones are ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupts.note)


def ignore_interrupts() -> None:
    """Take no more interrupts: what follows is cleaning up."""
    _interrupts.ignored = True


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off an interrupt until the block has ended."""
    _interrupts.depth += 1
    try:
        yield
    finally:
        _interrupts.depth -= 1
        if _interrupts.pending and not _interrupts.depth:
            _interrupts.interrupt()


def run(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    timeout: float = 180,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, in a session of its own: Ctrl-C is for us alone.

    :raises CommandFailed: it ended badly (with ``check``), or not in time.
    """
    try:
        done = subprocess.run(  # noqa: S603 -- the programs are ours and the stack's
            list(arguments),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=None if env is None else dict(env),
            timeout=timeout,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{' '.join(arguments)}: no end after {timeout:.0f} s") from error
    if check and done.returncode:
        printed = (done.stdout + done.stderr).strip()[-1500:]
        raise CommandFailed(f"{' '.join(arguments)}: exit status {done.returncode}: {printed}")
    return done
