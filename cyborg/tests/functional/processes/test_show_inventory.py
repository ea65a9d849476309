"""cyborg-agent --show-inventory: what it prints, its exit status, and that it changes nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cyborg.files import Hold
from cyborg.testing.drivers.observing import files
from cyborg.testing.hosts import build
from cyborg.tests.functional.processes.harness import COMMANDS

Show = Callable[..., subprocess.CompletedProcess[str]]

#: Where nobody listens: no other service is needed.
NOWHERE = "rabbit://guest:guest@127.0.0.1:1/"


@pytest.fixture
def show(tmp_path: Path) -> Show:
    """Runs the command on a host that was built."""

    def show(
        entries: Iterable[Mapping[str, Any]], *arguments: str, host: str = "pci-groups", **more: str
    ) -> subprocess.CompletedProcess[str]:
        root = tmp_path / host
        if not root.exists():
            build(host, root)
        lines = [f"passthrough_whitelist = {json.dumps(entry)}" for entry in entries]
        config = tmp_path / "cyborg.conf"
        config.write_text(
            "\n".join(
                (
                    f"[DEFAULT]\nstate_path = {tmp_path}/state\ntransport_url = {NOWHERE}",
                    "[agent]\nresource_provider_name = compute-1",
                    f"enabled_drivers = {more.get('drivers', 'pci_driver')}",
                    "[pci]",
                    *lines,
                )
            )
        )
        return subprocess.run(
            [
                COMMANDS / "cyborg-agent",
                f"--config-file={config}",
                "--show-inventory",
                f"--host-root={root}",
                *arguments,
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return show


CARDS = {"vendor_id": "1e52", "product_id": "401e"}
PORT = {"vendor_id": "8086", "product_id": "10d3", "address": "0000:29:00.1"}
IN_USE = "0000:29:00.0 of its IOMMU group is in use by e1000e"


def test_for_a_person(show: Show) -> None:
    done = show([CARDS, PORT])
    assert done.returncode == 0, done.stderr
    assert "offers 1 CUSTOM_PCI as compute-1_0000:21:00.0" in done.stdout
    assert "  reset methods: flr bus\n" in done.stdout
    assert f"Left out:\n  0000:29:00.1: {IN_USE}\n" in done.stdout


def test_for_a_program(show: Show) -> None:
    done = show([CARDS, PORT], "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == {"host", "devices", "left_out", "problems"}
    assert found["left_out"] == [{"address": "0000:29:00.1", "reason": IN_USE}]
    assert found["problems"] == []
    card, port, _ = found["devices"]
    assert card["identity"] == "0000:21:00.0"
    assert (card["numa_node"], card["iommu_group"]) == (0, 5)
    assert card["reset_methods"] == ["flr", "bus"]
    assert (card["condition"], card["reason"]) == ("healthy", None)
    (part,) = card["deployables"]
    assert part["resource_class"] == "CUSTOM_PCI"
    assert [handle["info"]["bus"] for handle in part["handles"]] == ["21"]
    assert port["deployables"] == []


def test_it_changes_nothing_and_runs_beside_the_agent(show: Show, tmp_path: Path) -> None:
    assert show([CARDS]).returncode == 0
    assert not (tmp_path / "state").exists()
    (tmp_path / "state/agent").mkdir(parents=True)
    hold = Hold(tmp_path / "state/agent")
    before = files(tmp_path)
    assert show([CARDS]).returncode == 0
    assert files(tmp_path) == before
    hold.let_go()


def test_what_another_driver_has(show: Show) -> None:
    """The fake driver has nothing of a real host; both are looked at."""
    done = show([CARDS], "--format=json", drivers="fake_driver,pci_driver")
    found = json.loads(done.stdout)
    assert {each["driver"] for each in found["devices"]} == {"fake_driver", "pci_driver"}


def test_a_driver_that_cannot_look(show: Show, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = show([CARDS], "--format=json", host="empty")
    assert done.returncode == 1
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem["where"] == "pci_driver"
    assert "/sys/bus/pci/devices cannot be listed" in problem["what"]


@pytest.mark.parametrize(
    ("entries", "arguments", "why"),
    [
        ([{"vendor": "1e52"}], (), "[pci] passthrough_whitelist, entry 1: "),
        ([CARDS], ("--host-root=/nonexistent",), "--host-root /nonexistent is no directory"),
        ([CARDS], ("--format=yaml",), "--format"),
    ],
)
def test_a_wrong_configuration(
    show: Show, entries: list[dict[str, str]], arguments: tuple[str, ...], why: str
) -> None:
    done = show(entries, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("cyborg-agent: ")
    assert why in line


def test_an_agent_does_not_start_with_a_wrong_list(show: Show, tmp_path: Path) -> None:
    show([{"vendor_id": "xyz"}])
    done = subprocess.run(
        [COMMANDS / "cyborg-agent", f"--config-file={tmp_path}/cyborg.conf"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "cyborg-agent: [pci] passthrough_whitelist, entry 1: vendor_id" in done.stderr
