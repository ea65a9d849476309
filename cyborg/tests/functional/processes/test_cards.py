"""Cards of a host that was built, through the whole service: given, and taken back clean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cyborg.domain.clock import new_uuid
from cyborg.testing.hosts import build
from cyborg.tests.functional.processes.harness import Api, Process, free_port, wait_for

#: Two cards of the host; each test has its own.
FIRST, SECOND = "0000:21:00.0", "0000:39:00.0"


class Service:
    """The standalone service on a host with two cards."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        build("pci-groups", self.root)
        port = free_port()
        self.api = Api(f"http://127.0.0.1:{port}")
        data = folder / "data"
        data.mkdir()
        entry = {"vendor_id": "1e52", "product_id": "401e"}
        self.config = data / "cyborg.conf"
        self.process = Process(
            "python",
            [
                *("-m", "cyborg.testing.drivers.service", str(self.root), "standalone"),
                f"--data-dir={data}",
                f"--clouds-file={folder / 'clouds.yaml'}",
                f"--port={port}",
            ],
            folder / "out.log",
        )
        self._entry = json.dumps(entry)

    def start(self) -> None:
        """Start it, the second time with the cards."""
        self.process.start()
        wait_for("the service", lambda: self.api.status("GET", "/") == 200)
        self.process.end()
        self.config.write_text(
            self.config.read_text()
            + "\n[agent]\nenabled_drivers = pci_driver\n"
            + f"[pci]\npassthrough_whitelist = {self._entry}\nrelease_patience = 0\n"
        )
        self.process.start()
        wait_for("the service", lambda: self.api.status("GET", "/") == 200)
        wait_for("its cards", lambda: {FIRST, SECOND} <= self.parts().keys())

    def parts(self) -> dict[str, dict[str, Any]]:
        """Return the deployables by the address at the end of their names."""
        found = self.api.get("/v2/deployables")["deployables"]
        return {part["name"].partition("_")[2]: part for part in found}

    def bind(self, card: str, instance: str) -> None:
        """Give the card to an instance, as Nova does."""
        part = self.parts()[card]
        host = part["name"].partition("_")[0]
        answer = self.api.bind(self.api.arqs("card"), instance, host, part["rp_uuid"])
        assert answer.status_code == 202, answer.text
        wait_for("the bind", lambda: self.arq(instance)["state"] == "Bound")

    def arq(self, instance: str) -> dict[str, Any]:
        """Return the only ARQ of an instance."""
        [found] = self.api.of_instance(instance)
        return found

    def delete(self, instance: str) -> None:
        """Take the card back, as Nova does."""
        answer = self.api.ask("DELETE", f"/v2/accelerator_requests?instance={instance}")
        assert answer.status_code == 204, answer.text

    def is_free(self, card: str) -> bool:
        """Return whether somebody is given the card now."""
        part = self.parts()[card]
        host = part["name"].partition("_")[0]
        uuids = self.api.arqs("card")
        instance = new_uuid()
        status = self.api.bind(uuids, instance, host, part["rp_uuid"]).status_code
        assert status in (202, 409)
        if status == 409:
            for uuid in uuids:
                self.api.ask("DELETE", f"/v2/accelerator_requests?arqs={uuid}")
        return status == 202


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("cards"))
    try:
        service.start()
        service.api.profile("card", {"resources:CUSTOM_PCI": "1"})
        yield service
    finally:
        print(service.process.text()[-3000:])
        if service.process.alive():
            service.process.end()


def test_a_card_is_given_and_taken_back_clean(service: Service) -> None:
    instance = new_uuid()
    service.bind(FIRST, instance)
    assert service.arq(instance)["attach_handle_info"] == {
        "domain": "0000",
        "bus": FIRST[5:7],
        "device": "00",
        "function": "0",
    }
    assert f"reset address={FIRST}" not in service.process.text()
    service.delete(instance)
    wait_for("the card", lambda: service.is_free(FIRST))
    assert f"reset address={FIRST}" in service.process.text()


def test_a_card_that_a_guest_still_has_is_given_to_nobody(service: Service) -> None:
    """Nova deletes what a server has whose host is down, and its guest may still run."""
    instance = new_uuid()
    service.bind(SECOND, instance)
    directory = service.root / "sys/bus/pci/devices" / SECOND
    driver = service.root / "sys/bus/pci/drivers/vfio-pci"
    driver.mkdir(parents=True)
    (directory / "driver").symlink_to(driver)
    group = (directory / "iommu_group").resolve().name
    (service.root / "dev/vfio").mkdir(exist_ok=True)
    (service.root / "dev/vfio" / group).touch()
    (service.root / "busy").write_text(f"{SECOND}\n")
    service.delete(instance)
    wait_for("the refusal", lambda: f"{SECOND} is not free" in service.process.text())
    assert not service.is_free(SECOND)
    assert f"reset address={SECOND}" not in service.process.text()
    (service.root / "busy").unlink()
    # It is tried again by itself.
    wait_for("the card", lambda: service.is_free(SECOND), 60)
    assert f"reset address={SECOND}" in service.process.text()
