"""Measure the pci driver on a host with 640 virtual functions.

Prints a line for each figure: what, how much, and the most that it may be. The exit status is 1 if
one is exceeded.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cyborg.agent.scan import Scanner
from cyborg.drivers.contract import Handle
from cyborg.drivers.pci.driver import PciDriver
from cyborg.testing.drivers import make_conf
from cyborg.testing.drivers.machine import Machine
from cyborg.testing.hosts import build

ENTRY = {"vendor_id": "15b3", "product_id": "101e", "resource_class": "CUSTOM_NIC"}

#: What is measured, and the most that it may be.
MOST = {
    "first scan, seconds of CPU": 1.5,
    "scan, seconds of CPU": 0.5,
    "--show-inventory, seconds of CPU": 2.0,
    "memory of ten scans, MiB": 15.0,
    "prepare, seconds": 0.05,
    "release, seconds": 0.05,
}


def main() -> int:
    """Measure, print, and return the exit status."""
    with tempfile.TemporaryDirectory() as directory:
        found = measure(Path(directory))
    for what, value in found.items():
        print(f"{what}: {value:.3f} of {MOST[what]:g}")
    return int(any(value > MOST[what] for what, value in found.items()))


def measure(directory: Path) -> dict[str, float]:
    """Return the figures, on a host below a directory."""
    root = directory / "root"
    build("many-vfs", root)
    conf = make_conf(PciDriver, pci={"passthrough_whitelist": [json.dumps(ENTRY)]})
    machine = Machine(root, directory / "state", conf)
    driver = PciDriver(machine.environment())
    driver.configure()
    scanner = Scanner([driver])
    before = megabytes()
    found = {"first scan, seconds of CPU": seconds(lambda: scanner.scan(60))}
    found["scan, seconds of CPU"] = min(seconds(lambda: scanner.scan(60)) for _ in range(9))
    # Before the command, whose output this process would hold.
    found["memory of ten scans, MiB"] = megabytes() - before
    found["--show-inventory, seconds of CPU"] = showing(directory, root)
    card = driver.discover().devices[0]
    part = card.deployables[0]
    handle = Handle("a", card.identity, part.name, "PCI", part.handles[7].info)
    found["prepare, seconds"] = wall(lambda: driver.prepare(handle, {}))
    found["release, seconds"] = wall(lambda: driver.release(handle))
    return found


def showing(directory: Path, root: Path) -> float:
    """Return what the command takes, with all that it imports."""
    config = directory / "cyborg.conf"
    config.write_text(
        "[agent]\nenabled_drivers = pci_driver\nresource_provider_name = compute-1\n"
        f"[pci]\npassthrough_whitelist = {json.dumps(ENTRY)}\n"
    )
    command = Path(sys.executable).with_name("cyborg-agent")
    options = [f"--config-file={config}", "--show-inventory", f"--host-root={root}"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(  # noqa: S603 -- our own command
        [command, *options], capture_output=True, check=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "offers 128 CUSTOM_NIC" in done.stdout
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def seconds(call: Callable[[], object]) -> float:
    """Return the seconds of CPU, of all threads, that a call takes."""
    before = time.process_time()
    call()
    return time.process_time() - before


def wall(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    before = time.monotonic()
    call()
    return time.monotonic() - before


def megabytes() -> float:
    """Return the memory of this process."""
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line
    )
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
