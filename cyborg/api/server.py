"""Serving the API from threads of this process, and when it must not be served."""

from __future__ import annotations

import logging
import threading
from typing import Any

from cheroot import wsgi
from cheroot.ssl.builtin import BuiltinSSLAdapter
from oslo_config import cfg
from oslo_log import log

from cyborg import threads
from cyborg.api.loopback import is_loopback
from cyborg.domain.errors import ConfigurationError

LOG = log.getLogger(__name__)

#: Connections that may wait for a thread; the kernel refuses more.
_BACKLOG = 128

#: Seconds for the sockets to close once the last request is finished.
_CLOSING = 5


class _Server(wsgi.Server):
    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        LOG.log(level, "http server: %s", msg, exc_info=traceback)


class HttpServer:
    """An address and port, and then a WSGI application on it."""

    def __init__(
        self, address: str, port: int, threads: int, tls: BuiltinSSLAdapter | None = None
    ) -> None:
        self._address = address
        self._server = _Server(
            (address, port),
            None,
            numthreads=threads,
            server_name="cyborg-api",
            request_queue_size=_BACKLOG,
        )
        self._server.ssl_adapter = tls
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def port(self) -> int:
        """The port; where 0 was asked for, the one that :meth:`bind` found."""
        port: int = self._server.bind_addr[1]
        return port

    def bind(self) -> None:
        """Take the port. Connections wait from now on, until :meth:`start`.

        :raises ConfigurationError: it is busy, or the address is not this host's.
        """
        try:
            self._server.prepare()
        except OSError as error:
            reason = str(error).rpartition("] ")[2].rstrip(")") or str(error)
            raise ConfigurationError(
                f"cannot listen on {self._address} port {self.port}: {reason}"
            ) from error

    def start(self, application: Any) -> None:
        """Serve the application, in the background."""
        self._server.wsgi_app = application
        self._thread = threads.serve("http", self._server.serve, done=self._stopping.is_set)
        LOG.info("api serving address=%s port=%s", self._address, self.port)

    def stop(self, timeout: float) -> None:
        """Take no more connections, and finish the requests that are under way.

        Returns when they are finished, at the latest after ``timeout`` seconds and a few.
        """
        self._stopping.set()
        self._server.shutdown_timeout = timeout
        # cheroot waits for a stuck request for ever, once it has cut its connection.
        stopping = threading.Thread(target=self._server.stop, name="http-stop", daemon=True)
        stopping.start()
        stopping.join(timeout + _CLOSING)
        if stopping.is_alive():
            LOG.warning("api stopped with requests under way timeout=%s", timeout)
        elif self._thread is not None:
            self._thread.join(_CLOSING)


def load_tls(conf: cfg.ConfigOpts) -> BuiltinSSLAdapter | None:
    """Return what makes the server speak HTTPS, None where it is to speak HTTP.

    :raises ConfigurationError: there is no certificate, or not one to go by.
    """
    if not conf.api.enable_ssl_api:
        return None
    if not (conf.ssl.cert_file and conf.ssl.key_file):
        raise ConfigurationError("[api] enable_ssl_api needs [ssl] cert_file and key_file")
    try:
        return BuiltinSSLAdapter(conf.ssl.cert_file, conf.ssl.key_file)
    except OSError as error:
        raise ConfigurationError(f"[ssl] cert_file or key_file cannot be used: {error}") from error


def check_exposure(conf: cfg.ConfigOpts, allow: bool) -> None:
    """Refuse to serve everybody as an administrator to other hosts.

    :param allow: the operator has said that it is meant.
    :raises ConfigurationError: it would be so.
    """
    if conf.auth_strategy != "noauth" or is_loopback(conf.api.host_ip):
        return
    if not allow:
        raise ConfigurationError(
            f"auth_strategy is noauth and [api] host_ip is {conf.api.host_ip}: everybody who "
            "reaches that address would be an administrator; use 127.0.0.1 or keystone"
        )
    LOG.warning("unauthenticated api address=%s: everybody administrates", conf.api.host_ip)
