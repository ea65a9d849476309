"""The tool of "make chaos": what it says is good, and the ways that it puts before servers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

TOP = Path(__file__).resolve().parents[3]
CHAOS = TOP / "tools" / "chaos"
sys.path.append(str(CHAOS))

from proxy import Proxy  # noqa: E402 -- it is beside its tool
from tally import NONE, Tally  # noqa: E402 -- as above

#: What the short run has to have, and the whole one.
SHORT = {"F1", "F3", "F4", "F9", "F11", "F14", "F22", "F26"}
ALL = {f"F{number}" for number in (*range(1, 13), 14, *range(17, 25), 26)}


class Handler(BaseHTTPRequestHandler):
    """Answers every request, on connections that stay."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        # As cheroot takes it, behind which Keystone and Placement are.
        self.close_connection = self.headers.get_all("Connection") == ["close"]
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    do_GET = do_PUT = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A way to an HTTP server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        proxy = Proxy("127.0.0.1", server.server_address[1])
        yield proxy
        proxy.close()
        server.shutdown()
        thread.join()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A client whose connections stay."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def ask(session: requests.Session, proxy: Proxy, method: str = "GET", timeout: float = 10) -> int:
    url = f"http://127.0.0.1:{proxy.port}/"
    return session.request(method, url, timeout=timeout).status_code


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, CHAOS / "chaos.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=TOP,
    )


def test_a_row_that_was_not_run_is_not_good() -> None:
    done = run("--only", "none")
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("not run") == len(run("--list").stdout.splitlines())


def test_every_row_is_there() -> None:
    def numbers(*arguments: str) -> set[str]:
        return {line.split()[0] for line in run("--list", *arguments).stdout.splitlines()}

    assert numbers("--short") == SHORT
    assert numbers() >= ALL


@pytest.mark.parametrize("status", [400, 500, 502, NONE])
def test_an_answer_that_must_not_be_is_a_failure(status: int) -> None:
    tally = Tally()
    tally.note("GET", 200)
    tally.check()
    tally.note("PATCH", status, "said so")
    with pytest.raises(AssertionError, match="said so"):
        tally.check()


def test_a_refusal_is_a_failure_where_there_must_be_none() -> None:
    tally = Tally()
    tally.note("PATCH", 503)
    tally.check()
    with pytest.raises(AssertionError, match="in a storm: 1 times 503"):
        tally.refuse("in a storm")


def test_a_way_is_cut_and_mended(proxy: Proxy, session: requests.Session) -> None:
    assert ask(session, proxy) == 200
    proxy.cut()
    with pytest.raises(requests.ConnectionError):
        ask(session, proxy)
    proxy.mend()
    assert ask(session, proxy) == 200


def test_what_is_held_goes_on(proxy: Proxy, session: requests.Session) -> None:
    assert ask(session, proxy) == 200
    proxy.hold()
    with pytest.raises(requests.ReadTimeout):
        ask(session, proxy, timeout=0.3)
    threading.Timer(0.3, proxy.mend).start()
    assert ask(session, proxy) == 200


def test_what_is_sent_is_late(proxy: Proxy, session: requests.Session) -> None:
    proxy.delay(0.4)
    began = time.monotonic()
    assert ask(session, proxy) == 200
    assert time.monotonic() - began >= 0.4


def test_only_some_requests_are_answered_in_the_servers_place(
    proxy: Proxy, session: requests.Session
) -> None:
    assert ask(session, proxy) == 200
    proxy.answer(409, "{}", {"PUT"})
    session.close()
    # Also on a connection on which another request went through.
    assert [ask(session, proxy, method) for method in ("GET", "PUT", "GET", "PUT")] == [
        200,
        409,
        200,
        409,
    ]
    assert proxy.answered == 2
    proxy.mend()
    session.close()
    assert ask(session, proxy, "PUT") == 200
