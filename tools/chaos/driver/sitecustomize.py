"""Lets a process sleep whose clock is wrong, which Python imports at its start.

libfaketime refuses ``time.sleep`` of newer Pythons, as long as it leaves the monotonic clock alone,
and that one must not jump: a wall clock that is set does not move it either.
"""

import os
import threading
import time
from typing import SupportsIndex


def _sleep(seconds: float | SupportsIndex) -> None:
    # What waits for a lock is let through.
    threading.Event().wait(float(seconds))


if "FAKETIME_TIMESTAMP_FILE" in os.environ:
    time.sleep = _sleep
