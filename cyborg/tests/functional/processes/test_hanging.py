"""A driver that hangs, and a state that cannot be written, as a real service meets them."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.processes.harness import COMMANDS, Api, Process, free_port, wait_for

#: What an agent says after its first report.
REPORTED = "inventory reported"


class Standalone:
    """The service, with its configuration file as a test wants it."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.api = Api(f"http://127.0.0.1:{port}")
        self.config = folder / "data" / "cyborg.conf"
        self.process = Process(
            "cyborg-standalone",
            [
                f"--data-dir={folder / 'data'}",
                f"--clouds-file={folder / 'clouds.yaml'}",
                f"--port={port}",
            ],
            folder / "out.log",
        )

    def start(self) -> None:
        reported = self.process.text().count(REPORTED)
        self.process.start()
        wait_for("the service", self._answers)
        # What is recorded of its devices may be of the run before.
        wait_for("its report", lambda: self.process.text().count(REPORTED) > reported)
        wait_for("its devices", lambda: self.api.get("/v2/devices")["devices"])

    def _answers(self) -> bool:
        assert self.process.alive(), self.process.text()
        return self.api.status("GET", "/") == 200

    def add(self, *lines: str) -> None:
        """Add lines to the end of the configuration file."""
        self.config.write_text("\n".join([self.config.read_text(), *lines, ""]))

    def change(self, old: str, new: str) -> None:
        """Change the configuration of the running service."""
        text = self.config.read_text()
        assert text.count(old) == 1
        self.config.write_text(text.replace(old, new))
        self.process.send(signal.SIGHUP)

    def device(self, number: int) -> dict[str, Any]:
        """Return a device by its number."""
        devices: list[dict[str, Any]] = self.api.get("/v2/devices")["devices"]
        [found] = [each for each in devices if f'"fake-{number}"' in each["vendor_board_info"]]
        return found

    def provider(self, number: int) -> str:
        """Return the provider of a device's parts."""
        parts = self.api.get("/v2/deployables")["deployables"]
        name = "_FakeDevice" if number == 0 else f"_FakeDevice_{number}"
        [found] = [each for each in parts if each["name"].endswith(name)]
        rp_uuid: str = found["rp_uuid"]
        return rp_uuid

    def bind(self, number: int) -> str:
        """Bind a new ARQ to a device as soon as it is offered; return the instance."""
        [uuid] = self.api.arqs("one")
        instance = new_uuid()
        values = ([uuid], instance, self.device(number)["hostname"], self.provider(number))
        wait_for("a bind", lambda: self.api.bind(*values).status_code == 202)
        return instance

    def state(self, instance: str) -> str:
        """Return the state of an instance's only ARQ."""
        [arq] = self.api.of_instance(instance)
        state: str = arq["state"]
        return state


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Standalone]:
    """The service, which has run once, so that its configuration file is there."""
    service = Standalone(tmp_path)
    service.start()
    service.api.profile("one")
    service.process.end()
    yield service
    print(service.process.text()[-3000:])
    if service.process.alive():
        service.process.end(signal.SIGKILL)


def test_one_card_hangs_and_the_other_goes_on(service: Standalone) -> None:
    """Finding 14: its ARQs never ended, and it was offered for ever."""
    # The file ends with the section of the fake driver.
    service.add("devices = 2", "prepare_hangs = 0", "[agent]", "call_timeout = 2")
    service.start()
    api = service.api
    wait_for("both devices", lambda: len(api.get("/v2/devices")["devices"]) == 2)
    hung = service.bind(0)
    wait_for("the end of the bind", lambda: service.state(hung) == "BindFailed")
    [arq] = api.of_instance(hung)
    assert "The driver's prepare (handle=" in arq["state_reason"]
    wait_for("the card's condition", lambda: service.device(0)["condition"] == "failed")
    assert service.device(0)["condition_reason"] == arq["state_reason"]

    good = service.bind(1)
    wait_for("the other card's bind", lambda: service.state(good) == "Bound")
    [refused] = api.arqs("one")
    values = (new_uuid(), service.device(0)["hostname"], service.provider(0))
    assert api.bind([refused], *values).status_code == 409

    for instance in (hung, good):
        assert api.status("DELETE", f"/v2/accelerator_requests?instance={instance}") == 204
    text = service.process.text
    wait_for("the end of the release", lambda: "released without its device" in text())
    assert "handle quarantined" not in text()

    service.change("prepare_hangs = 0", "prepare_hangs = 9")
    wait_for("the card", lambda: service.device(0)["condition"] == "healthy")
    wait_for("its cleaning", lambda: "kind=clean" in text() and "job done" in text())
    again = service.bind(0)
    wait_for("a bind of it", lambda: service.state(again) == "Bound")
    assert service.process.end() == 0


@pytest.mark.parametrize("action", ["prepare", "release"])
def test_the_service_ends_though_a_call_hangs(service: Standalone, action: str) -> None:
    service.add(f"{action}_hangs = 0", "[agent]", "call_timeout = 1")
    service.start()
    instance = service.bind(0)
    if action == "release":
        wait_for("the bind", lambda: service.state(instance) == "Bound")
        service.api.status("DELETE", f"/v2/accelerator_requests?instance={instance}")
    wait_for("the hang", lambda: "driver hangs device=fake-0" in service.process.text())
    assert service.process.end() == 0


def refused(command: str, *arguments: str) -> str:
    """Start a process that does not start; return the one line that it says."""
    ended = subprocess.run(
        [COMMANDS / command, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode != 0
    lines = ended.stderr.splitlines() + ended.stdout.splitlines()
    assert "Traceback" not in "\n".join(lines)
    [line] = [each for each in lines if "cannot be written" in each]
    return line


def test_a_state_that_cannot_be_written_is_one_line(service: Standalone, tmp_path: Path) -> None:
    """Field case K14: the agent began, and each boot that failed cost a handle."""
    text = service.config.read_text()
    state = next(line for line in text.splitlines() if line.startswith("state_path"))
    service.config.write_text(text.replace(state, "state_path = /proc"))
    said = "The agent's state cannot be written: /proc/agent: No such file or directory."
    assert said in refused("cyborg-standalone", *service.process.arguments)
    alone = tmp_path / "agent.conf"
    alone.write_text(
        "[DEFAULT]\nstate_path = /proc\ntransport_url = rabbit://127.0.0.1:1/\n"
        "[agent]\nresource_provider_name = compute-1\n"
    )
    assert said in refused("cyborg-agent", "--config-file", str(alone))
