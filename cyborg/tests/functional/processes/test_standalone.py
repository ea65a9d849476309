"""The standalone service as a newcomer meets it, and the tour with the real client."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.processes.harness import (
    COMMANDS,
    Api,
    Process,
    free_port,
    wait_for,
)
from cyborg.tests.servers.installed import CyborgClient
from cyborg.tests.servers.plugin import require

ROOT = Path(__file__).parents[4]

#: Seconds in which an installed service answers.
PROMISED = 10


class Standalone:
    """The command with a data folder and a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.api = Api(f"http://127.0.0.1:{self.port}")
        self.clouds = folder / "clouds.yaml"
        self.process = self.make()

    def make(self, *arguments: str) -> Process:
        return Process(
            "cyborg-standalone",
            [
                f"--data-dir={self.folder / 'data'}",
                f"--clouds-file={self.clouds}",
                f"--port={self.port}",
                *arguments,
            ],
            self.folder / "out.log",
        )

    def answers(self) -> int | None:
        assert self.process.alive(), self.process.text()
        return self.api.status("GET", "/")

    def start(self) -> None:
        self.process.start()
        wait_for("the service", lambda: self.answers() == 200)
        wait_for("its device", lambda: self.api.get("/v2/devices")["devices"])


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Standalone]:
    """The service, not running yet."""
    service = Standalone(tmp_path)
    yield service
    if service.process.alive():
        service.process.end(signal.SIGKILL)


@pytest.fixture
def standalone(service: Standalone) -> Standalone:
    """The service, running."""
    service.start()
    return service


def client() -> str:
    """Return the client of "make tour"."""
    require(CyborgClient)
    return CyborgClient.binary("openstack")


def openstack(service: Standalone, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [client(), "--os-cloud", "cyborg-standalone", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "OS_CLIENT_CONFIG_FILE": str(service.clouds)},
    )


def test_it_answers_in_time_and_says_what_to_type_next(service: Standalone) -> None:
    began = time.monotonic()
    service.start()
    assert time.monotonic() - began < PROMISED
    text = service.process.text()
    assert f"http://127.0.0.1:{service.port}" in text
    assert "make tour" in text
    assert "openstack --os-cloud cyborg-standalone accelerator device list" in text
    assert "WARNING" in text, "it does not say that nobody is authenticated"
    assert "nobody is authenticated" in text
    assert "Traceback" not in text
    assert service.process.end(signal.SIGINT) == 0
    assert "Traceback" not in service.process.text()


def test_a_paste_file_counts_only_if_it_is_named(service: Standalone) -> None:
    data = service.folder / "data"
    data.mkdir()
    (data / "api-paste.ini").write_text("[app:none]\n")
    service.start()
    assert service.process.end(signal.SIGINT) == 0
    path = data / "cyborg.conf"
    path.write_text(path.read_text().replace("[api]", "[api]\napi_paste_config = api-paste.ini"))
    service.process.start()
    wait_for("its end", lambda: not service.process.alive())
    assert "paste file" in service.process.text().splitlines()[-1]


def test_a_second_start_finds_the_data(standalone: Standalone) -> None:
    standalone.api.profile("kept")
    [before] = standalone.api.get("/v2/devices")["devices"]
    assert standalone.process.end(signal.SIGINT) == 0
    standalone.start()
    assert standalone.api.get("/v2/device_profiles/kept")["device_profile"]["name"] == "kept"
    [after] = standalone.api.get("/v2/devices")["devices"]
    assert after["uuid"] == before["uuid"]


def test_a_kill_in_the_middle_of_a_bind_loses_nothing(service: Standalone) -> None:
    service.start()
    api = service.api
    service.process.end()
    config = service.folder / "data" / "cyborg.conf"
    config.write_text(config.read_text() + "\nprepare_delay = 2\n[conductor]\njob_lease = 2\n")
    # The log goes on: a slow machine may have reported twice before.
    before = service.process.text().count("changed=0")
    service.start()
    wait_for("preparing", lambda: service.process.text().count("changed=0") > before)
    api.profile("one")
    [uuid] = api.arqs("one")
    [part] = api.get("/v2/deployables")["deployables"]
    host = api.get("/v2/devices")["devices"][0]["hostname"]
    instance = "9b8c1f0e-6a5d-4c3b-8e7f-0123456789ab"
    wait_for(
        "a bind that is prepared",
        lambda: api.bind([uuid], instance, host, part["rp_uuid"]).status_code == 202,
    )
    assert api.of_instance(instance)[0]["state"] == "BindStarted"
    service.process.end(signal.SIGKILL)
    service.start()
    wait_for("the bind", lambda: api.of_instance(instance)[0]["state"] == "Bound")
    service.process.end()


def test_a_busy_port_is_one_clear_line(standalone: Standalone, tmp_path: Path) -> None:
    refused = subprocess.run(
        [COMMANDS / "cyborg-standalone", "--data-dir=other", f"--port={standalone.port}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
    )
    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert str(standalone.port) in line
    assert "in use" in line
    assert refused.stdout == ""


def test_others_are_not_let_in_unless_it_is_meant(service: Standalone) -> None:
    refused = service.make("--listen=0.0.0.0").start()
    assert refused.child is not None
    assert refused.child.wait(30) == 2
    assert "0.0.0.0" in refused.text().splitlines()[-1]
    service.process = service.make("--listen=0.0.0.0", "--allow-unauthenticated-remote")
    service.start()
    assert "0.0.0.0" in service.process.text()
    assert service.process.end() == 0


def test_it_listens_on_loopback_only(standalone: Standalone) -> None:
    with socket.create_connection(("127.0.0.1", standalone.port), 5):
        pass
    [line] = [
        line
        for line in Path("/proc/net/tcp").read_text().splitlines()
        if re.search(rf": [0-9A-F]+:{standalone.port:04X} 00000000:0000 0A", line)
    ]
    assert "0100007F:" in line


def test_a_clouds_file_of_somebody_else_is_left_alone(service: Standalone) -> None:
    service.clouds.write_text("clouds: {mine: {}}\n")
    service.start()
    service.process.end()
    assert service.clouds.read_text() == "clouds: {mine: {}}\n"
    assert "stays as it is" in service.process.text()


def test_the_cloud_works_with_the_real_client(standalone: Standalone) -> None:
    shown = openstack(standalone, "accelerator", "device", "list", "-f", "value", "-c", "vendor")
    assert (shown.returncode, shown.stdout.strip()) == (0, "0xABCD"), shown.stderr


_PROGRAM = """
import sys
import openstack

accelerator = openstack.connect(cloud="cyborg-standalone").accelerator
[found] = accelerator.deployables()
operation = {"path": "/program", "op": "replace", "value": [{"image_uuid": sys.argv[1]}]}
accelerator.patch_deployable(found.id, [operation])
"""


def test_programming_with_the_sdk_from_a_directory(standalone: Standalone) -> None:
    image = new_uuid()

    def program() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(client()).parent / "python", "-c", _PROGRAM, image],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "OS_CLIENT_CONFIG_FILE": str(standalone.clouds)},
        )

    assert f"Image {image} could not be found." in program().stderr
    (standalone.folder / "data" / "bitstreams" / image).write_bytes(b"bitstream")
    programmed = program()
    assert programmed.returncode == 0, programmed.stderr
    [found] = standalone.api.get("/v2/deployables")["deployables"]
    assert found["bitstream_id"] == image


def test_the_tour(standalone: Standalone) -> None:
    done = subprocess.run(
        [ROOT / "tools/tour.sh"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={
            **os.environ,
            "OPENSTACK": client(),
            "OS_CLIENT_CONFIG_FILE": str(standalone.clouds),
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    commands = re.findall(r"^\$ openstack accelerator (.*)$", done.stdout, re.MULTILINE)
    assert [re.sub(r" (tour|\[|'|[0-9a-f]{8}-).*", "", command) for command in commands] == [
        "device list",
        "deployable list",
        "device profile create",
        "arq create",
        "arq bind",
        "arq show",
        "arq unbind",
        "arq show",
        "arq delete",
        "device profile delete",
        "arq list",
    ]
    outputs = re.split(r"^\$ .*$", done.stdout, flags=re.MULTILINE)[1:]
    assert "0xABCD" in outputs[0]
    assert "_FakeDevice" in outputs[1]
    assert re.search(r"state +\| Initial ", outputs[3])
    assert re.search(r"state +\| Bound ", outputs[5])
    assert re.search(r"attach_handle_info +\| \{'bus': '0c'", outputs[5])
    assert re.search(r"state +\| Unbound ", outputs[7])
    assert standalone.api.get("/v2/accelerator_requests")["arqs"] == []
    assert standalone.api.get("/v2/device_profiles")["device_profiles"] == []


def test_the_tour_without_a_service_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "tools/tour.sh"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={
            **os.environ,
            "OPENSTACK": client(),
            "OS_CLIENT_CONFIG_FILE": str(tmp_path / "none.yaml"),
        },
    )
    assert done.returncode == 1
    assert "make run" in done.stderr
