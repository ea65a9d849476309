import datetime
import json
import os
from pathlib import Path

import pytest

from cyborg.agent.journal import VERSION, Journal, JournalError, Phase, read_boot_id
from cyborg.domain.clock import utcnow
from cyborg.domain.model import JobKind
from cyborg.tests.unit.agent.helpers import job_uuid, make_work

WORK = make_work()


class Clock:
    def __init__(self) -> None:
        self.now = utcnow()

    def __call__(self) -> datetime.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state" / "agent" / "journal"


@pytest.fixture
def journal(directory: Path, clock: Clock) -> Journal:
    return Journal(directory, clock, "boot-1")


@pytest.fixture
def file(directory: Path) -> Path:
    return directory / f"{WORK.job_uuid}.json"


def test_nothing_is_known(journal: Journal) -> None:
    assert journal.get(WORK.job_uuid) is None


def test_started_then_finished(journal: Journal, directory: Path, clock: Clock) -> None:
    journal.start(WORK)
    # Read by another object, as after a restart.
    entry = Journal(directory, clock, "boot-1").get(WORK.job_uuid)
    assert entry is not None
    assert (entry.phase, entry.work, entry.error) == (Phase.STARTED, WORK, None)
    journal.finish(WORK, "broken")
    entry = Journal(directory, clock, "boot-1").get(WORK.job_uuid)
    assert entry is not None
    assert (entry.phase, entry.work, entry.error) == (Phase.FINISHED, WORK, "broken")
    assert [path.name for path in directory.iterdir()] == [f"{WORK.job_uuid}.json"]


def test_that_a_device_was_away_is_kept(journal: Journal) -> None:
    journal.finish(WORK, "gone", away=True)
    entry = journal.get(WORK.job_uuid)
    assert entry is not None
    assert (entry.error, entry.away) == ("gone", True)
    journal.start(WORK)
    entry = journal.get(WORK.job_uuid)
    assert entry is not None
    assert not entry.away


def test_success_is_no_error(journal: Journal) -> None:
    journal.finish(WORK, None)
    entry = journal.get(WORK.job_uuid)
    assert entry is not None
    assert entry.error is None


def test_a_job_has_one_entry(journal: Journal, directory: Path) -> None:
    journal.finish(WORK, None)
    release = make_work(generation=2, kind=JobKind.RELEASE)
    journal.start(release)
    entry = journal.get(WORK.job_uuid)
    assert entry is not None
    assert entry.work == release
    assert len(list(directory.iterdir())) == 1


def test_only_the_agent_may_read_it(journal: Journal, directory: Path) -> None:
    journal.start(WORK)
    assert directory.stat().st_mode & 0o777 == 0o700


def test_reboots_are_noticed(journal: Journal, directory: Path, clock: Clock) -> None:
    journal.finish(WORK, None)
    entry = journal.get(WORK.job_uuid)
    assert entry is not None
    assert entry.boot_id == journal.boot_id == "boot-1"
    after = Journal(directory, clock, "boot-2")
    assert after.get(WORK.job_uuid) == entry
    assert after.boot_id == "boot-2"


def test_what_is_forgotten_is_unknown(journal: Journal, directory: Path) -> None:
    journal.start(WORK)
    other = make_work(job=2)
    journal.start(other)
    journal.forget(WORK.job_uuid)
    journal.forget(WORK.job_uuid)  # once more does no harm
    assert journal.get(WORK.job_uuid) is None
    assert journal.get(other.job_uuid) is not None
    assert [path.name for path in directory.iterdir()] == [f"{other.job_uuid}.json"]


def test_boot_id() -> None:
    assert read_boot_id() == read_boot_id()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b'{"version": 2, "boot_id": "b", "phase": "started", "work": null, "error": null}',
        b"[]",
        b"{}",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"version": 2}',
        b'{"version": 2, "boot_id": "b", "phase": "paused", "work": {}, "error": null}',
    ],
)
def test_corrupt_files_are_ignored(
    journal: Journal, file: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    journal.start(WORK)
    file.write_bytes(content)
    assert journal.get(WORK.job_uuid) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "journal entry ignored" in caplog.text
    journal.finish(WORK, None)
    assert journal.get(WORK.job_uuid) is not None


@pytest.mark.parametrize("change", [{"version": VERSION + 1}, {"version": 0}])
def test_foreign_versions_are_ignored(
    journal: Journal, file: Path, caplog: pytest.LogCaptureFixture, change: dict[str, int]
) -> None:
    journal.finish(WORK, None)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert journal.get(WORK.job_uuid) is None
    assert "journal entry ignored" in caplog.text


def test_a_file_under_a_wrong_name_is_ignored(
    journal: Journal, file: Path, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal.finish(WORK, None)
    file.rename(directory / f"{job_uuid(2)}.json")
    assert journal.get(job_uuid(2)) is None
    assert "journal entry ignored" in caplog.text


def test_unreadable_files_are_ignored(
    journal: Journal, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.mkdir(parents=True)
    assert journal.get(WORK.job_uuid) is None
    assert "journal entry ignored" in caplog.text


@pytest.mark.parametrize("uuid", ["../../etc/passwd", "", "x", "/tmp/x"])
def test_names_outside_are_refused(journal: Journal, uuid: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        journal.get(uuid)


def test_disk_full(journal: Journal, directory: Path, file: Path) -> None:
    """What was recorded stays, nothing half written is left."""
    journal.start(WORK)
    file.with_suffix(".new").symlink_to("/dev/full")
    with pytest.raises(JournalError, match="No space left"):
        journal.finish(WORK, None)
    entry = journal.get(WORK.job_uuid)
    assert entry is not None
    assert entry.phase is Phase.STARTED
    assert list(directory.iterdir()) == [file]
    journal.finish(WORK, None)


def test_a_file_in_place_of_the_directory(
    journal: Journal, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory.parent.mkdir(parents=True)
    directory.write_text("")
    with pytest.raises(JournalError):
        journal.start(WORK)
    assert journal.get(WORK.job_uuid) is None
    journal.purge()
    assert "journal not purged" in caplog.text


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_killed_before_it_is_durable(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Until the last step the old entry is there, whole."""
    journal.start(WORK)

    def fail(*_arguments: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(JournalError, match="Input/output error"):
            journal.finish(WORK, None)
    entry = journal.get(WORK.job_uuid)
    assert entry is not None
    assert entry.phase is Phase.STARTED


def test_order_of_the_steps(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is durable before the name, and the name before the return."""
    steps = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        steps.append("directory" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def note_replace(source: Path, target: Path) -> None:
        steps.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    journal.start(WORK)
    assert steps == ["file", "rename", "directory"]


def test_purge(journal: Journal, clock: Clock, directory: Path) -> None:
    journal.purge()  # there is no directory yet
    journal.finish(WORK, None)
    (directory / "half.new").write_text("{")
    clock.now += datetime.timedelta(hours=23)
    journal.purge()
    assert len(list(directory.iterdir())) == 2
    clock.now += datetime.timedelta(hours=2)
    journal.finish(make_work(job=2), None)
    later = clock.now.timestamp()
    os.utime(directory / f"{job_uuid(2)}.json", (later, later))
    journal.purge()
    assert [path.name for path in directory.iterdir()] == [f"{job_uuid(2)}.json"]


def test_what_cannot_be_purged_stays(
    journal: Journal, clock: Clock, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (directory / "a-directory").mkdir(parents=True)
    clock.now += datetime.timedelta(days=2)
    journal.purge()
    assert "journal entry not purged" in caplog.text
