"""The short run of "make chaos-short", so that no change lands that loses something in a fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cyborg.tests.servers import Keystone, MariaDB, Placement, RabbitMQ
from cyborg.tests.servers.plugin import require

ROOT = Path(__file__).parents[4]
#: Seconds. With two processors that have nothing else to do it takes less than 90.
LIMIT = 540


@pytest.mark.timeout(LIMIT + 60)
def test_nothing_is_lost_in_the_faults_that_matter_most() -> None:
    for kind in (MariaDB, RabbitMQ, Keystone, Placement):
        require(kind)
    command = [sys.executable, str(ROOT / "tools/chaos/chaos.py"), "--short"]
    output = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, text=True
    ) as child:
        try:
            printed, _ = child.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            # It ends what it has started, which a kill would leave.
            child.terminate()
            printed, _ = child.communicate()
    assert child.returncode == 0, printed[-8000:]
