"""Two machines whose agents were given one name."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.processes.harness import Deployment, Process, deployed, wait_for

HOST = "compute-1"
INTERVAL = 2

#: The agent's command on a machine that calls its boot what a file says.
LAUNCHER = """
import sys
from pathlib import Path
from cyborg.cmd.agent import main
from cyborg.agent import journal
journal._BOOT_ID = Path(sys.argv.pop(1))
main()
"""

#: What the agent says when it is taken for the wrong one, and the conductor.
REFUSED, CLAIMED = "report refused, and no work is begun here", "host claimed by two machines"


@pytest.fixture
def cloud(tmp_path: Path, mariadb_url: str, rabbit_url: str) -> Iterator[Deployment]:
    """A deployment with a schema and no processes."""
    # What the wrong one was sent is soon sent again.
    soon = {"job_poll_interval": 0.2, "job_lease": 1}
    with deployed(tmp_path, mariadb_url, rabbit_url, conductor=soon) as deployment:
        deployment.dbsync()
        yield deployment


def machine(cloud: Deployment, name: str, devices: int) -> Process:
    """Start the agent of a machine, which has its own directory and boot, but not its own name."""
    boot_id = cloud.folder / f"{name}.boot_id"
    boot_id.write_text(f"boot-of-{name}")
    config = cloud.config(
        name,
        agent={"resource_provider_name": HOST},
        DEFAULT={"state_path": cloud.folder / name, "periodic_interval": INTERVAL},
        fake_driver={"devices": devices, "prepare_delay": 0.1},
    )
    arguments = ["-c", LAUNCHER, str(boot_id), "--config-file", config]
    process = Process("python", arguments, cloud.folder / f"{name}.log").start()
    cloud.processes.append(process)
    return process


def devices(cloud: Deployment) -> int:
    return len(cloud.api.get("/v2/devices")["devices"])


def test_the_second_is_refused_until_the_first_is_gone(cloud: Deployment) -> None:
    conductor, _ = cloud.conductor(), cloud.http()
    api = cloud.api
    first = machine(cloud, "first", 1)
    provider = cloud.wait_for_device(HOST)
    second = machine(cloud, "second", 2)

    wait_for("errors", lambda: second.text().count(REFUSED) >= 3 and CLAIMED in conductor.text())
    assert f"host={HOST}" in next(line for line in second.text().splitlines() if REFUSED in line)
    assert (devices(cloud), first.text().count(REFUSED)) == (1, 0)

    # Both take messages with work from one queue, and one of them may begin it.
    api.profile("one")
    instances = [new_uuid() for _ in range(4)]
    for instance in instances:
        assert api.bind(api.arqs("one"), instance, HOST, provider).status_code == 202
    wait_for("binds", lambda: {api.of_instance(of)[0]["state"] for of in instances} == {"Bound"})
    assert first.text().count("work started") == len(instances)
    assert "work started" not in second.text()

    first.end(signal.SIGKILL)
    killed = time.monotonic()
    wait_for("the other machine's devices", lambda: devices(cloud) == 2)
    # It was heard an interval before at most.
    assert time.monotonic() - killed > INTERVAL / 2
    assert first.text().count(REFUSED) == 0

    # The same boot: an agent that is started anew is taken at once.
    refused = second.text().count(REFUSED)
    second.end(signal.SIGKILL)
    machine(cloud, "second", 3)
    wait_for("its devices", lambda: devices(cloud) == 3)
    assert second.text().count(REFUSED) == refused
