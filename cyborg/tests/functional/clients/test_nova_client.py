"""Nova's own client class, in a process of its own, with tokens of the real Keystone.

It gets its context as in Nova: in nova-api from keystonemiddleware, elsewhere over RPC. The
service's token is that of ``[service_user]``, and the endpoint is found in the catalogue.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cyborg.tests.functional.clients.harness import (
    Scripts,
    check_coverage,
    covered_by,
    covered_in,
    covers,
)
from cyborg.tests.functional.processes.cloud import HOSTS, Cloud, provider
from cyborg.tests.servers.keystone import REGION

HOST = HOSTS[0]
PROVIDER = provider(HOST)
PROFILE = "nova-two"

Client = Callable[..., Any]


def configured(cloud: Cloud, folder: Path, *, service_token: bool = True) -> str:
    """Write what a deployment says in nova.conf about Keystone and this service."""
    own = {**cloud.keystone.credentials("nova"), "region_name": REGION}
    sections = {
        "keystone_authtoken": {
            **own,
            "www_authenticate_uri": cloud.keystone.url,
            "service_token_roles_required": "true",
        },
        "service_user": {**own, "send_service_user_token": str(service_token).lower()},
        "cyborg": {"region_name": REGION, "valid_interfaces": "internal"},
    }
    lines: list[str] = []
    for section, values in sections.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in values.items())]
    path = folder / "nova.conf"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def profile(cloud: Cloud) -> str:
    """A device profile of two FPGAs in one group."""
    return cloud.profile(PROFILE, units=2)


@pytest.fixture
def client(
    request: pytest.FixtureRequest, cloud: Cloud, scripts: Scripts, tmp_path: Path
) -> Iterator[Client]:
    """Call a function of the script for a user's request."""

    def call(
        function: str, user: str = "demo", *, service_token: bool = True, **values: Any
    ) -> Any:
        config_file = configured(cloud, tmp_path, service_token=service_token)
        values |= {"config_file": config_file, "token": cloud.keystone.token(user)}
        return scripts.call("nova_client.py", function, values)

    yield call
    assert covered_by(request.function) <= scripts.used


def test_every_method_is_covered(scripts: Scripts) -> None:
    has = scripts.call("nova_client.py", "methods", {})
    check_coverage(has, covered_in(sys.modules[__name__]), broken={})


@covers(
    "get_device_profile_groups",
    "get_device_request_groups",
    "create_arqs_and_match_resource_providers",
    "get_arq_device_rp_uuid",
    "bind_arqs",
    "get_arq_uuids_for_instance",
    "get_arqs_for_instance",
    "get_arq_by_uuid",
    "delete_arqs_for_instance",
)
def test_a_server_boots_and_goes(cloud: Cloud, client: Client, profile: str) -> None:
    server = cloud.server(HOST, vm_state="building", task_state="spawning")
    arqs = client("boot", profile=profile, server=server, host=HOST, provider=PROVIDER)
    assert {arq["state"] for arq in arqs} == {"Bound"}
    assert {arq["attach_handle_type"] for arq in arqs} == {"TEST_PCI"}
    addresses = {tuple(sorted(arq["attach_handle_info"].items())) for arq in arqs}
    assert len(addresses) == 2
    for arq in arqs:
        assert set(arq["attach_handle_info"]) == {"domain", "bus", "device", "function"}
        assert arq["project_id"] == cloud.keystone.project_id("demo")
    cloud.wait_for_event(server, "completed", 200)
    client("delete", server=server)
    assert cloud.as_nova().of_instance(server) == []


@covers("create_arqs", "delete_arqs_by_uuid")
def test_what_there_is_is_deleted_though_one_is_missing(
    cloud: Cloud, client: Client, profile: str
) -> None:
    uuids = client("give_up", profile=profile)
    assert len(uuids) == 2
    admin = cloud.as_user("admin")
    left = {arq["uuid"] for arq in admin.get("/v2/accelerator_requests")["arqs"]}
    assert not left & set(uuids)


def test_what_fails_is_seen_to_fail(cloud: Cloud, client: Client, profile: str) -> None:
    told = client("fail", profile=profile, server=cloud.server(HOST), host=HOST)
    assert "404" in told, told


def test_a_nova_that_sends_no_service_token_is_refused(
    cloud: Cloud, client: Client, profile: str
) -> None:
    nova = cloud.as_nova()
    uuids = nova.arqs(profile)
    values = {"arqs": uuids, "server": cloud.server(HOST), "host": HOST, "provider": PROVIDER}
    told = client("bind_without_a_service_token", service_token=False, **values)
    assert "403" in told, told
    for uuid in uuids:
        assert nova.get(f"/v2/accelerator_requests/{uuid}")["state"] == "Initial"
    assert nova.status("DELETE", f"/v2/accelerator_requests?arqs={','.join(uuids)}") == 204
