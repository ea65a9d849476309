"""The import contracts of drivers hold a family that is new, without naming it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

ALLOWED = (
    "cyborg.drivers.contract",
    "cyborg.drivers.host",
    "cyborg.drivers.host.in_use",
    "cyborg.drivers.host.neighbours",
    "cyborg.drivers.host.pci",
    "cyborg.drivers.second.options",
)

SHELF = "Families of drivers know the contract and the host, and no other family"
OURS = "Families of drivers know nothing else of ours"

#: What a family must not import, and the contract that says so.
FORBIDDEN = {
    "cyborg.drivers.fake.options": SHELF,
    "cyborg.drivers.host.state": SHELF,
    "cyborg.drivers.loader": SHELF,
    "cyborg.conf.agent": OURS,
    "cyborg.domain.model": OURS,
    "cyborg.files": OURS,
    "cyborg.agent.scan": "Arrows go downwards",
    "cyborg.privileged.verbs": "Arrows go downwards",
    "cyborg.testing.drivers": "Arrows go downwards",
    "cyborg.rpc.wire": "Arrows go downwards",
    "cyborg.clients.http": "Only the conductor and the agent speak to other services",
    "cyborg.db.tables": "Agents and drivers have no database",
}


def lint(directory: Path, *imports: str) -> subprocess.CompletedProcess[str]:
    """Check a copy of the tree that has a second family with these imports."""
    shutil.copytree(ROOT / "cyborg", directory / "cyborg", ignore=shutil.ignore_patterns("tests"))
    shutil.copy(ROOT / "pyproject.toml", directory)
    family = directory / "cyborg" / "drivers" / "second"
    family.mkdir()
    for name in ("__init__", "options"):
        (family / f"{name}.py").touch()
    (family / "driver.py").write_text("".join(f"import {name}\n" for name in imports))
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_family_may_import_the_contract_and_the_host(tmp_path: Path) -> None:
    done = lint(tmp_path, *ALLOWED)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What is said of a family that imports everything, by contract."""
    said = lint(tmp_path_factory.mktemp("tree"), *ALLOWED, *FORBIDDEN).stdout
    _, *parts = re.split(r"^(.+)\n-+$", said.partition("Broken contracts\n")[2], flags=re.M)
    return dict(zip(parts[0::2], parts[1::2], strict=True))


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_family_may_not_import_anything_else(complaints: Mapping[str, str], name: str) -> None:
    [about] = [text for contract, text in complaints.items() if contract == FORBIDDEN[name]]
    assert f"cyborg.drivers.second.driver -> {name} " in about


def test_what_it_may_import_is_not_complained_of(complaints: Mapping[str, str]) -> None:
    for name in ALLOWED:
        assert f"cyborg.drivers.second.driver -> {name} " not in "".join(complaints.values())
