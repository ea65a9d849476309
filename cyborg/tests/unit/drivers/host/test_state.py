"""What drivers may do to a host, tried on one that is a directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyborg.drivers.contract import DriverError
from cyborg.drivers.host import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "state" / "agent")


def test_a_state_file_is_found_again(host: Host) -> None:
    assert host.state_file("one").read() is None
    host.state_file("one").write({"a": [1, None, "ä"]})
    host.state_file("one").write({"b": 2})
    assert host.state_file("one").read() == {"b": 2}
    assert host.state_file("two").read() is None
    assert [path.name for path in host.state_directory.iterdir()] == ["one.json"]


def test_a_state_file_is_its_owners_only(host: Host) -> None:
    host.state_file("one").write({})
    assert host.state_directory.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_nonsense_is_nothing(host: Host, content: bytes) -> None:
    host.state_file("one").write(1)
    (host.state_directory / "one.json").write_bytes(content)
    assert host.state_file("one").read() is None


def test_a_directory_that_cannot_be_made(host: Host) -> None:
    host.state_directory.parent.write_text("a file")
    with pytest.raises(DriverError, match=r"cannot write .*/one\.json: Not a directory$"):
        host.state_file("one").write(1)


def test_what_cannot_be_replaced_stays(host: Host) -> None:
    inside = host.state_directory / "one.json" / "inside"
    inside.parent.mkdir(parents=True)
    inside.touch()
    with pytest.raises(DriverError, match="cannot write"):
        host.state_file("one").write(1)
    assert inside.exists()


def test_what_does_not_fit_leaves_the_old_content(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    host.state_file("one").write("old")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DriverError, match="No space left on device"):
        host.state_file("one").write("new")
    assert host.state_file("one").read() == "old"
    assert [path.name for path in host.state_directory.iterdir()] == ["one.json"]


def test_whoever_only_looks_leaves_nothing(tmp_path: Path) -> None:
    Host(tmp_path).state_file("one").write(["kept"])
    before = (tmp_path / "one.json").read_bytes()
    looking = Host(tmp_path, remembers=False)
    for name in ("one", "two"):
        looking.state_file(name).write(["dropped"])
    assert looking.state_file("one").read() == ["kept"]
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]
    assert (tmp_path / "one.json").read_bytes() == before
