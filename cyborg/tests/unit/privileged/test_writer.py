"""Writes that may never return: each by a child, with a deadline."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyborg.privileged.writer import ChildWriter

TIMEOUT = 0.3


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A file that a writer waits for until somebody reads."""
    path = tmp_path / "sys/reset"
    path.parent.mkdir()
    os.mkfifo(path)
    return path


@pytest.fixture
def stuck() -> Iterator[list[int]]:
    """Children that nobody could end; whatever comes of the test, they are ended after it."""
    found: list[int] = []
    yield found
    for child in found:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def test_what_is_written(tmp_path: Path) -> None:
    file = tmp_path / "override"
    file.write_text("(null)\n")
    ChildWriter(tmp_path).write("/override", "\n", 10)
    assert file.read_text().startswith("\n")


def test_it_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ChildWriter(tmp_path).write("/reset", "1", 10)
    assert list(tmp_path.iterdir()) == []


def test_the_kernel_says_no() -> None:
    with pytest.raises(OSError) as caught:
        ChildWriter().write("/dev/full", "1", 10)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == "/dev/full"


def test_one_that_does_not_return_is_ended(tmp_path: Path, pipe: Path) -> None:
    before = children()
    writer = ChildWriter(tmp_path)
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(TimeoutError, match="no answer within"):
            writer.write("/sys/reset", "1", TIMEOUT)
        assert time.monotonic() - began < 10
    assert children() == before


def test_one_that_hangs_keeps_nothing_open(tmp_path: Path, pipe: Path, stuck: list[int]) -> None:
    reading, writing = os.pipe()
    with pytest.raises(TimeoutError, match="no answer within"):
        ChildWriter(tmp_path, kill=stuck.append).write("/sys/reset", "1", TIMEOUT)
    os.close(writing)
    os.set_blocking(reading, False)
    assert os.read(reading, 1) == b"", "its end is seen while the child hangs"
    os.close(reading)


def test_one_that_cannot_be_ended_gets_no_second_one(
    tmp_path: Path, pipe: Path, stuck: list[int]
) -> None:
    writer = ChildWriter(tmp_path, kill=stuck.append)
    (tmp_path / "sys/other").touch()
    with pytest.raises(TimeoutError, match="no answer within"):
        writer.write("/sys/reset", "1", TIMEOUT)
    before = children()
    with pytest.raises(TimeoutError, match="an earlier write to it has not returned"):
        writer.write("/sys/reset", "1", TIMEOUT)
    assert children() == before
    # All others go on.
    writer.write("/sys/other", "1", 10)
    (child,) = stuck
    os.kill(child, signal.SIGKILL)
    for _ in range(100):
        try:
            writer.write("/sys/reset", "1", TIMEOUT)
        except TimeoutError as error:
            if "no answer" in str(error):
                break
            time.sleep(0.01)
    else:
        pytest.fail("nothing is written to it after its child has ended")
