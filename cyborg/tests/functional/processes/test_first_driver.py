"""The driver that the page ``first_driver.rst`` builds, file by file as the page has it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyborg.tests.functional.processes.packages import ROOT, Package, install

PAGE = ROOT / "doc/source/contributor/first_driver.rst"

_BLOCK = re.compile(
    r"^\.\. code-block:: (?P<language>\w+)\n(?:   :caption: (?P<file>\S+)\n)?\n"
    r"(?P<text>(?:   .*\n|\n)+)",
    re.MULTILINE,
)


def blocks() -> Iterator[tuple[str | None, str]]:
    """Yield what the page shows: the file's name, None for commands, and the text."""
    for found in _BLOCK.finditer(PAGE.read_text()):
        assert (found["file"] is None) == (found["language"] == "console"), found[0]
        # The block's own indentation, and not that of methods of a class before.
        text = re.sub(r"^   ", "", found["text"], flags=re.MULTILINE)
        yield found["file"], text.rstrip("\n") + "\n"


def write_files(folder: Path) -> None:
    """Write each file; a block whose name was there before goes on with it."""
    for name, text in blocks():
        if name is None:
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() if path.exists() else ""
        path.write_text(f"{before}\n{text}" if before else text)


def commands() -> Iterator[tuple[list[str], str]]:
    """Yield each command of the page, and what it prints there."""
    for name, text in blocks():
        if name is None:
            for each in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, _, printed = each.partition("\n")
                yield shlex.split(line), printed


def is_shown(printed: str, page: str) -> bool:
    """Return whether a command has printed what the page says, where ``...`` is anything."""
    form = ".*".join(re.escape(part) for part in page.rstrip("\n").split("..."))
    return re.fullmatch(form, printed.rstrip("\n"), re.DOTALL) is not None


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The package as the page has it, installed."""
    folder = tmp_path_factory.mktemp("first-driver")
    write_files(folder / "source")
    return install(folder / "source", folder / "site")


def test_its_commands_print_what_it_shows(package: Package) -> None:
    ran = []
    for command, shown in commands():
        # The fixture has done it, and without a network.
        if command[0] != "pip":
            done = package.run(*command)
            assert done.returncode == 0, done.stdout + done.stderr
            assert is_shown(done.stdout, shown), done.stdout
            ran.append(command[0])
    assert ran == ["pytest", "python", "cyborg-agent"]
