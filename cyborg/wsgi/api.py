"""``cyborg.wsgi.api:application``, configured from the usual files of project cyborg."""

from __future__ import annotations

import cyborg.no_eventlet  # noqa: F401 -- before every other import  isort: skip

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from oslo_config import cfg
from oslo_log import log

from cyborg.api.app import build_application, conductor_client
from cyborg.conf import opts
from cyborg.db.database import ReadDatabase
from cyborg.rpc.transport import get_transport
from cyborg.version import version

#: Seconds that the first request of a process waits for the message queue: a change would
#: be refused until it is reached.
_PATIENCE = 2.0


class OncePerProcess:
    """Middleware: does something at a process's first request.

    Servers fork after the import, and what is connected before that would be shared.
    """

    def __init__(self, application: Any, action: Callable[[], None]) -> None:
        self._application = application
        self._action = action
        self._lock = threading.Lock()
        self._process: int | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.ensure()
        answer: Iterable[bytes] = self._application(environ, start_response)
        return answer

    def forked(self) -> None:
        """Do it in a new process, whatever the old one was doing when it forked."""
        self._lock = threading.Lock()
        self.ensure()

    def ensure(self) -> None:
        """Do it, unless this process has."""
        with self._lock:
            if self._process != os.getpid():
                self._process = os.getpid()
                self._action()


def make_application(conf: cfg.ConfigOpts) -> OncePerProcess:
    """Return the application; the message queue is reached from the process that serves."""
    database = ReadDatabase(conf)
    conductor = conductor_client(conf, get_transport(conf), database)

    def connect() -> None:
        conductor.connect()
        conductor.wait_until_reached(_PATIENCE)

    application = OncePerProcess(build_application(conf, database, conductor), connect)
    # Where a worker is forked, it begins at once: its first request may be a change.
    os.register_at_fork(after_in_child=application.forked)
    return application


def _configured() -> cfg.ConfigOpts:
    conf = cfg.CONF
    opts.register(conf)
    conf([], project="cyborg", version=version())
    log.setup(conf, "cyborg")
    return conf


application = make_application(_configured())
