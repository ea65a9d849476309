"""Machines with the pci driver."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cyborg.drivers.contract import DeviceReport, Discovery, Handle
from cyborg.drivers.host import Files
from cyborg.drivers.pci.driver import PciDriver
from cyborg.testing.drivers import make_conf
from cyborg.testing.drivers.machine import Machine
from cyborg.testing.hosts.host import FakeHost

Entries = Iterable[Mapping[str, Any]]


class Bench:
    """A machine, and the driver on it."""

    def __init__(self, root: Path, state: Path, entries: Entries, **options: Any) -> None:
        whitelist = [json.dumps(entry) for entry in entries]
        self.conf = make_conf(PciDriver, pci={"passthrough_whitelist": whitelist, **options})
        self.root = root
        self.state = state
        self.machine = Machine(root, state, self.conf)
        self.driver = self.new_driver()

    def new_driver(self, files: Files | None = None) -> PciDriver:
        """Return another object of the driver, as after a restart."""
        machine = self.machine
        if files is not None:
            machine = Machine(self.root, self.state, self.conf, files)
        driver = PciDriver(machine.environment())
        driver.configure()
        return driver

    def write(self, address: str, name: str, content: str | bytes) -> None:
        """Let a file of a function hold something, whatever the kernel thinks of it."""
        path = self.root / "sys/bus/pci/devices" / address / name
        if path.exists():
            path.chmod(0o644)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def entries_of(manifest: Any) -> list[Mapping[str, Any]]:
    """Return a whitelist that allows every device of a manifest, as its note has it if any."""
    for note in manifest.notes:
        if "allow_list" in note:
            return list(note["allow_list"])
    return [{"address": each["address"]} for each in manifest.devices if ":" in each["address"]]


def address(info: Mapping[str, str]) -> str:
    """Return the address that a handle's info names."""
    return "{domain}:{bus}:{device}.{function}".format_map(info)


def given(found: Discovery) -> dict[str, str]:
    """Return what is offered: addresses of handles, to the names of their deployables."""
    return {
        address(handle.info): part.name
        for device in found.devices
        for part in device.deployables
        for handle in part.handles
    }


def reasons(found: Discovery) -> dict[str, str]:
    """Return why what is left out is."""
    return {each.where: each.why for each in found.not_offered}


def device(found: Discovery, identity: str) -> DeviceReport:
    """Return one device of a report."""
    (each,) = (device for device in found.devices if device.identity == identity)
    return each


def handle(place: str, card: str | None = None) -> Handle:
    """Return the handle of a function."""
    domain, bus, rest = place.split(":")
    slot, number = rest.split(".")
    info = {"domain": domain, "bus": bus, "device": slot, "function": number}
    card = card or place
    return Handle(f"uuid-{place}", card, f"compute-1.example.org_{card}", "PCI", info)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Bench]:
    """Makes a host of a function, and a bench with it."""

    def make(build: Callable[[FakeHost], None], entries: Entries, **options: Any) -> Bench:
        root = tmp_path / "root"
        build(FakeHost(root))
        return Bench(root, tmp_path / "state", entries, **options)

    return make
