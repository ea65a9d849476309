"""Directories of one process, and of its user only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cyborg.files import Hold, InUse, make_private, replace_durably

HOLDER = "import sys, pathlib; from cyborg.files import Hold; Hold(pathlib.Path(sys.argv[1]));"


def test_a_second_holder_is_told_who_is_the_first(tmp_path: Path) -> None:
    held = Hold(tmp_path)
    with pytest.raises(InUse) as refusal:
        Hold(tmp_path)
    assert f"{tmp_path} is in use by process {os.getpid()}" in str(refusal.value)
    held.let_go()
    Hold(tmp_path).let_go()


@pytest.mark.parametrize("stale", [b"", b"1\n", f"{os.getpid()}\n".encode(), b"\xff" * 100])
def test_a_file_that_stayed_behind_holds_nothing(tmp_path: Path, stale: bytes) -> None:
    (tmp_path / "lock").write_bytes(stale)
    Hold(tmp_path).let_go()
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_dead_holder_holds_nothing(tmp_path: Path) -> None:
    code = f"{HOLDER} import os; os._exit(0)"
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    Hold(tmp_path).let_go()


def test_a_program_that_the_holder_started_holds_nothing(tmp_path: Path) -> None:
    # Without our pipes, whose end would be waited for.
    sleep = "s.Popen(['sleep', '60'], stdout=s.DEVNULL, stderr=s.DEVNULL)"
    code = f"{HOLDER} import subprocess as s; print({sleep}.pid)"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], check=True, capture_output=True, text=True
    )
    try:
        Hold(tmp_path).let_go()
    finally:
        os.kill(int(done.stdout), 9)


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_what_is_made_is_nobody_elses(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        tmp_path.chmod(0o755)
        Hold(tmp_path / "a" / "b").let_go()
        replace_durably(tmp_path / "c" / "d" / "file", b"")
    finally:
        os.umask(before)
    modes = {str(path.relative_to(tmp_path)): path.stat().st_mode for path in tmp_path.rglob("*")}
    assert {name: oct(modes[name] & 0o777) for name in ("a", "a/b", "c", "c/d", "a/b/lock")} == {
        "a": "0o700",
        "a/b": "0o700",
        "c": "0o700",
        "c/d": "0o700",
        "a/b/lock": "0o600",
    }
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_a_file_in_the_place_of_a_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(OSError, match="a"):
        make_private(tmp_path / "a" / "b")
