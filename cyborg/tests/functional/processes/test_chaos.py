"""The short run of "make chaos-short", so that no change lands that loses something in a fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cyborg.tests.servers import Keystone, MariaDB, Placement, RabbitMQ
from cyborg.tests.servers.plugin import require

ROOT = Path(__file__).parents[4]


# On a machine that has nothing else to do it takes less than 90 s.
@pytest.mark.timeout(600)
def test_nothing_is_lost_in_the_faults_that_matter_most() -> None:
    for kind in (MariaDB, RabbitMQ, Keystone, Placement):
        require(kind)
    done = subprocess.run(
        [sys.executable, ROOT / "tools/chaos/chaos.py", "--short"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
