"""A state that cannot be written: said in one line, nothing offered, nothing begun, nothing lost.

Where mounting is allowed one test fills a small file system; else it is refused at each write.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyborg.agent.bitstream_cache import BitstreamCache
from cyborg.agent.journal import Journal, JournalError, Phase
from cyborg.agent.state import PROBE_SIZE, StateWatch, require_writable
from cyborg.domain.clock import utcnow
from cyborg.domain.errors import ConfigurationError
from cyborg.domain.model import JobKind
from cyborg.drivers.errors import DriverError
from cyborg.drivers.host.state import StateFile
from cyborg.tests.unit.agent.full_disk import full_at, full_from, places, whole_files
from cyborg.tests.unit.agent.helpers import job_uuid, make_work
from cyborg.tests.unit.agent.test_executor import Bench

RELEASE = JobKind.RELEASE
OLD, NEW = make_work(generation=1), make_work(generation=2)

#: More than any of the operations below has; each is asked how many it has.
PLACES = range(1, 13)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "state" / "journal")
    yield made
    made.close()


# At the start


def test_what_can_be_written_is_made_and_left_empty(tmp_path: Path) -> None:
    directories = [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "c" / "d"]
    require_writable(*directories)
    for directory in directories:
        assert directory.stat().st_mode & 0o777 == 0o700
    assert whole_files(tmp_path / "a" / "b") == {}
    assert whole_files(tmp_path / "c" / "d") == {}


def test_what_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        require_writable(tmp_path, Path("/proc/cyborg/agent"))
    line = "The agent's state cannot be written: /proc/cyborg/agent: No such file or directory."
    assert str(caught.value) == line


@pytest.mark.parametrize("number", PLACES)
def test_a_start_on_a_full_disk(tmp_path: Path, number: int) -> None:
    def start() -> None:
        require_writable(tmp_path / "journal", tmp_path / "bitstreams")

    if number > places(start):
        return
    with full_at(number), pytest.raises(ConfigurationError, match="No space left on device"):
        start()
    assert whole_files(tmp_path / "journal") == whole_files(tmp_path / "bitstreams") == {}


# While it runs


class Watched:
    """A watch, and how often it has asked for a report."""

    def __init__(self, directory: Path) -> None:
        self.wakes = 0
        self.directory = directory
        self.watch = StateWatch(directory, self.wake)

    def wake(self) -> None:
        self.wakes += 1


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "journal")


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.levelname for each in caplog.records if each.name == "cyborg.agent.state"]


def test_a_scan_finds_out_and_says_so_once(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    watched.watch.probe()
    assert watched.watch.reason() is None
    assert levels(caplog) == []
    with full_from():
        for _ in range(3):
            watched.watch.probe()
            reason = f"The agent's state cannot be written: {watched.directory}: "
            assert watched.watch.reason() == f"{reason}No space left on device."
        assert levels(caplog) == ["ERROR"]
    watched.watch.probe()
    assert watched.watch.reason() is None
    assert levels(caplog) == ["ERROR", "INFO"]
    assert watched.wakes == 0, "what a scan finds the report after it says"


def test_a_failing_write_is_noticed_at_once(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(watched.directory, utcnow, "boot-1", watched.watch.failed)
    with full_from():
        for work in (OLD, make_work(2), make_work(3)):
            with pytest.raises(JournalError, match="No space left"):
                journal.start(work)
    assert watched.watch.reason() is not None
    assert watched.wakes == 1
    assert levels(caplog) == ["ERROR"]


# No write leaves half a file


@pytest.mark.parametrize("number", PLACES)
def test_a_journal_is_whole(tmp_path: Path, number: int) -> None:
    journal = Journal(tmp_path / "journal", utcnow, "boot-1")

    def write() -> None:
        Journal(tmp_path / "other", utcnow, "boot-1").start(NEW)

    if number > places(write):
        return
    journal.start(OLD)
    with full_at(number), pytest.raises(JournalError, match="No space left"):
        journal.start(NEW)
    entry = Journal(tmp_path / "journal", utcnow, "boot-1").get(OLD.job_uuid)
    assert entry is not None
    assert (entry.phase, entry.work) in ((Phase.STARTED, OLD), (Phase.STARTED, NEW))
    assert list(whole_files(tmp_path / "journal")) == [f"{OLD.job_uuid}.json"]
    journal.start(NEW)


@pytest.mark.parametrize("number", PLACES)
def test_what_a_driver_keeps_is_whole(tmp_path: Path, number: int) -> None:
    file = StateFile(tmp_path / "a" / "driver.json")
    if number > places(lambda: StateFile(tmp_path / "b" / "driver.json").write("x" * 100)):
        return
    file.write(["old"])
    with full_at(number), pytest.raises(DriverError, match="No space left"):
        file.write(["new"] * 100)
    assert file.read() in (["old"], ["new"] * 100)
    assert list(whole_files(tmp_path / "a")) == ["driver.json"]


@pytest.mark.parametrize("number", PLACES)
def test_a_bitstream_is_whole_or_not_there(tmp_path: Path, number: int) -> None:
    cache = BitstreamCache(tmp_path / "bitstreams", utcnow)

    def fetch(name: str) -> None:
        with cache.new_file(name) as file:
            file.write(b"first half, ")
            file.write(b"second half")

    if number > places(lambda: fetch("other")):
        return
    with full_at(number), pytest.raises(OSError, match="No space left") as caught:
        fetch("image")
    assert caught.value.errno == errno.ENOSPC
    found = whole_files(tmp_path / "bitstreams")
    assert found.pop("image", b"first half, second half") == b"first half, second half"
    assert list(found) == ["other"]
    fetch("image")


# What is to be done is refused before the hardware is touched, and done later


@pytest.mark.parametrize("number", PLACES)
def test_work_ends_right_wherever_the_disk_is_full(bench: Bench, number: int) -> None:
    """Before the driver is called it is refused; afterwards it is done, and said so."""
    other = Bench(bench.directory.parent.parent / "other" / "journal")

    def work() -> None:
        jobs.append(len(jobs) + 1)
        other.submit(make_work(jobs[-1], kind=RELEASE))
        assert other.everything_told()

    jobs: list[int] = []
    bench.directory.mkdir(parents=True)
    if number > places(work):
        return
    with full_at(number):
        bench.submit(make_work(kind=RELEASE))
        [(_, _, error)] = bench.everything_told()
    if error is None:
        assert bench.driver.calls == [("release", "handle-1")]
        assert bench.conductor.not_begun == []
    else:
        assert "No space left" in error
        assert bench.driver.calls == []
        assert bench.conductor.asked == []
        assert bench.conductor.not_begun == [job_uuid(1)]
    # The conductor asks again, as it does while it has no other answer.
    bench.submit(make_work(generation=2, kind=RELEASE))
    assert bench.everything_told() == [(job_uuid(1), 2, None)]
    assert ("release", "handle-1") in bench.driver.calls
    assert list(whole_files(bench.directory)) == [f"{job_uuid(1)}.json"]


class Disk:
    """A small file system that can be filled; without the right to mount one, only refusals."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._refusals = contextlib.ExitStack()
        directory.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(directory)]
        self.mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def fill(self) -> None:
        if not self.mounted:
            self._refusals.enter_context(full_from())
            return
        with contextlib.suppress(OSError), (self.directory / "others").open("wb", 0) as file:
            while True:
                file.write(bytes(512))

    def free(self) -> None:
        self._refusals.close()
        (self.directory / "others").unlink(missing_ok=True)

    def end(self) -> None:
        self._refusals.close()
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.directory)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk")
    yield made
    made.end()


def test_a_disk_that_fills_and_is_freed(
    disk: Disk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(disk.directory / "journal")
    woken = threading.Event()
    watch = StateWatch(bench.directory, woken.set)
    bench.journal = Journal(bench.directory, utcnow, "boot-1", watch.failed)
    executor = bench.make_executor(journal=bench.journal)
    executor.submit(make_work(1, kind=RELEASE))
    assert executor.wait_until_idle(10)
    disk.fill()
    executor.submit(make_work(2, kind=RELEASE))
    assert executor.wait_until_idle(10)
    assert bench.conductor.not_begun == [job_uuid(2)]
    assert bench.driver.calls == [("release", "handle-1")]
    assert woken.is_set()
    assert "No space left on device" in str(watch.reason())
    watch.probe()
    assert watch.reason() is not None, "what an entry has no room for the probe has"
    disk.free()
    watch.probe()
    assert watch.reason() is None
    executor.submit(make_work(2, generation=2, kind=RELEASE))
    assert executor.wait_until_idle(10)
    assert bench.driver.calls == [("release", "handle-1"), ("release", "handle-2")]
    names = [f"{job_uuid(job)}.json" for job in (1, 2)]
    assert sorted(whole_files(bench.directory)) == names
    assert levels(caplog) == ["ERROR", "INFO"]


def test_a_probe_is_more_than_an_entry(bench: Bench) -> None:
    """Else what it finds to be room enough would be too little for the journal."""
    bench.submit(make_work())
    bench.everything_told()
    [entry] = whole_files(bench.directory).values()
    assert 4 * len(entry) < PROBE_SIZE
