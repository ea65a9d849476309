"""The program that serves Keystone or Placement, one request after the other.

Run as ``python -I serve.py keystone|placement PORT`` by the Python of the services' virtual
environment, in the server's folder, where its configuration is. One process and one thread, so
that SQLite is never locked, and a cache in the process is never stale.

Every request is appended to ``requests.jsonl`` before it is answered.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cheroot import wsgi

PREPARED = Path("prepared")
REQUESTS = "requests.jsonl"

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def keystone() -> Application:
    """Return Keystone; the first time, prepare its keys and its database."""
    from keystone.cmd import manage  # noqa: PLC0415 -- only one of the two is imported
    from keystone.server.wsgi import initialize_public_application  # noqa: PLC0415 -- as above

    if not PREPARED.exists():
        owner = ["--keystone-user", str(os.geteuid()), "--keystone-group", str(os.getegid())]
        for command in (
            ["fernet_setup", *owner],
            ["credential_setup", *owner],
            ["db_sync"],
            ["bootstrap"],
        ):
            _in_child(manage.main, ["keystone-manage", "--config-file", "keystone.conf", *command])
        PREPARED.touch()
    application: Application = initialize_public_application()
    return application


def placement() -> Application:
    """Return Placement, which prepares its database itself."""
    from placement.wsgi import init_application  # noqa: PLC0415 -- as above

    application: Application = init_application()
    return application


class Recorded:
    """Middleware: notes each request."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._file = open(REQUESTS, "ab", buffering=0)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        noted = {
            "method": environ["REQUEST_METHOD"],
            "path": environ.get("PATH_INFO", "") + (f"?{query}" if query else ""),
            "request_id": environ.get("HTTP_X_OPENSTACK_REQUEST_ID"),
            "version": environ.get("HTTP_OPENSTACK_API_VERSION"),
            "authenticated": bool(environ.get("HTTP_X_AUTH_TOKEN")),
            "agent": environ.get("HTTP_USER_AGENT", ""),
        }

        def note(status: str, headers: Any, exc_info: Any = None) -> Any:
            noted["status"] = int(status.split(maxsplit=1)[0])
            return start_response(status, headers, exc_info)

        answer = self._application(environ, note)
        try:
            body = [b"".join(answer)]
        finally:
            getattr(answer, "close", lambda: None)()
        self._file.write(json.dumps(noted).encode() + b"\n")
        return body


def _in_child(action: Callable[[], object], arguments: list[str]) -> None:
    """Run a command in a child: it leaves state behind, and importing again takes seconds."""
    pid = os.fork()
    if pid == 0:
        sys.argv = arguments
        action()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    if status:
        sys.exit(f"{' '.join(arguments)} failed")


def main() -> None:
    """Serve until killed."""
    _, name, port = sys.argv
    del sys.argv[1:]  # the services would take them for their own
    application = {"keystone": keystone, "placement": placement}[name]()
    server = wsgi.Server(
        ("127.0.0.1", int(port)),
        Recorded(application),
        numthreads=1,
        request_queue_size=128,  # connections that wait
        timeout=60,  # seconds that an idle connection is kept
    )
    server.start()


if __name__ == "__main__":
    main()
