"""A process of one or more services, from its start to a clean end.

One process a command, no forking: whoever wants more of them starts more (systemd,
containers, a WSGI server), which is also how the standalone service can hold all three.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn, Protocol

from oslo_config import cfg
from oslo_log import log

from cyborg import threads
from cyborg.cmd import configuration
from cyborg.domain.errors import ConfigurationError

LOG = log.getLogger(__name__)

_STOP: tuple[int, ...] = (signal.SIGTERM, signal.SIGINT)

#: In the place of a signal: a thread that serves has ended.
_LOST = 0

#: Exit status of a process that lost a thread.
LOST = 1


class Service(Protocol):
    """What runs in a process."""

    def start(self) -> None:
        """Begin in the background and return at once."""

    def stop(self, timeout: float) -> None:
        """Take nothing new, finish what was begun, at most for ``timeout`` seconds.

        One that was never started gives back what it took when it was made.
        """

    def reload(self) -> None:
        """Notice that options may have changed."""


def run(conf: cfg.ConfigOpts, services: Sequence[Service]) -> int:
    """Start the services, serve until told to stop, stop them in the opposite order.

    SIGTERM and SIGINT drain; either of them again ends at once. SIGHUP reads the
    configuration files again and changes what can be changed without a restart.

    :returns: the exit status: 1 where a thread that serves was lost.
    :raises ConfigurationError: a service cannot start; none of them runs any more.
    """
    with _told() as (receive, lost):
        threads.when_lost(lost)
        _start(services)
        while (number := receive()) not in (*_STOP, _LOST):
            if number == signal.SIGHUP:
                _reload(conf, services)
        LOG.info("stopping signal=%s", signal.Signals(number).name if number else "none")
        for each in _STOP:
            signal.signal(each, signal.SIG_DFL)
        for service in reversed(services):
            service.stop(conf.graceful_shutdown_timeout)
    LOG.info("stopped")
    return 0 if number else LOST


@contextlib.contextmanager
def _told() -> Iterator[tuple[Callable[[], int], Callable[[str], None]]]:
    """Hear of signals, whichever thread they interrupt: the kernel may choose any.

    Only a file descriptor wakes the main thread then; waiting for a lock, it would sleep on.

    :returns: what waits for the next signal, or for :data:`_LOST`, and what says that.
    """
    ours, others = socket.socketpair()
    with ours, others:
        others.setblocking(False)
        before = signal.set_wakeup_fd(others.fileno(), warn_on_full_buffer=False)
        for number in (*_STOP, signal.SIGHUP):
            signal.signal(number, lambda number, frame: None)
        try:
            yield lambda: ours.recv(1)[0], lambda name: _say(others, _LOST)
        finally:
            signal.set_wakeup_fd(before)


def _say(others: socket.socket, number: int) -> None:
    # Where there is no more room, so much is unread that one more is nothing new; where the
    # process has ended its services, nobody reads.
    with contextlib.suppress(OSError):
        others.send(bytes([number]))


def leave(status: int) -> NoReturn:
    """End the process now, also where threads of libraries would keep it."""
    left = [thread for thread in threading.enumerate() if not thread.daemon]
    if left == [threading.main_thread()]:
        sys.exit(status)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _start(services: Sequence[Service]) -> None:
    try:
        for service in services:
            service.start()
    except BaseException:
        # Also those that have not started: what they took when they were made would keep us.
        for service in reversed(services):
            service.stop(0)
        raise


def _reload(conf: cfg.ConfigOpts, services: Sequence[Service]) -> None:
    try:
        configuration.check_files(conf)
        changed = conf.mutate_config_files()
        # Forgets the values that threads have read meanwhile, which would stay.
        conf.register_opts([])
    except (ConfigurationError, cfg.Error) as error:
        LOG.error("configuration not read again, the old one stays: %s", error)
        return
    LOG.info("configuration read again changed=%d", len(changed))
    for service in services:
        service.reload()
