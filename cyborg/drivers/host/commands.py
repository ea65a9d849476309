"""Programs of a host: found below its root, run with a deadline, read up to a limit."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cyborg.drivers.host.files import Files

#: Where programs are looked for.
_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

#: Bytes of output after which a program is ended.
MOST_OUTPUT = 4 * 1024 * 1024

_PART = 65536


@dataclass(frozen=True, slots=True)
class Output:
    """What a program has said, and its exit status; negative if a signal ended it."""

    status: int
    stdout: bytes
    stderr: bytes


def run(files: Files, argv: Sequence[str], timeout: float) -> Output:
    """Run a program, in the C locale and without input.

    :param argv: its name, without a directory, and its arguments.
    :raises FileNotFoundError: it is not installed.
    :raises TimeoutError: it has not ended in time. It was killed, which may take longer where
        the kernel does not let it go.
    :raises OSError: it cannot be started, or says more than anybody would read.
    """
    process = subprocess.Popen(  # noqa: S603 - what a driver names, of the host's own
        [_program(files, argv[0]), *argv[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": ":".join(map(files.place, _DIRECTORIES)), "LC_ALL": "C"},
        start_new_session=True,
    )
    deadline = time.monotonic() + timeout
    try:
        stdout, stderr = _outputs(process, deadline, argv[0])
        return Output(process.wait(max(0.0, deadline - time.monotonic())), stdout, stderr)
    except subprocess.TimeoutExpired as error:
        raise _late(argv[0]) from error
    finally:
        if process.poll() is None:
            process.kill()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)


def _program(files: Files, name: str) -> str:
    if "/" in name:
        raise ValueError(f"a program is named without its directory: {name}")
    for directory in _DIRECTORIES:
        place = files.place(f"{directory}/{name}")
        if os.access(place, os.X_OK) and os.path.isfile(place):
            return place
    raise FileNotFoundError(errno.ENOENT, "no such program", name)


def _outputs(process: subprocess.Popen[bytes], deadline: float, name: str) -> tuple[bytes, bytes]:
    """Read both outputs until their ends."""
    assert process.stdout is not None and process.stderr is not None
    found = {process.stdout: b"", process.stderr: b""}
    with selectors.DefaultSelector() as selector:
        for pipe in found:
            selector.register(pipe, selectors.EVENT_READ, pipe)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise _late(name)
            for key, _ in ready:
                part = os.read(key.fd, _PART)
                if not part:
                    selector.unregister(key.fd)
                found[key.data] += part
                if sum(map(len, found.values())) > MOST_OUTPUT:
                    raise OSError(errno.EFBIG, f"says more than {MOST_OUTPUT} bytes", name)
    return found[process.stdout], found[process.stderr]


def _late(name: str) -> TimeoutError:
    return TimeoutError(errno.ETIMEDOUT, "has not ended in time", name)
