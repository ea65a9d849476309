"""The paste files of Kolla and Helm, served by real processes that ask a real Keystone."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from cyborg.domain.clock import new_uuid
from cyborg.tests import paste_files
from cyborg.tests.functional.processes.harness import (
    COMMANDS,
    Deployment,
    Process,
    deployed,
    fault,
    free_port,
    wait_for,
)
from cyborg.tests.servers import Keystone
from cyborg.tests.servers.plugin import skip_or_fail

APPLICATION = "cyborg.wsgi.api:application"
HOST = "compute-1"
DASHBOARD = "https://dashboard.example.org"
FORGED = {
    "X-Identity-Status": "Confirmed",
    "X-User-Id": "forged",
    "X-Roles": "admin,service,accelerator_admin",
    "X-Service-Identity-Status": "Confirmed",
    "X-Service-Roles": "service",
}


@pytest.fixture
def ours(tmp_path: Path, rabbit_url: str, keystone: Keystone) -> Iterator[Deployment]:
    """A conductor and an agent, with Keystone."""
    authtoken = {**keystone.credentials("cyborg"), "www_authenticate_uri": keystone.url}
    with deployed(
        tmp_path,
        f"sqlite:///{tmp_path}/cyborg.sqlite",
        rabbit_url,
        DEFAULT={"auth_strategy": "keystone"},
        keystone_authtoken=authtoken,
        cors={"allowed_origin": DASHBOARD},
    ) as deployment:
        deployment.dbsync()
        yield deployment


def by_command(ours: Deployment, text: str) -> Process:
    """Serve with cyborg-api, and the file beside its configuration."""
    (ours.folder / "api-paste.ini").write_text(text)
    return ours.http()


def by_uwsgi(ours: Deployment, text: str) -> Process:
    """Serve with uwsgi, and the file where it is found without being named."""
    home = ours.folder / "home/.cyborg"
    home.mkdir(parents=True)
    (home / "api-paste.ini").write_text(text)
    return ours.wsgi(
        "uwsgi",
        "--master",
        "--threads=4",
        "--no-orphans",
        "--die-on-term",
        "--add-header=Connection: close",
        f"--module={APPLICATION}",
        f"--http-socket=127.0.0.1:{ours.port}",
    )


SERVED = {"kolla": (by_uwsgi, paste_files.KOLLA), "helm": (by_command, paste_files.HELM)}


@pytest.mark.parametrize("tool", SERVED)
def test_a_deployments_file_is_the_pipeline(
    ours: Deployment, keystone: Keystone, tool: str
) -> None:
    ours.conductor()
    ours.agent(HOST)
    serve, text = SERVED[tool]
    process = serve(ours, text)
    wait_for("the API", lambda: ours.api.status("GET", "/") == 200)
    assert "pipeline of a paste file" in process.text()
    nobody_gets_more_than_the_versions(ours, keystone)
    forgeries_do_not_count(ours, keystone)
    if serve is by_uwsgi:
        # Its filter reads the usual files only, and not those of --config-file.
        answer = ours.api.ask("GET", "/v2", Origin=DASHBOARD)
        assert answer.headers["Access-Control-Allow-Origin"] == DASHBOARD
    nova_lives_through_an_arq(ours, keystone)
    assert process.end(signal.SIGTERM) == 0
    assert "Traceback" not in process.text()


def nobody_gets_more_than_the_versions(ours: Deployment, keystone: Keystone) -> None:
    answer = ours.api.ask("GET", "/v2")
    assert answer.status_code == 200
    assert answer.headers["OpenStack-API-Version"].startswith("accelerator ")
    for headers in ({}, {"X-Auth-Token": "unknown"}, FORGED):
        answer = ours.api.ask("GET", "/v2/devices", **headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == f'Keystone uri="{keystone.url}"'
        assert answer.headers["x-openstack-request-id"].startswith("req-")


def forgeries_do_not_count(ours: Deployment, keystone: Keystone) -> None:
    reader = {**FORGED, "X-Auth-Token": keystone.token("demo-reader")}
    answer = ours.api.ask("GET", "/v2/devices", **reader)
    assert answer.status_code == 403
    assert "cyborg:device:get_all" in fault(answer)
    member = {**FORGED, "X-Auth-Token": keystone.token("demo")}
    answer = ours.api.ask("DELETE", f"/v2/accelerator_requests?instance={new_uuid()}", **member)
    assert answer.status_code == 403
    assert "requires a service token" in fault(answer)
    answer = ours.api.ask("POST", "/v2/accelerator_requests", "x" * 100_000, **member)
    assert (answer.status_code, fault(answer)) == (413, "Request Entity Too Large.")


def nova_lives_through_an_arq(ours: Deployment, keystone: Keystone) -> None:
    api = ours.api
    api.session.headers["X-Auth-Token"] = keystone.token("admin")
    provider = ours.wait_for_device(HOST)
    api.profile("one")
    api.session.headers["X-Auth-Token"] = keystone.token("demo")
    api.session.headers["X-Service-Token"] = keystone.token("nova")
    uuids, instance = api.arqs("one"), new_uuid()
    assert api.bind(uuids, instance, HOST, provider).status_code == 202
    [arq] = api.of_instance(instance)
    assert (arq["state"], arq["project_id"]) == ("Bound", keystone.project_id("demo"))
    assert api.status("DELETE", f"/v2/accelerator_requests?instance={instance}") == 204


def test_a_pipeline_without_authentication_serves_nobody(
    ours: Deployment, keystone: Keystone
) -> None:
    process = by_command(ours, paste_files.OPEN)
    wait_for("the API", lambda: ours.api.status("GET", "/") == 200)
    forged = {**FORGED, "X-Auth-Token": keystone.token("admin")}
    answer = ours.api.ask("GET", "/v2/devices", **forged)
    assert answer.status_code == 401
    assert "has not been authenticated" in fault(answer)
    assert "is authtoken in the pipeline?" in process.text()


def test_a_broken_file_is_one_line(ours: Deployment) -> None:
    path = ours.folder / "api-paste.ini"
    path.write_text(paste_files.KOLLA.replace("cyborg.api.app:app_factory", "cyborg.none:none"))
    done = subprocess.run(
        [COMMANDS / "cyborg-api", "--config-file", ours.config("api")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"cyborg-api: paste file {path} cannot be used")


def another_address_of_this_machine() -> str:
    """Return one that is not loopback; the test is of no use where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            skip_or_fail("this machine has no address but loopback ones")
        address: str = probe.getsockname()[0]
    return address


def test_without_authentication_a_wsgi_server_serves_this_machine_only(
    tmp_path: Path,
) -> None:
    address = another_address_of_this_machine()
    database = f"sqlite:///{tmp_path}/cyborg.sqlite"
    with deployed(tmp_path, database, "kombu+memory://") as ours:
        ours.dbsync()
        port = free_port()
        process = ours.wsgi("gunicorn", f"--bind=0.0.0.0:{port}", APPLICATION)
        here, there = f"http://127.0.0.1:{port}", f"http://{address}:{port}"

        def status(url: str, **headers: str) -> int | None:
            try:
                return requests.get(url, headers=headers, timeout=30).status_code
            except requests.ConnectionError:
                return None

        wait_for("the API", lambda: status(here))
        assert status(f"{here}/v2/devices") == 200
        for path in ("", "/v2", "/v2/devices"):
            assert status(there + path) == 403
        claimed = {"X-Forwarded-For": "127.0.0.1", "Host": "127.0.0.1"}
        assert status(f"{there}/v2/devices", **claimed) == 403
        assert status(f"{here}/v2/devices", **{"X-Forwarded-For": address}) == 403
        assert status(f"{here}/v2/devices", Host="cloud.example.org") == 403
        assert "auth_strategy is noauth" in process.text()
