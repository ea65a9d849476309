"""The two ``openstack`` commands that people have."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from commands import run
from waiting import expect

#: openstackclient with accelerator commands of its own, and the older one with
#: python-cyborgclient's: the variables that name their virtual environments.
NEW = "MS_VENV"
OLD = "MS_VENV_CLIENT"


def openstack(
    cloud: str, *arguments: str, client: str = NEW, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command as a user of the stack.

    :raises CommandFailed: it ended badly (with ``check``).
    """
    program = Path(os.environ[client], "bin", "openstack")
    env = {**os.environ, "OS_CLOUD": f"ms-{cloud}", "PYTHONWARNINGS": "ignore"}
    return run([str(program), *arguments], env=env, check=check)


def shown(cloud: str, *arguments: str, client: str = NEW) -> Any:
    """Run a command and return what it shows, read from JSON."""
    return json.loads(openstack(cloud, *arguments, "-f", "json", client=client).stdout)


def expect_refused(cloud: str, *arguments: str, client: str = NEW) -> str:
    """Run a command that must fail; return what it says."""
    done = openstack(cloud, *arguments, client=client, check=False)
    expect(done.returncode != 0, f"{' '.join(arguments)} is not refused: {done.stdout}")
    return done.stdout + done.stderr
