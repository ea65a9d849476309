"""A driver package outside of the tree: installed, tested by the kit, and used by the service.

It lies in ``cyborg/tests/unit/drivers/outside``, and is installed as pip installs any other.
"""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cyborg.domain.clock import new_uuid
from cyborg.tests.functional.processes.harness import COMMANDS, Api, Process, free_port, wait_for
from cyborg.tests.functional.processes.packages import ROOT, Package, install

SOURCE = ROOT / "cyborg" / "tests" / "unit" / "drivers" / "outside"


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The package, as pip installs any other."""
    folder = tmp_path_factory.mktemp("outside")
    return install(Path(shutil.copytree(SOURCE, folder / "source")), folder / "site")


class Service:
    """The standalone service, whose agent uses the package's driver."""

    def __init__(self, folder: Path, outside: Package) -> None:
        self.api = Api(f"http://127.0.0.1:{free_port()}")
        self.folder = folder
        self.process = Process(
            "cyborg-standalone",
            [
                f"--data-dir={folder}",
                f"--clouds-file={folder}/clouds.yaml",
                f"--port={self.api.url.rpartition(':')[2]}",
            ],
            folder / "out.log",
            environment=outside.environment,
        )

    def configure(self, abacuses: object, driver: str = "acme_driver") -> None:
        """Write the configuration."""
        (self.folder / "cyborg.conf").write_text(
            "[DEFAULT]\nauth_strategy = noauth\ntransport_url = fake://\n"
            f"state_path = {self.folder}\n"
            f"[database]\nconnection = sqlite:///{self.folder}/cyborg.sqlite\n"
            f"[agent]\nenabled_drivers = {driver}\nresource_provider_name = compute-1\n"
            f"[acme]\nabacuses = {abacuses}\n"
        )

    def devices(self) -> list[tuple[str, str]]:
        """Return vendor and type of each device; none while nobody answers."""
        if self.api.status("GET", "/v2/devices") != 200:
            return []
        return [(each["vendor"], each["type"]) for each in self.api.get("/v2/devices")["devices"]]


@pytest.fixture
def service(tmp_path: Path, outside: Package) -> Iterator[Service]:
    """The service, not running yet."""
    service = Service(tmp_path, outside)
    yield service
    if service.process.alive():
        service.process.end(signal.SIGKILL)


def test_it_passes_the_kit(outside: Package) -> None:
    done = outside.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_its_options_are_in_the_sample(outside: Package) -> None:
    done = outside.run(str(COMMANDS / "oslo-config-generator"), "--namespace", "cyborg")
    assert done.returncode == 0, done.stderr
    assert "[acme]" in done.stdout
    assert "#abacuses = 1" in done.stdout
    assert "[fake_driver]" in done.stdout


def test_its_devices_are_reported_as_its_option_says(service: Service) -> None:
    service.configure(abacuses=2)
    service.process.start()
    wait_for("its devices", lambda: service.devices() == [("acme", "ABACUS")] * 2)
    log = service.process.text()
    assert "handles of a type that Nova does not know driver=acme_driver type=BEADS" in log
    service.configure(abacuses="many")
    service.process.send(signal.SIGHUP)
    wait_for("a refusal", lambda: "the old one stays" in service.process.text())
    service.configure(abacuses=3)
    service.process.send(signal.SIGHUP)
    wait_for("another device", lambda: len(service.devices()) == 3)
    assert service.process.end(signal.SIGINT) == 0


def test_what_is_reset_together_is_released_together(service: Service) -> None:
    """An instance has two parts of a module. One cannot be cleaned as long as it has the other."""
    service.configure(abacuses=2, driver="acme_module_driver")
    service.process.start()
    wait_for("its devices", lambda: len(service.devices()) == 2)
    api, instance = service.api, new_uuid()
    api.profile("one", {"resources:CUSTOM_ABACUS": "1"})
    providers = [part["rp_uuid"] for part in api.get("/v2/deployables")["deployables"]]
    [first], [second] = api.arqs("one"), api.arqs("one")
    for uuid, provider in zip((first, second), providers, strict=True):
        assert api.bind([uuid], instance, "compute-1", provider).status_code == 202
    wait_for("both", lambda: {arq["state"] for arq in api.of_instance(instance)} == {"Bound"})

    def used() -> int:
        return sum(each["usage"]["used"] for each in api.get("/v2/devices")["devices"])

    assert used() == 2
    assert api.ask("DELETE", f"/v2/accelerator_requests?arqs={first}").status_code == 204
    wait_for("a release that waits", lambda: "work waits" in service.process.text())
    assert "the module is shaken when abacus-1 is released, too" in service.process.text()
    assert used() == 2
    assert api.ask("DELETE", f"/v2/accelerator_requests?arqs={second}").status_code == 204
    wait_for("both releases", lambda: used() == 0)
    assert service.process.text().count("kind=release device=abacus-0 handle=") >= 2
    assert "together=2 held=0" in service.process.text()
    assert "job failed" not in service.process.text()
    assert service.process.end(signal.SIGINT) == 0


def test_a_wrong_value_of_its_option_is_one_line(service: Service) -> None:
    service.configure(abacuses=9)
    service.process.start()
    wait_for("its end", lambda: not service.process.alive())
    assert service.process.end() == 2
    [line] = service.process.text().splitlines()
    assert line.startswith("cyborg-standalone: ")
    assert "abacuses" in line
