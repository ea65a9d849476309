"""A call is given up when nobody lives who answers it, and not while somebody does.

Who was called says so every half a second, from the moment when it has the message: also while
all its threads are taken. Who calls leaves when it has heard nothing for longer. Who was frozen
meanwhile knows by its own clock whose callers have left.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oslo_log import log

LOG = log.getLogger(__name__)

#: Seconds without a word after which a caller leaves. The API answers in less than two.
PATIENCE = 1.6

#: Seconds between two words, which leaves most of a caller's patience to the network.
INTERVAL = 0.4

#: Seconds without a word after which a caller counts as gone: before it is.
SILENCE = 1.3


class Patience(float):
    """A caller's patience, as oslo.messaging takes it.

    Conductors of the release before are told two seconds: they say a word every half of them,
    in whole seconds, and none at all for less than two. Of what is left of it, which is a
    difference, oslo.messaging makes the wait for the next word.
    """

    def __new__(cls) -> Patience:
        """Return the patience."""
        return super().__new__(cls, 2.0)

    def __sub__(self, passed: float) -> float:
        """Return what is left of it."""
        return PATIENCE - passed


@dataclass(slots=True)
class _Call:
    #: When its caller was last heard, or told something.
    told: float
    #: It may have been on its way for longer than its caller waits.
    left: bool = False


class Calls:
    """Calls that are not answered yet. Safe for several threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin with none."""
        self._monotonic = monotonic
        self._calls: dict[Any, _Call] = {}
        self._looked = monotonic()
        #: Until then, what comes may have waited for us to thaw.
        self._doubted_until = self._looked

    def run(self, ended: Callable[[], bool]) -> None:
        """Tell callers that they are not forgotten, until the last of them has its answer.

        :param ended: whether no more messages come.
        """
        self._looked = self._monotonic()
        while self._calls or not ended():
            time.sleep(INTERVAL)
            self.tell()

    def take(self, incoming: Any) -> None:
        """Note a message that has come. Who waits without listening is told nothing."""
        if not incoming.client_timeout:
            return
        # Else oslo.messaging would start a thread for each call, to say the same.
        incoming.client_timeout = None
        now = self._monotonic()
        frozen = now - self._looked > SILENCE or now < self._doubted_until
        self._calls[incoming] = _Call(now, frozen)

    def forget(self, incoming: Any) -> None:
        """Note that a message is dealt with."""
        self._calls.pop(incoming, None)

    def has_left(self, incoming: Any) -> bool:
        """Return whether the caller may have left, so that nothing must be done for it."""
        call = self._calls.get(incoming)
        return call is not None and (call.left or self._monotonic() - call.told > SILENCE)

    def tell(self) -> None:
        """Tell every caller that waits for a while."""
        now = self._monotonic()
        if now - self._looked > SILENCE:
            LOG.warning("nothing was done here for %.1f s", now - self._looked)
            self._doubted_until = now + SILENCE
        self._looked = now
        for incoming, call in list(self._calls.items()):
            call.left = call.left or self._monotonic() - call.told > SILENCE
            if not call.left and now - call.told >= INTERVAL / 2:
                self._tell(incoming, call)

    def _tell(self, incoming: Any, call: _Call) -> None:
        try:
            incoming.heartbeat()
        except Exception as error:  # the outermost loop of what all other callers rely on
            LOG.debug("caller not told that it is not forgotten: %s", error)
        else:
            call.told = self._monotonic()
