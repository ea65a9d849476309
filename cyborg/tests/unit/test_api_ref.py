"""The API reference is about the API as it is: its tables, its pages, its history."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cyborg
from cyborg.api import microversions

TOP = Path(cyborg.__file__).parents[1]
SOURCE = TOP / "api-ref" / "source"

#: Refused always, or no news: nobody need read of it.
UNDOCUMENTED = {
    "attributes-delete.inc",
    # Another way to write what is documented.
    "deployables-uuid-program-segment-patch.inc",
}


def test_the_tables_are_what_the_declarations_say(tmp_path: Path) -> None:
    """Else: make api-ref."""
    environment = {**os.environ, "PYTHONPATH": str(TOP), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(TOP / "tools/api_ref/generate.py"), "--output", str(tmp_path)]
    subprocess.run(command, env=environment, check=True, timeout=60)
    for name in ("parameters.yaml", "status.yaml"):
        assert (tmp_path / name).read_text() == (SOURCE / name).read_text()
    assert texts(tmp_path / "operations") == texts(SOURCE / "operations")


def test_each_operation_is_on_a_page() -> None:
    included = Counter(included_in("operations/"))
    described = {file.name for file in (SOURCE / "operations").iterdir()}
    assert included == Counter(described - UNDOCUMENTED)


def test_each_page_is_there() -> None:
    assert set(included_in("")) >= {file.name for file in SOURCE.glob("*.inc")}


def test_each_version_is_in_the_history() -> None:
    history = (TOP / "doc/source/reference/microversions.rst").read_text()
    found = re.findall(r"^([0-9]+\.[0-9]+)(?: .*)?\n-+$", history, re.MULTILINE)
    newest = microversions.MAXIMUM[1]
    assert found == [f"2.{minor}" for minor in range(newest + 1)]


def included_in(folder: str) -> list[str]:
    """Return the files of a folder that pages include."""
    pattern = rf"^\.\. include:: {folder}([\w.-]+)$"
    pages = [*SOURCE.glob("*.inc"), *SOURCE.glob("*.rst")]
    return [name for page in pages for name in re.findall(pattern, page.read_text(), re.MULTILINE)]


def texts(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}
