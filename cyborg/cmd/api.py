"""cyborg-api: the API on a threaded WSGI server of its own.

Under uwsgi, gunicorn and the like, :mod:`cyborg.wsgi.api` is served instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from oslo_config import cfg
from oslo_log import log

from cyborg.api.app import build_application, conductor_client
from cyborg.api.server import HttpServer, check_exposure, load_tls
from cyborg.cmd import configuration, process
from cyborg.db.database import ReadDatabase
from cyborg.domain.errors import ConfigurationError
from cyborg.rpc.caller import PING_TIMEOUT
from cyborg.rpc.transport import get_transport

LOG = log.getLogger(__name__)

PROG = "cyborg-api"


def _register(conf: cfg.ConfigOpts) -> None:
    conf.register_cli_opt(
        cfg.BoolOpt(
            "allow-unauthenticated-remote",
            default=False,
            help="With auth_strategy=noauth, listen even where others can reach it.",
        )
    )


class ApiService:
    """The API and its HTTP server, as a service of a process."""

    def __init__(self, conf: cfg.ConfigOpts, transport: object) -> None:
        """Take the port, then make the application.

        :raises ConfigurationError: the port is not to be had, others could use the service
            unauthenticated, or policy, the paste file, Keystone or TLS are not as they must be.
        """
        check_exposure(conf, conf.allow_unauthenticated_remote)
        if conf.api.api_workers is not None:
            LOG.warning("[api] api_workers is not used: this is one process with threads")
        self._server = HttpServer(conf.api.host_ip, conf.api.port, conf.api.threads, load_tls(conf))
        self._server.bind()
        self._database = ReadDatabase(conf)
        self._conductor = conductor_client(conf, transport, self._database)
        try:
            self._application = build_application(
                conf,
                self._database,
                self._conductor,
                unauthenticated_remote=conf.allow_unauthenticated_remote,
            )
        except ConfigurationError:
            # Its threads would keep the process.
            self._server.stop(0)
            raise

    def start(self) -> None:
        """Serve in the background."""
        self._conductor.connect()
        # Where the queue is there, the first change need not be answered 503.
        self._conductor.wait_until_reached(2 * PING_TIMEOUT)
        self._server.start(self._application)

    def stop(self, timeout: float) -> None:
        """Finish the requests that are being served."""
        self._server.stop(timeout)
        self._database.dispose()

    def reload(self) -> None:
        """Nothing to do: options are read where they are used."""


def serve(arguments: Sequence[str]) -> int:
    """Serve the API until told to stop."""
    conf = configuration.read(PROG, arguments, prepare=_register, needs_database=True)
    return process.run(conf, [ApiService(conf, get_transport(conf))])


def main() -> None:
    """Entry point."""
    process.leave(configuration.main(PROG, serve))
