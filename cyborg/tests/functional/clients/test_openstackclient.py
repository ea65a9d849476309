"""python-openstackclient's own accelerator commands, every one of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyborg.tests.functional.clients.harness import (
    HOST,
    PROVIDER,
    UNKNOWN,
    CommandLine,
    check_coverage,
    covered_by,
    covered_in,
    covers,
)
from cyborg.tests.functional.processes.cloud import HOSTS, Cloud, provider
from cyborg.tests.servers import GlanceStandIn
from cyborg.tests.servers.installed import OpenStackClients

GROUP = "resources:FPGA=1,trait:CUSTOM_FAKE_DEVICE=required"
#: Asks for microversion 2.3; without it the client asks for none.
NEWEST = ("--os-accelerator-api-version", "2.3")


@pytest.fixture
def client(
    request: pytest.FixtureRequest,
    openstack_clients: type[OpenStackClients],
    cloud: Cloud,
    home: Path,
) -> Iterator[CommandLine]:
    """The command, as the system's administrator."""
    client = CommandLine(openstack_clients.binary("openstack"), home, cloud.keystone)
    yield client
    assert covered_by(request.function) <= client.ran


def test_every_command_is_covered(client: CommandLine) -> None:
    check_coverage(client.commands(), covered_in(sys.modules[__name__]), broken={})


@covers("device list", "device show", "device disable", "device enable")
def test_devices(cloud: Cloud, client: CommandLine) -> None:
    newest = client.as_user("admin", *NEWEST)
    devices = {device["hostname"]: device for device in newest.json("device list", "--long")}
    assert sorted(devices) == list(HOSTS)
    device = devices[HOST]
    assert (device["type"], device["vendor"], device["status"]) == ("FPGA", "0xABCD", "enabled")
    client.do("device disable", device["uuid"])
    shown = newest.json("device show", device["uuid"])
    assert shown["status"] == "maintaining"
    changed = {"status", "updated_at"}
    assert {name for name in device if shown[name] != device[name]} == changed
    client.do("device enable", device["uuid"])
    # Without a microversion it is 2.0, which has no status.
    plain = {device["hostname"]: device for device in client.json("device list")}
    assert plain[HOST]["uuid"] == device["uuid"]
    assert plain[HOST]["status"] is None
    # The client does not look at the answer: one that is refused looks like a success.
    client.as_user("demo").do("device disable", device["uuid"])
    now = cloud.as_user("admin").get(f"/v2/devices/{device['uuid']}")
    assert now["status"] == "enabled"
    assert UNKNOWN in client.refused("device show", UNKNOWN)


@covers("deployable list", "deployable show")
def test_deployables(client: CommandLine) -> None:
    deployables = {one["uuid"]: one for one in client.json("deployable list", "--long")}
    assert set(deployables) == set(map(provider, HOSTS))
    deployable = deployables[PROVIDER]
    assert (deployable["name"], deployable["num_accelerators"]) == (f"{HOST}_FakeDevice", 16)
    shown = client.json("deployable show", PROVIDER)
    assert shown == {name: deployable[name] for name in shown}
    assert {"uuid", "name", "created_at", "updated_at"} == set(shown)


@covers("deployable program")
def test_programming(images: GlanceStandIn, client: CommandLine) -> None:
    shown = client.json(
        "deployable program", PROVIDER, images.add(b"of openstackclient", visibility="public")
    )
    assert (shown["uuid"], shown["name"]) == (PROVIDER, f"{HOST}_FakeDevice")


@covers(
    "device attribute create",
    "device attribute list",
    "device attribute show",
    "device attribute delete",
)
def test_attributes(client: CommandLine) -> None:
    created = client.json("device attribute create", PROVIDER, "osc", "text")
    assert (created["key"], created["value"]) == ("osc", "text")
    uuid = created["uuid"]
    assert client.json("device attribute show", uuid) == created
    assert created in client.json("device attribute list", "--long")
    client.do("device attribute delete", uuid)


@covers(
    "device profile create", "device profile list", "device profile show", "device profile delete"
)
def test_device_profiles(client: CommandLine) -> None:
    text = ("--description", "Of openstackclient")
    created = client.json("device profile create", "osc-one", "--group", GROUP, *text)
    assert created["name"] == "osc-one"
    assert created["groups"] == [{"resources:FPGA": "1", "trait:CUSTOM_FAKE_DEVICE": "required"}]
    assert created["description"] == "Of openstackclient"
    assert client.as_user("demo", *NEWEST).json("device profile show", "osc-one") == created
    # The client asks for no microversion, and so gets 2.0.
    assert "needs microversion 2.2" in client.refused("device profile show", "osc-one")
    assert created in client.json("device profile list", "--long")
    taken = client.refused("device profile create", "osc-one", "--group", GROUP)
    assert "already exists" in taken
    client.do("device profile delete", created["uuid"])


@covers("arq create", "arq list", "arq show", "arq bind", "arq unbind", "arq delete")
def test_accelerator_requests(cloud: Cloud, client: CommandLine) -> None:
    manager = client.as_user("demo-manager")
    created = manager.json("arq create", "one")
    assert (created["state"], created["device_profile_name"]) == ("Initial", "one")
    uuid = created["uuid"]
    server = cloud.server(HOST)
    # The client looks the server up in Nova: by its name here.
    bound = manager.json("arq bind", uuid, HOST, f"server-{server[:8]}", PROVIDER)
    assert (bound["state"], bound["hostname"], bound["instance_uuid"]) == ("Bound", HOST, server)
    assert (bound["device_rp_uuid"], bound["attach_handle_type"]) == (PROVIDER, "TEST_PCI")
    assert set(bound["attach_handle_info"]) == {"domain", "bus", "device", "function"}
    assert manager.json("arq show", uuid) == bound
    assert bound in manager.json("arq list", "--long")
    assert cloud.reserved() == 1
    told = client.as_user("demo").refused("arq unbind", uuid)
    assert "requires a service token" in told
    unbound = manager.json("arq unbind", uuid)
    assert (unbound["state"], unbound["instance_uuid"]) == ("Unbound", None)
    told = manager.refused("arq delete", uuid, uuid)
    assert "1 of 2 accelerator requests failed to delete" in told
    assert cloud.reserved() == 0
