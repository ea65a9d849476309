"""What the kit finds out about the drivers of ``suite``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cyborg.testing.drivers import ProgrammableConformance, UnreadableDeviceConformance
from cyborg.tests.unit.drivers.kit import suite

ASKED = [name for name in vars(suite) if name.startswith("Test")]

PROMISES = {
    name
    for kit in (ProgrammableConformance, UnreadableDeviceConformance)
    for name in dir(kit)
    if name.startswith("test_")
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """The tests that failed, by class; each class with as many as there are promises."""
    report = tmp_path_factory.mktemp("kit") / "report.xml"
    plain = ["-c", "/dev/null", "--rootdir=/", "--noconftest", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plain, f"--junitxml={report}", str(suite.__file__)],
        cwd=Path(suite.__file__).parents[5],
        # Of pytest's plugins none is needed, and some take seconds to import.
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    ran: dict[str, set[str]] = defaultdict(set)
    failed: dict[str, set[str]] = defaultdict(set)
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 -- pytest wrote it
        name = case.attrib["classname"].rpartition(".")[2]
        ran[name].add(case.attrib["name"])
        if case.find("failure") is not None or case.find("error") is not None:
            failed[name].add(case.attrib["name"])
    assert ran == dict.fromkeys(ASKED, PROMISES), done.stdout
    return failed


@pytest.mark.parametrize("name", ASKED)
def test_just_what_is_broken_fails(failed: Mapping[str, set[str]], name: str) -> None:
    assert failed[name] == set(getattr(suite, name).broken)


def test_every_promise_is_broken_by_somebody() -> None:
    assert {name for asked in ASKED for name in getattr(suite, asked).broken} == PROMISES
