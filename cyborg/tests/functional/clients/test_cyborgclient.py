"""The accelerator commands of python-cyborgclient, every one that the client does not break."""

from __future__ import annotations

import json
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
from cyborg.tests.servers.installed import CyborgClient

GROUPS = [{"resources:FPGA": "1", "trait:CUSTOM_FAKE_DEVICE": "required"}]
BROKEN = {"deployable program": "calls the SDK's update_deployable, which calls itself for ever"}


@pytest.fixture
def client(
    request: pytest.FixtureRequest,
    cyborg_client: type[CyborgClient],
    cloud: Cloud,
    home: Path,
) -> Iterator[CommandLine]:
    """The command, as the system's administrator."""
    client = CommandLine(cyborg_client.binary("openstack"), home, cloud.keystone)
    yield client
    assert covered_by(request.function) <= client.ran


def test_every_command_is_covered(client: CommandLine) -> None:
    check_coverage(client.commands(), covered_in(sys.modules[__name__]), BROKEN)


def test_the_command_that_the_client_breaks(images: GlanceStandIn, client: CommandLine) -> None:
    """Should a newer client or SDK mend it, it is to be covered."""
    done = client.try_(
        "deployable program", PROVIDER, images.add(b"of cyborgclient", visibility="public")
    )
    assert done.returncode != 0
    assert "recursion" in done.stderr


@covers("device list", "device show", "device disable", "device enable")
def test_devices(cloud: Cloud, client: CommandLine) -> None:
    devices = {device["hostname"]: device for device in client.json("device list", "--long")}
    assert sorted(devices) == list(HOSTS)
    device = devices[HOST]
    assert (device["type"], device["vendor"], device["status"]) == ("FPGA", "0xABCD", "enabled")
    client.do("device disable", device["uuid"])
    shown = client.json("device show", device["uuid"])
    assert shown == device | {"status": "maintaining", "updated_at": shown["updated_at"]}
    client.do("device enable", device["uuid"])
    now = cloud.as_user("admin").get(f"/v2/devices/{device['uuid']}")
    assert now["status"] == "enabled"
    assert f"device not found: {UNKNOWN}" in client.refused("device show", UNKNOWN)


@covers("deployable list", "deployable show")
def test_deployables(client: CommandLine) -> None:
    deployables = {one["uuid"]: one for one in client.json("deployable list", "--long")}
    assert set(deployables) == set(map(provider, HOSTS))
    deployable = deployables[PROVIDER]
    assert (deployable["name"], deployable["num_accelerators"]) == (f"{HOST}_FakeDevice", 16)
    shown = client.json("deployable show", PROVIDER)
    assert shown == {name: deployable[name] for name in shown}


@covers(
    "device attribute create",
    "device attribute list",
    "device attribute show",
    "device attribute delete",
)
def test_attributes(client: CommandLine) -> None:
    created = client.json("device attribute create", PROVIDER, "cyborgclient", "text")
    assert (created["key"], created["value"]) == ("cyborgclient", "text")
    uuid = created["uuid"]
    assert client.json("device attribute show", uuid) == created
    assert uuid in {one["uuid"] for one in client.json("device attribute list", "--long")}
    assert f"Deleted attribute {uuid}" in client.do("device attribute delete", uuid)


@covers(
    "device profile create", "device profile list", "device profile show", "device profile delete"
)
def test_device_profiles(client: CommandLine) -> None:
    arguments = ("cyborgclient-one", json.dumps(GROUPS), "--description", "Of cyborgclient")
    created = client.json("device profile create", *arguments)
    assert (created["name"], created["groups"]) == ("cyborgclient-one", GROUPS)
    assert created["description"] == "Of cyborgclient"
    uuid = created["uuid"]
    assert client.as_user("demo").json("device profile show", "cyborgclient-one") == created
    assert uuid in {one["uuid"] for one in client.json("device profile list", "--long")}
    assert f"Deleted device_profile {uuid}" in client.do("device profile delete", uuid)
    assert f"device_profile {uuid} not found" in client.refused("device profile delete", uuid)


@covers("arq create", "arq list", "arq show", "arq bind", "arq unbind", "arq delete")
def test_accelerator_requests(cloud: Cloud, client: CommandLine) -> None:
    manager = client.as_user("demo-manager")
    created = manager.json("arq create", "one")
    assert (created["state"], created["device_profile_name"]) == ("Initial", "one")
    uuid = created["uuid"]
    server, project = cloud.server(HOST), cloud.keystone.project_id("demo")
    bound = manager.json("arq bind", uuid, HOST, server, PROVIDER, project)
    assert (bound["state"], bound["hostname"], bound["instance_uuid"]) == ("Bound", HOST, server)
    assert (bound["device_rp_uuid"], bound["attach_handle_type"]) == (PROVIDER, "TEST_PCI")
    assert manager.json("arq show", uuid) == bound
    assert bound in manager.json("arq list", "--long")
    unbound = manager.json("arq unbind", uuid)
    assert (unbound["state"], unbound["instance_uuid"]) == ("Unbound", None)
    assert f"Deleted accelerator_request {uuid}" in manager.do("arq delete", uuid)
    assert cloud.reserved() == 0
