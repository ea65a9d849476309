"""The checks of "make check", so that nothing lands without them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--no-cache", "."],
        ["ruff", "format", "--no-cache", "--check", "."],
        ["mypy"],
        ["lint-imports", "--no-cache"],
        ["codespell", "api-ref", "cyborg", "doc", "releasenotes", "tools", "README.rst"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_check(command: list[str]) -> None:
    done = subprocess.run(
        [TOOLS / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_pages_say_can_be_made() -> None:
    """Each command of make that a page shows as one: ``make chaos``."""
    pages = [ROOT / "README.rst", *ROOT.glob("doc/source/**/*.rst"), *ROOT.glob("tools/**/*.py")]
    said = {
        name for page in pages for name in re.findall(r"``make ([a-z-]+)", page.read_text("utf-8"))
    }
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert {"run", "test", "chaos"} <= said
    assert said <= targets, said - targets
