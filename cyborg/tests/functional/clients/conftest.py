"""One cloud for all clients: each test names its own profiles, and gives back what it takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cyborg.tests.functional.clients.harness import Scripts
from cyborg.tests.functional.processes.cloud import Cloud, clouded
from cyborg.tests.servers import GlanceStandIn, Keystone, MariaDB, NovaStandIn, Placement, RabbitMQ
from cyborg.tests.servers.installed import CyborgClient, OpenStackClients
from cyborg.tests.servers.plugin import require

# Of the session, so that what is missing is found before a cloud is started.


@pytest.fixture(scope="session")
def cyborg_client() -> type[CyborgClient]:
    """The environment of python-cyborgclient."""
    require(CyborgClient)
    return CyborgClient


@pytest.fixture(scope="session")
def openstack_clients() -> type[OpenStackClients]:
    """The environment of the other clients."""
    require(OpenStackClients)
    return OpenStackClients


@pytest.fixture(scope="package")
def images(keystone: Keystone) -> Iterator[GlanceStandIn]:
    """A stand-in for Glance, in the catalogue."""
    keystone.start()
    with GlanceStandIn(keystone) as images:
        keystone.register("image", "glance", images.url)
        yield images
        keystone.unregister("image")


@pytest.fixture(scope="package")
def empty_placement_of_keystone(keystone: Keystone, keystone_placement: Placement) -> Placement:
    """Placement, without any content."""
    keystone.start()
    keystone_placement.start()
    keystone_placement.wipe()
    return keystone_placement


@pytest.fixture(scope="package")
def urls(mariadb: MariaDB, rabbitmq: RabbitMQ) -> Iterator[tuple[str, str]]:
    """An empty database and message queue."""
    mariadb.start()
    rabbitmq.start()
    database, vhost = mariadb.create_database(), rabbitmq.create_vhost()
    yield database, vhost
    mariadb.drop_database(database)
    rabbitmq.delete_vhost(vhost)


@pytest.fixture(scope="package")
def cloud(
    tmp_path_factory: pytest.TempPathFactory,
    urls: tuple[str, str],
    keystone: Keystone,
    empty_placement_of_keystone: Placement,
    images: GlanceStandIn,
) -> Iterator[Cloud]:
    """A conductor, the agents of two hosts with a device each, and the API, in the catalogue."""
    folder = tmp_path_factory.mktemp("clients")
    placement = empty_placement_of_keystone
    with (
        NovaStandIn(keystone) as nova,
        clouded(folder, urls, keystone, placement, nova) as cloud,
    ):
        keystone.register("compute", "nova", nova.url)
        keystone.register("accelerator", "cyborg", f"{cloud.ours.api.url}/v2")
        cloud.make_roots()
        cloud.serve(conductors=1)
        yield cloud
        for service_type in ("accelerator", "compute"):
            keystone.unregister(service_type)


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The users' home: a client that finds its commands in a cache there starts faster."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def scripts(openstack_clients: type[OpenStackClients], home: Path) -> Scripts:
    """Scripts inside the environment of openstacksdk, Nova and tempest."""
    return Scripts(openstack_clients.binary("python"), home)
