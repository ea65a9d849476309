"""The private servers: that they work, survive being killed, and leave nothing behind."""

import importlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cyborg.tests.servers import (
    Keystone,
    MariaDB,
    Placement,
    RabbitMQ,
    Server,
    ServerError,
    system,
)
from cyborg.tests.servers.databases import DatabaseServer
from cyborg.tests.servers.plugin import KINDS, require

# It says that it is typed and hardly is, which a strict check does not forgive.
kombu: Any = importlib.import_module("kombu")

TOP = Path(__file__).resolve().parents[3]
WAIT_SECONDS = 20.0
SERVERS = [kind for kind in KINDS if issubclass(kind, Server)]


def store(url: str, value: str) -> None:
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS things (name VARCHAR(50))")
        connection.execute(sa.text("INSERT INTO things VALUES (:name)"), {"name": value})


def stored(url: str) -> list[str]:
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        return list(connection.scalars(sa.text("SELECT name FROM things")))


@contextmanager
def queue_in(url: str) -> Iterator[Any]:
    # Confirmed, because only then has the server promised to keep a message.
    options = {"confirm_publish": True}
    with (
        kombu.Connection(url.replace("rabbit:", "amqp:"), transport_options=options) as connection,
        connection.SimpleQueue("things") as queue,
    ):
        yield queue


def publish(url: str, value: str) -> None:
    with queue_in(url) as queue:
        queue.put(value)


def consume(url: str) -> str:
    with queue_in(url) as queue:
        message = queue.get(timeout=5)
        message.ack()
        return str(message.payload)


def memory(server: Server) -> tuple[Callable[[str], object], Callable[[], str]]:
    """Return how to have a server keep a word, and how to get it back."""
    if isinstance(server, RabbitMQ):
        vhost = server.create_vhost()
        return (lambda word: publish(vhost, word)), (lambda: consume(vhost))
    if isinstance(server, Placement):
        return server.make_root, (lambda: server.providers()[0]["name"])
    if isinstance(server, Keystone):
        return (lambda word: server.register("test", "test", f"word:{word}")), (
            lambda: server.catalogue()["test"].removeprefix("word:")
        )
    assert isinstance(server, DatabaseServer)
    database = server.create_database()
    return (lambda word: store(database, word)), (lambda: stored(database)[0])


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


@pytest.fixture(params=SERVERS, ids=[kind.name for kind in SERVERS])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of this test's own."""
    kind: type[Server] = request.param
    require(kind)
    with kind() as server:
        yield server


@pytest.fixture(params=["mariadb", "postgresql"])
def database_server(request: pytest.FixtureRequest) -> DatabaseServer:
    """The session's server."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, DatabaseServer)
    return found


def test_databases_are_separate(database_server: DatabaseServer) -> None:
    first, second = database_server.create_database(), database_server.create_database()
    store(first, "größer 🚀")
    store(second, "other")
    assert stored(first) == ["größer 🚀"]
    assert stored(second) == ["other"]
    database_server.drop_database(first)
    assert stored(second) == ["other"]
    database_server.drop_database(second)


def test_dropping_a_database_in_use(database_server: DatabaseServer) -> None:
    url = database_server.create_database()
    store(url, "thing")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    connection = engine.connect()
    connection.exec_driver_sql("SELECT name FROM things")  # holds a lock on the table
    database_server.drop_database(url)
    database_server.drop_database(url)
    connection.invalidate()
    with pytest.raises(sa.exc.OperationalError):
        engine.connect()


def test_database_urls(mariadb_url: str, postgresql_url: str) -> None:
    for url in (mariadb_url, postgresql_url):
        store(url, "thing")
        assert stored(url) == ["thing"]


def test_vhosts_are_separate(rabbitmq: RabbitMQ, rabbit_url: str) -> None:
    other = rabbitmq.create_vhost()
    publish(rabbit_url, "here")
    publish(other, "there")
    assert consume(rabbit_url) == "here"
    assert consume(other) == "there"
    rabbitmq.delete_vhost(other)
    rabbitmq.delete_vhost(other)
    with pytest.raises(Exception, match=r"vhost .* not found"):
        publish(other, "nowhere")


def test_a_vhost_that_cannot_be_created_is_an_error() -> None:
    require(RabbitMQ)
    with pytest.raises(ServerError, match="answered"):
        RabbitMQ().create_vhost()


def test_life(server: Server) -> None:
    """Killed and started again it has its port and data; stopped it is gone, even if paused."""
    put, get = memory(server)
    put("kept")
    port, folder = server.port, server.folder

    server.kill()
    assert server.processes() == []
    server.start()
    assert (server.port, server.folder) == (port, folder)
    assert get() == "kept"

    server.pause()
    pids = server.processes()
    assert pids
    assert all("T (stopped)" in Path(f"/proc/{pid}/status").read_text() for pid in pids)
    server.start()
    put("more")

    pids = server.processes()
    server.pause()  # even so it can be stopped
    server.stop()
    server.stop()
    assert [pid for pid in pids if lives(pid)] == []
    assert not folder.exists()


@pytest.mark.parametrize("kind", SERVERS, ids=[kind.name for kind in SERVERS])
def test_nothing_outlives_a_killed_test_process(kind: type[Server]) -> None:
    require(kind)
    program = (
        f"import sys, threading; from cyborg.tests.servers import {kind.__name__} as kind;"
        "server = kind(); starter = threading.Thread(target=server.start);"
        "starter.start(); starter.join();"
        "print(server.folder, *server.processes(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=TOP,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        folder, *pids = process.stdout.readline().split()
        assert pids
        assert lives(int(pids[0]))
        process.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(lives(int(pid)) for pid in pids) and not Path(folder).exists())


def test_a_server_that_cannot_start_tells_its_log_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MariaDB, "_script", lambda _self: "echo the reason; exit 1")
    server = MariaDB()
    with pytest.raises(ServerError, match=r"ended while starting[^$]*the reason"):
        server.start()
    assert not server.folder.exists()


def test_programs_are_found_outside_path_newest_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for version in ("9", "15", "16"):
        folder = tmp_path / "lib" / version / "bin"
        folder.mkdir(parents=True)
        if version != "16":
            (folder / "server").touch(mode=0o755)
    pattern = str(tmp_path / "lib" / "*" / "bin")
    assert system.find_binary("server", pattern) == str(tmp_path / "lib/15/bin/server")
    assert system.find_binary("other", pattern) is None


def test_ports_are_not_given_twice() -> None:
    ports = [system.Port() for _ in range(20)]
    assert len({port.number for port in ports}) == len(ports)
    for port in ports:
        port.release()
