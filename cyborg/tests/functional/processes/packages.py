"""Packages of somebody else's, installed with pip beside the environment of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cyborg.tests.functional.processes.harness import COMMANDS

ROOT = Path(__file__).parents[4]

_OFFLINE = ("--isolated", "--no-index", "--no-deps", "--no-build-isolation")


@dataclass(frozen=True, slots=True)
class Package:
    """A package: where its source is, and where pip has put it."""

    source: Path
    site: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what makes a process find it."""
        return {"PYTHONPATH": f"{self.site}{os.pathsep}{ROOT}", "PYTHONWARNINGS": "ignore"}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside the source, where the package is installed."""
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.source,
            env={
                **os.environ,
                **self.environment,
                "PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}",
                # Of pytest's plugins none is needed, and some take seconds to import.
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                # What it prints is the page's, whatever its user wants to see of ours.
                "PYTEST_ADDOPTS": "",
            },
            check=False,
        )


def install(source: Path, site: Path) -> Package:
    """Install a package without a network.

    :param source: a directory of the test's own, since a build writes beside the source.
    :param site: where it is put.
    """
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *_OFFLINE, f"--target={site}", str(source)],
        check=True,
        timeout=120,
    )
    return Package(source, site)
