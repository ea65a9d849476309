"""What the kit finds out about the drivers of ``suite``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from cyborg.testing.drivers import (
    HostConformance,
    ProgrammableConformance,
    UnreadableDeviceConformance,
)
from cyborg.tests.unit.drivers.kit import host_suite, suite

#: The suites, and what each asks of every driver in it.
SUITES: dict[ModuleType, tuple[type, ...]] = {
    suite: (ProgrammableConformance, UnreadableDeviceConformance),
    host_suite: (HostConformance,),
}

ASKED = [(module, name) for module in SUITES for name in vars(module) if name.startswith("Test")]


def promises(module: ModuleType) -> set[str]:
    """Return the names of the tests that a suite asks."""
    return {name for kit in SUITES[module] for name in dir(kit) if name.startswith("test_")}


@pytest.fixture(scope="module")
def failed(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[ModuleType], Mapping[str, set[str]]]:
    """Returns the tests of a suite that failed, by class. Runs each suite once."""
    known: dict[ModuleType, Mapping[str, set[str]]] = {}

    def get(module: ModuleType) -> Mapping[str, set[str]]:
        if module not in known:
            known[module] = run(module, tmp_path_factory.mktemp("kit"))
        return known[module]

    return get


def run(module: ModuleType, directory: Path) -> Mapping[str, set[str]]:
    """Run a suite; each class must have as many tests as there are promises."""
    report = directory / "report.xml"
    plain = ["-c", "/dev/null", "--rootdir=/", "--noconftest", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plain, f"--junitxml={report}", str(module.__file__)],
        cwd=Path(str(module.__file__)).parents[5],
        # Of pytest's plugins none is needed, and some take seconds to import.
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=230,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    ran: dict[str, set[str]] = defaultdict(set)
    failed: dict[str, set[str]] = defaultdict(set)
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 -- pytest wrote it
        name = case.attrib["classname"].rpartition(".")[2]
        # Without its parameters.
        promise = case.attrib["name"].partition("[")[0]
        ran[name].add(promise)
        if case.find("failure") is not None or case.find("error") is not None:
            failed[name].add(promise)
    asked = [name for of, name in ASKED if of is module]
    assert ran == dict.fromkeys(asked, promises(module)), done.stdout
    return failed


@pytest.mark.parametrize(("module", "name"), ASKED)
def test_just_what_is_broken_fails(
    failed: Callable[[ModuleType], Mapping[str, set[str]]], module: ModuleType, name: str
) -> None:
    assert failed(module)[name] == set(getattr(module, name).broken)


@pytest.mark.parametrize("module", SUITES)
def test_every_promise_is_broken_by_somebody(module: ModuleType) -> None:
    asked = [name for of, name in ASKED if of is module]
    broken = {name for each in asked for name in getattr(module, each).broken}
    assert broken == promises(module)
