"""A process of one or more services, from its start to a clean end.

One process a command, no forking: whoever wants more of them starts more (systemd,
containers, a WSGI server), which is also how the standalone service can hold all three.
"""

from __future__ import annotations

import queue
import signal
from collections.abc import Sequence
from types import FrameType
from typing import Protocol

from oslo_config import cfg
from oslo_log import log

from cyborg.cmd import configuration
from cyborg.domain.errors import ConfigurationError

LOG = log.getLogger(__name__)

_STOP: tuple[int, ...] = (signal.SIGTERM, signal.SIGINT)


class Service(Protocol):
    """What runs in a process."""

    def start(self) -> None:
        """Begin in the background and return at once."""

    def stop(self, timeout: float) -> None:
        """Take nothing new, finish what was begun, at most for ``timeout`` seconds."""

    def reload(self) -> None:
        """Notice that options may have changed."""


def run(conf: cfg.ConfigOpts, services: Sequence[Service]) -> int:
    """Start the services, serve until told to stop, stop them in the opposite order.

    SIGTERM and SIGINT drain; either of them again ends at once. SIGHUP reads the
    configuration files again and changes what can be changed without a restart.

    :raises ConfigurationError: one of them cannot be started.
    """
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def note(number: int, frame: FrameType | None) -> None:
        signals.put(number)

    for number in (*_STOP, signal.SIGHUP):
        signal.signal(number, note)
    _start(conf, services)
    while (number := signals.get()) not in _STOP:
        _reload(conf, services)
    LOG.info("stopping signal=%s", signal.Signals(number).name)
    for number in _STOP:
        signal.signal(number, signal.SIG_DFL)
    for service in reversed(services):
        service.stop(conf.graceful_shutdown_timeout)
    LOG.info("stopped")
    return 0


def _start(conf: cfg.ConfigOpts, services: Sequence[Service]) -> None:
    """Start services; if one cannot be, stop all: their threads would keep the process."""
    try:
        for service in services:
            service.start()
    except ConfigurationError:
        # Also one that was not started: the API listens from its beginning.
        for service in reversed(services):
            service.stop(conf.graceful_shutdown_timeout)
        raise


def _reload(conf: cfg.ConfigOpts, services: Sequence[Service]) -> None:
    try:
        configuration.check_files(conf)
        changed = conf.mutate_config_files()
    except (ConfigurationError, cfg.Error) as error:
        LOG.error("configuration not read again, the old one stays: %s", error)
        return
    LOG.info("configuration read again changed=%d", len(changed))
    for service in services:
        service.reload()
