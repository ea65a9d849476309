"""The sample files of etc/cyborg are what the generators make of this code."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cyborg

TOP = Path(cyborg.__file__).parents[1]


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which this tree is what is installed, whatever pip has installed."""
    setup = configparser.ConfigParser()
    setup.read(TOP / "setup.cfg")
    name = setup["metadata"]["name"]
    directory = tmp_path / f"{name.replace('-', '_')}-0.dist-info"
    directory.mkdir()
    (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0\n")
    points = [f"[{group}]\n{lines}\n" for group, lines in setup["entry_points"].items()]
    (directory / "entry_points.txt").write_text("".join(points))
    return {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{TOP}", "PYTHONWARNINGS": "ignore"}


def check(
    command: str, generator: str, sample: str, directory: Path, environment: dict[str, str]
) -> None:
    """Make a sample again and compare it with the one that is kept."""
    module, function = command.split(":")
    made = directory / sample
    arguments = [
        *("--config-file", str(TOP / "tools" / "config" / generator)),
        *("--output-file", str(made)),
    ]
    # A process of its own: the generators change defaults of the global configuration.
    subprocess.run(
        [sys.executable, "-c", f"import {module} as m; m.{function}()", *arguments],
        cwd=directory,
        env=environment,
        check=True,
        timeout=60,
    )
    assert made.read_text() == (TOP / "etc" / "cyborg" / sample).read_text()


def test_configuration(tmp_path: Path, installed: dict[str, str]) -> None:
    """Else: tox -e genconfig."""
    command = "oslo_config.generator:main"
    check(command, "cyborg-config-generator.conf", "cyborg.conf.sample", tmp_path, installed)


def test_policy(tmp_path: Path, installed: dict[str, str]) -> None:
    """Else: tox -e genpolicy."""
    command = "oslo_policy.generator:generate_sample"
    check(command, "cyborg-policy-generator.conf", "policy.yaml.sample", tmp_path, installed)
