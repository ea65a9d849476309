"""Many at once: for one handle, for one provider, and against an operator."""

from __future__ import annotations

import threading
import time
from collections import Counter

from fault import Fault
from load import Boot, Target
from settings import NARROW
from world import World, providers

_CLIENTS = 50


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


FAULTS = (
    Fault(
        "F22",
        "50 clients fight for 1 handle",
        "1 success, 49 times 409",
        _fight,
        is_short=True,
    ),
)
