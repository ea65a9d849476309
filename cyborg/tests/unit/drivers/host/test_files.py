"""Reading a host that is a directory."""

from __future__ import annotations

import os
import threading
import time
import weakref
from pathlib import Path

import pytest

from cyborg.drivers.host import Files, Host
from cyborg.drivers.host.patience import Patience

TIMEOUT = 1.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "root"
    card = directory / "sys/devices/pci0000:00/0000:00:01.0"
    card.mkdir(parents=True)
    (card / "vendor").write_text("0x10de\n")
    (card / "config").write_bytes(bytes(range(256)))
    (card / "driver").symlink_to("../../../bus/pci/drivers/nvidia")
    (directory / "sys/bus/pci/devices").mkdir(parents=True)
    link = directory / "sys/bus/pci/devices/0000:00:01.0"
    link.symlink_to("../../../devices/pci0000:00/0000:00:01.0")
    return directory


@pytest.fixture
def host(root: Path, tmp_path: Path) -> Host:
    return Host(tmp_path / "state", Files(root), read_timeout=TIMEOUT)


DEVICE = "/sys/bus/pci/devices/0000:00:01.0"


class SlowFiles(Files):
    """Files of which one does not answer until it is told to."""

    def __init__(self, root: Path, slow: str) -> None:
        super().__init__(root)
        self.slow = slow
        self.answer = threading.Event()
        self.calls = 0

    def read(self, path: str, most: int = 4096) -> bytes:
        if path == self.slow:
            self.calls += 1
            self.answer.wait()
        return super().read(path, most)


class TestReading:
    def test_a_file(self, host: Host) -> None:
        assert host.read(f"{DEVICE}/vendor") == b"0x10de\n"

    def test_no_more_than_is_wanted(self, host: Host) -> None:
        assert host.read(f"{DEVICE}/config", 64) == bytes(range(64))

    def test_what_is_not_there(self, host: Host) -> None:
        with pytest.raises(FileNotFoundError):
            host.read(f"{DEVICE}/class")

    def test_a_directory_is_no_file(self, host: Host) -> None:
        with pytest.raises(IsADirectoryError):
            host.read(DEVICE)

    def test_a_pipe_does_not_block(self, host: Host, root: Path) -> None:
        os.mkfifo(root / "sys/pipe")
        assert host.read("/sys/pipe") == b""

    def test_a_list_is_sorted(self, host: Host) -> None:
        assert host.list(DEVICE) == ("config", "driver", "vendor")

    def test_where_a_path_leads(self, host: Host) -> None:
        assert host.resolve(DEVICE) == "/sys/devices/pci0000:00/0000:00:01.0"

    def test_a_path_that_leads_out_of_the_host(self, host: Host, root: Path) -> None:
        (root / "sys/out").symlink_to(root.parent)
        with pytest.raises(FileNotFoundError):
            host.resolve("/sys/out")

    @pytest.mark.parametrize("path", ["sys", "/sys/../../etc/passwd", ""])
    def test_only_paths_of_the_host(self, host: Host, path: str) -> None:
        with pytest.raises((ValueError, OSError)):
            host.read(path)


class TestLook:
    def test_files_and_links(self, host: Host) -> None:
        found = host.look(DEVICE, {"vendor": 64, "class": 64}, ("driver", "iommu_group"))
        assert found.text("vendor") == "0x10de"
        # Its driver is not there, and is known by its name.
        assert found.text("driver") == "nvidia"
        assert found.text_or("class", "none") == "none"
        with pytest.raises(FileNotFoundError):
            found.text("iommu_group")
        assert not found.is_nothing

    def test_nothing(self, host: Host) -> None:
        assert host.look("/sys/nowhere", {"vendor": 64}, ("driver",)).is_nothing

    def test_what_is_no_text_can_be_shown(self, host: Host, root: Path) -> None:
        (root / "sys/odd").write_bytes(b"\xff ab\0\n")
        assert host.look("/sys", {"odd": 64}).text("odd") == "\N{REPLACEMENT CHARACTER} ab"


class TestDeadline:
    @pytest.fixture
    def files(self, root: Path) -> SlowFiles:
        return SlowFiles(root, f"{DEVICE}/vendor")

    @pytest.fixture
    def host(self, files: SlowFiles, tmp_path: Path) -> Host:
        return Host(tmp_path / "state", files, read_timeout=TIMEOUT)

    def test_a_file_that_does_not_answer_hides_no_other(self, host: Host, files: SlowFiles) -> None:
        found = host.look(DEVICE, {"vendor": 64, "config": 4}, ("driver",))
        with pytest.raises(TimeoutError):
            found.text("vendor")
        assert found.data("config") == b"\0\1\2\3"
        assert found.text("driver") == "nvidia"
        files.answer.set()

    def test_it_is_not_tried_again_until_it_has_answered(
        self, host: Host, files: SlowFiles
    ) -> None:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                host.read(files.slow)
        assert files.calls == 1
        files.answer.set()
        for _ in range(100):
            try:
                assert host.read(files.slow) == b"0x10de\n"
                break
            except TimeoutError:
                threading.Event().wait(0.01)
        else:
            pytest.fail("it has answered, and is still not tried")

    def test_one_thread_serves_all_looks(self, root: Path, tmp_path: Path) -> None:
        host = Host(tmp_path / "state", Files(root))
        host.list("/sys")
        before = threading.active_count()
        for _ in range(50):
            host.look(DEVICE, {"vendor": 64})
        assert threading.active_count() == before


def test_what_was_read_is_not_kept() -> None:
    """A thread that waits for the next call holds nothing of the last one."""
    patience = Patience(TIMEOUT)
    read = {"a file": threading.Event()}
    kept = weakref.ref(read["a file"])
    patience.call(read.copy, lambda: "a file")
    read.clear()
    deadline = time.monotonic() + 2 * TIMEOUT
    while kept() is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert kept() is None
