"""pytest fixtures for the private servers, and what happens where one is not installed.

``mariadb``, ``postgresql``, ``rabbitmq``, ``keystone``, ``placement`` and ``keystone_placement``
are the servers, each started on first use and once in a pytest process. What one test gets for
itself: ``mariadb_url``, ``postgresql_url`` and ``rabbit_url``, a fresh database or virtual host;
``empty_placement`` and ``empty_keystone_placement``, those Placements without any content; ``nova``
and ``keystone_nova``, ``glance`` and ``keystone_glance``, stand-ins.

A test that asks for a server that is not installed is skipped, and the last lines of the run say
so; with CI set to a true value it fails.
"""

import os
import threading
from collections.abc import Generator, Iterator
from typing import NoReturn, TypeVar

import pytest

from cyborg.tests.servers.base import Server
from cyborg.tests.servers.databases import DatabaseServer
from cyborg.tests.servers.glance import GlanceStandIn
from cyborg.tests.servers.installed import CyborgClient, Installed, OpenStackClients
from cyborg.tests.servers.keystone import Keystone
from cyborg.tests.servers.mariadb import MariaDB
from cyborg.tests.servers.nova import NovaStandIn
from cyborg.tests.servers.placement import Placement
from cyborg.tests.servers.postgresql import PostgreSQL
from cyborg.tests.servers.rabbitmq import RabbitMQ

KINDS: tuple[type[Installed], ...] = (
    MariaDB,
    PostgreSQL,
    RabbitMQ,
    Keystone,
    Placement,
    CyborgClient,
    OpenStackClients,
)
TRUE = {"1", "true", "yes"}

S = TypeVar("S", bound=Server)


def require(kind: type[Installed]) -> None:
    """Skip the running test when something is not installed, or fail it when CI is set."""
    missing = kind.missing()
    if not missing:
        return
    skip_or_fail(f"{_opening(kind)}{missing[0]}): run '{kind.remedy}'")


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the running test for what this machine lacks, or fail it when CI is set."""
    if os.environ.get("CI", "").lower() in TRUE:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _opening(kind: type[Installed]) -> str:
    return f"no {kind.title} ("


def _started(kind: type[S]) -> Iterator[S]:
    require(kind)
    with kind() as server:
        yield server


def _database(server: DatabaseServer) -> Iterator[str]:
    # start() also mends what a test did that paused or killed the server and then failed.
    server.start()
    url = server.create_database()
    yield url
    server.start()
    server.drop_database(url)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A private MariaDB server."""
    yield from _started(MariaDB)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A private PostgreSQL server."""
    yield from _started(PostgreSQL)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """A private RabbitMQ server."""
    yield from _started(RabbitMQ)


@pytest.fixture
def mariadb_url(mariadb: MariaDB) -> Iterator[str]:
    """The SQLAlchemy URL of an empty MariaDB database."""
    yield from _database(mariadb)


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """The SQLAlchemy URL of an empty PostgreSQL database."""
    yield from _database(postgresql)


@pytest.fixture
def rabbit_url(rabbitmq: RabbitMQ) -> Iterator[str]:
    """The transport URL of an empty RabbitMQ virtual host."""
    rabbitmq.start()
    url = rabbitmq.create_vhost()
    yield url
    rabbitmq.start()
    rabbitmq.delete_vhost(url)
    # They would connect anew for ever, and what they log would be in other tests.
    left = [thread.name for thread in threading.enumerate() if "heartbeat" in thread.name.lower()]
    assert not left, "a transport was not cleaned up"


@pytest.fixture(scope="session")
def keystone() -> Iterator[Keystone]:
    """A private Keystone, with the projects, roles and users of the tests."""
    require(Keystone)
    with Keystone() as server:
        server.provision()
        yield server


@pytest.fixture(scope="session")
def placement() -> Iterator[Placement]:
    """A private Placement, open to everybody who sends the token ``admin``."""
    yield from _started(Placement)


@pytest.fixture(scope="session")
def keystone_placement(keystone: Keystone) -> Iterator[Placement]:
    """A private Placement behind ``keystone``, and in its catalogue."""
    require(Placement)
    with Placement(keystone) as server:
        keystone.register("placement", "placement", server.url)
        yield server


@pytest.fixture
def empty_placement(placement: Placement) -> Placement:
    """``placement``, running and without content."""
    placement.start()
    placement.wipe()
    return placement


@pytest.fixture
def empty_keystone_placement(keystone: Keystone, keystone_placement: Placement) -> Placement:
    """``keystone_placement``, running and without content, with ``keystone`` running."""
    keystone.start()
    keystone_placement.start()
    keystone_placement.wipe()
    return keystone_placement


@pytest.fixture
def nova() -> Iterator[NovaStandIn]:
    """A stand-in for Nova to which any token is an administrator's."""
    with NovaStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def keystone_nova(keystone: Keystone) -> Iterator[NovaStandIn]:
    """A stand-in for Nova that asks ``keystone`` about tokens, and is in its catalogue."""
    keystone.start()
    with NovaStandIn(keystone) as stand_in:
        keystone.register("compute", "nova", stand_in.url)
        yield stand_in
        keystone.start()
        keystone.unregister("compute")


@pytest.fixture
def glance() -> Iterator[GlanceStandIn]:
    """A stand-in for Glance to which any token is an administrator's."""
    with GlanceStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def keystone_glance(keystone: Keystone) -> Iterator[GlanceStandIn]:
    """A stand-in for Glance that asks ``keystone`` about tokens, and is in its catalogue."""
    keystone.start()
    with GlanceStandIn(keystone) as stand_in:
        keystone.register("image", "glance", stand_in.url)
        yield stand_in
        keystone.start()
        keystone.unregister("image")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Say last, below pytest's own summary, which servers were missing and what that skipped."""
    result = yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(reporter, pytest.TerminalReporter):
        for line in missing_lines(reporter.stats.get("skipped", [])):
            reporter.write_line(line, yellow=True)
    return result


def missing_lines(skipped: list[pytest.TestReport]) -> list[str]:
    """Return a line for each thing that was missing, from the reports of the skipped tests."""
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    lines = []
    for kind in KINDS:
        if count := sum(_opening(kind) in reason for reason in reasons):
            tests = "1 test was" if count == 1 else f"{count} tests were"
            lines.append(
                f"No {kind.title} found: {tests} skipped; '{kind.remedy}' installs what is needed."
            )
    return lines
