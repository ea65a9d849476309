"""Many at once: for one handle, for one provider, and against an operator."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from fault import Fault
from load import Boot, Target
from settings import NARROW
from world import World, providers

_CLIENTS = 50
_ROOT = Path(__file__).resolve().parents[2]
_RACES = ("test_races.py", "test_hardware_races.py")
#: Of each race, and seconds for all of them.
_ROUNDS, _RACES_SECONDS = 100, 900


def _fight(world: World) -> str:
    """Many bind to the only handle of a device, at the same moment."""
    load = world.load
    target = Target(NARROW, providers(world.hosts[NARROW])[0])
    boots = [b for b in load.at_once(load.prepared, [target] * _CLIENTS, _CLIENTS // 2) if b]
    together = threading.Barrier(len(boots))

    def bind(boot: Boot) -> Boot:
        together.wait()
        load.nova.bind(boot, insist=False)
        return boot

    began = time.monotonic()
    load.at_once(bind, boots, len(boots))
    seconds = time.monotonic() - began
    statuses = Counter(boot.status for boot in boots)
    load.at_once(load.see, boots, 8)
    load.at_once(load.delete, boots, 8)
    assert statuses == {202: 1, 409: _CLIENTS - 1}, f"answered {dict(statuses)}"
    return f"1 bound, {statuses[409]} x 409, in {seconds:.1f} s"


def _races(_world: World) -> str:
    """The races of "make races", in a process of their own."""
    files = [str(_ROOT / "cyborg/tests/functional/conductor" / name) for name in _RACES]
    command = [sys.executable, "-m", "pytest", "-q", "--timeout", "0", *files]
    done = subprocess.run(  # noqa: S603 -- our own words
        command,
        cwd=_ROOT,
        env={**os.environ, "CYBORG_TEST_RACES": str(_ROUNDS)},
        capture_output=True,
        text=True,
        timeout=_RACES_SECONDS,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0, done.stdout[-2000:]
    return f"{_ROUNDS} rounds of each: {last}"


FAULTS = (
    Fault(
        "F21",
        "bind, unbind, delete and report at once",
        "exactly one wins, a handle is free once",
        _races,
    ),
    Fault(
        "F22",
        "50 clients fight for 1 handle",
        "1 success, 49 times 409",
        _fight,
        is_short=True,
    ),
)
