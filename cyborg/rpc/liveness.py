"""A call is given up when nobody lives who answers it, and not while somebody does.

Whoever is called says a word to each process that waits for it, every half a second if it has
nothing else to say, from the moment when it has the message: also while all its threads are taken.
Answers are words as well. A caller leaves when its process has heard nothing from anybody for
longer, or nothing about its own call for much longer: so one that is slow, having more to do than
it can, is waited for. Who was frozen meanwhile knows by its own clock whose callers have left.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oslo_log import log

LOG = log.getLogger(__name__)

#: Seconds without a word from anybody after which a caller leaves. The API answers in less than
#: two.
PATIENCE = 1.6

#: Seconds without a word about its own call after which a caller leaves.
LONG_PATIENCE = 3.0

#: Seconds between two words to one process, which leaves most of its patience to the network;
#: and between two about one call.
INTERVAL, LONG_INTERVAL = 0.4, 0.75

#: Seconds without a word after which a caller counts as gone: before it is.
SILENCE, LONG_SILENCE = 1.3, 2.4


class Patience(float):
    """A caller's patience with its own call, as oslo.messaging takes it.

    Conductors of the release before are told two seconds: they say a word every half of them,
    in whole seconds, and none at all for less than two. Of what is left of it, which is a
    difference, oslo.messaging makes the wait for the next word.
    """

    def __new__(cls) -> Patience:
        """Return the patience."""
        return super().__new__(cls, 2.0)

    def __sub__(self, passed: float) -> float:
        """Return what is left of it."""
        return LONG_PATIENCE - passed


@dataclass(slots=True)
class _Call:
    #: When its caller was last heard, or told something about it.
    told: float
    #: It may have been on its way for longer than its caller waits.
    left: bool = False


class Calls:
    """Calls that are not answered yet. Safe for several threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin with none."""
        self._monotonic = monotonic
        self._calls: dict[Any, _Call] = {}
        #: When something was last said to each process that waits, by its queue of answers.
        self._spoken: dict[str, float] = {}
        self._awake = monotonic()
        #: Until then, what comes may have waited for us to thaw.
        self._doubted_until = self._awake

    def run(self, ended: Callable[[], bool]) -> None:
        """Tell callers that they are not forgotten, until the last of them has its answer.

        :param ended: whether no more messages come.
        """
        self._awake = self._monotonic()
        while self._calls or not ended():
            time.sleep(INTERVAL)
            self.tell()

    def take(self, incoming: Any) -> None:
        """Note a message that has come. Who waits without listening is told nothing."""
        now = self._wake()
        if not incoming.client_timeout:
            return
        # Else oslo.messaging would start a thread for each call, to say the same.
        incoming.client_timeout = None
        self._calls[incoming] = _Call(now, now < self._doubted_until)

    def forget(self, incoming: Any) -> None:
        """Note that a message is dealt with."""
        self._wake()
        self._calls.pop(incoming, None)

    def answer(self, incoming: Any, reply: Callable[..., None], *result: Any, **named: Any) -> None:
        """Answer a message. What the queue has not taken is no word."""
        reply(*result, **named)
        if incoming in self._calls:
            self._speak(incoming.reply_q)

    def has_left(self, incoming: Any) -> bool:
        """Return whether the caller may have left, so that nothing must be done for it."""
        call = self._calls.get(incoming)
        return call is not None and self._left(incoming, call)

    def tell(self) -> None:
        """Tell every caller that waits for a while, and every process that waits."""
        now = self._wake()
        calls = list(self._calls.items())
        for incoming, call in calls:
            if self._left(incoming, call):
                call.left = True
            silent = now - max(call.told, self._spoken.get(incoming.reply_q, -math.inf))
            is_due = silent >= INTERVAL / 2 or now - call.told >= LONG_INTERVAL
            if not call.left and is_due:
                self._tell(incoming, call)
        for queue, at in list(self._spoken.items()):
            if now - at > LONG_PATIENCE:
                self._spoken.pop(queue, None)

    def _wake(self) -> float:
        """Note that something is done here; return when."""
        now = self._monotonic()
        if now - self._awake > SILENCE:
            LOG.warning("nothing was done here for %.1f s", now - self._awake)
            self._doubted_until = now + SILENCE
        self._awake = now
        return now

    def _left(self, incoming: Any, call: _Call) -> bool:
        now = self._monotonic()
        spoken = max(call.told, self._spoken.get(incoming.reply_q, -math.inf))
        return call.left or now - spoken > SILENCE or now - call.told > LONG_SILENCE

    def _speak(self, queue: str) -> None:
        """Note that a process was told something. Who has left before does not come back."""
        now = self._monotonic()
        if now - self._spoken.get(queue, -math.inf) > SILENCE:
            for incoming, call in list(self._calls.items()):
                if incoming.reply_q == queue and self._left(incoming, call):
                    call.left = True
        self._spoken[queue] = now

    def _tell(self, incoming: Any, call: _Call) -> None:
        try:
            incoming.heartbeat()
        except Exception as error:  # the outermost loop of what all other callers rely on
            LOG.debug("caller not told that it is not forgotten: %s", error)
        else:
            self._speak(incoming.reply_q)
            call.told = self._monotonic()
