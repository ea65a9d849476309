"""Programs of a host, which are found below its root."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cyborg.drivers.host import Files, Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "root/usr/sbin").mkdir(parents=True)
    return Host(tmp_path / "state", Files(tmp_path / "root"))


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "root/usr/sbin/tool"


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_what_it_says(host: Host, program: Path) -> None:
    write(program, 'echo "$LC_ALL $1"; echo wrong >&2; exit 3')
    found = host.run(["tool", "a b"], 10)
    assert (found.status, found.stdout, found.stderr) == (3, b"C a b\n", b"wrong\n")


def test_it_has_no_input(host: Host, program: Path) -> None:
    write(program, "read line; echo got $line")
    assert host.run(["tool"], 10).stdout == b"got\n"


def test_one_that_is_not_installed(host: Host) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        host.run(["tool"], 10)
    assert caught.value.filename == "tool"


def test_one_that_cannot_be_executed(host: Host, program: Path) -> None:
    program.write_text("")
    with pytest.raises(FileNotFoundError):
        host.run(["tool"], 10)


def test_a_directory_is_not_named(host: Host) -> None:
    with pytest.raises(ValueError, match="without its directory"):
        host.run(["/bin/sh"], 10)


@pytest.mark.parametrize("script", ["exec /bin/sleep 60", "exec >&- 2>&-; exec /bin/sleep 60"])
def test_one_that_does_not_end(host: Host, program: Path, script: str) -> None:
    write(program, script)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        host.run(["tool"], 0.2)
    assert time.monotonic() - began < 10


def test_one_that_says_too_much(host: Host, program: Path) -> None:
    write(program, "exec /usr/bin/yes")
    with pytest.raises(OSError, match="says more than"):
        host.run(["tool"], 60)
