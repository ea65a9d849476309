"""Calls of drivers: each in a thread of its own, and none is waited for longer than it may take.

Nobody can end a thread that is inside a driver. A call that does not return in time *hangs*, and
so does its card: the work ends with that as the reason, and nothing else is begun on the card, or
on another of its queue, until the call has returned, however it ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from oslo_config import cfg
from oslo_context import context
from oslo_log import log

from cyborg.domain.clock import Clock, utcnow
from cyborg.domain.hardware import same_identity
from cyborg.domain.work import Program
from cyborg.drivers.contract import DriverError

LOG = log.getLogger(__name__)


def call_limit(conf: cfg.ConfigOpts, name: str) -> float:
    """Return the seconds that a call of a driver may take now, by its name."""
    return float(conf.agent.program_timeout if name == Program.name else conf.agent.call_timeout)


class CardHangs(DriverError):
    """A call for the card has not returned in time; ``str(error)`` says which."""


class CallNotBegun(DriverError):
    """There is no thread for a call to be had; nothing was touched."""


class _Call:
    """One call, and how it has ended."""

    def __init__(
        self, devices: Sequence[str], queue: str, name: str, what: str, begun: str
    ) -> None:
        self.devices = frozenset(map(same_identity, devices))
        self.queue = queue
        self.name = name
        #: The same at every scan, as reports have to be.
        self.reason = f"The driver's {name} ({what}), called at {begun}, has not returned."
        self.ended = threading.Event()
        self.error: BaseException | None = None


class Calls:
    """Calls drivers; two calls for one card are never under way at once, if its caller waits.

    Safe for several threads.
    """

    def __init__(
        self,
        limit: Callable[[str], float],
        changed: Callable[[], None],
        now: Clock = utcnow,
    ) -> None:
        """Begin with no call.

        :param limit: seconds that a call may take, by its name.
        :param changed: called when a card hangs, and when it does no more.
        """
        self._limit = limit
        self._changed = changed
        self._now = now
        self._lock = threading.Lock()
        self._hanging: list[_Call] = []

    def hanging(self, device: str) -> str | None:
        """Return why nothing can be begun on a card: which call has not returned; else None."""
        identity = same_identity(device)
        return self._reason(lambda call: identity in call.devices)

    def blocking(self, queue: str) -> str | None:
        """Return why nothing can be begun in a queue: which call has not returned; else None."""
        return self._reason(lambda call: call.queue == queue)

    def make(
        self,
        devices: Sequence[str],
        name: str,
        what: str,
        function: Callable[[], None],
        *,
        queue: str,
        longest: float = 0.0,
        timeout: float | None = None,
    ) -> None:
        """Call a driver for a card, or several of one queue, and raise what it raises.

        :param name: of the call, by which its limit is found.
        :param what: it is about, for the log and the reason.
        :param queue: in which nothing is begun until it has returned.
        :param longest: seconds that it may take whatever its limit is.
        :param timeout: seconds that it may take, whatever that and its limit are.
        :raises CardHangs: it has not returned in time; or it was not begun, since an earlier
            one has not.
        :raises CallNotBegun: this host has no more threads.
        """
        hanging = self.blocking(queue)
        if hanging is not None:
            raise CardHangs(hanging)
        call = _Call(devices, queue, name, what, f"{self._now():%Y-%m-%d %H:%M:%S} UTC")
        limit = max(self._limit(name), longest) if timeout is None else timeout
        self._start(call, function)
        if not call.ended.wait(limit) and self._gives_up(call):
            LOG.error(
                "driver hangs device=%s after %g s: %s", ",".join(devices), limit, call.reason
            )
            self._changed()
            raise CardHangs(call.reason)
        if call.error is not None:
            raise call.error

    def _reason(self, concerns: Callable[[_Call], bool]) -> str | None:
        with self._lock:
            return next((call.reason for call in self._hanging if concerns(call)), None)

    def _start(self, call: _Call, function: Callable[[], None]) -> None:
        thread = threading.Thread(
            target=self._run,
            args=(call, function, context.get_current()),
            name=f"driver-{call.name}",
            # It may hang for ever, and must not keep the process from ending.
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError as error:
            raise CallNotBegun(f"The agent cannot call the driver: {error}.") from error

    def _gives_up(self, call: _Call) -> bool:
        with self._lock:
            if call.ended.is_set():
                return False
            self._hanging.append(call)
            return True

    def _run(
        self,
        call: _Call,
        function: Callable[[], None],
        origin: context.RequestContext | None,
    ) -> None:
        if origin is not None:
            origin.update_store()
        try:
            function()
        except BaseException as error:  # whoever waits for it raises it again
            call.error = error
        with self._lock:
            call.ended.set()
            if call not in self._hanging:
                return
            self._hanging.remove(call)
        LOG.warning(
            "driver hangs no more device=%s call=%s error=%s",
            ",".join(sorted(call.devices)),
            call.name,
            call.error,
        )
        self._changed()
