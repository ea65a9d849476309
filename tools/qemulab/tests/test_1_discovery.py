"""Each function of the lab is offered, or left out with the reason that is true of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from agents_parts import EVEN_MORE, EVERYTHING, Parts, left_out, make_conf, offered
from real_host import (
    BEHIND_BRIDGE,
    BEHIND_SWITCH,
    BOOT_DISPLAY,
    CHIPSET,
    CHIPSET_BRIDGE,
    DEVICES,
    DRIVE_WITH_FUNCTIONS,
    FREE_DRIVE,
    NETWORK,
    NETWORK_WITH_FUNCTIONS,
    NO_RESET,
    SECOND_NODE_DRIVE,
    SYSTEM_DRIVE,
    TWO_FUNCTIONS,
    VIRTUAL,
    Guest,
    NotOpened,
    driver_of,
    leave,
    rebind,
    unbind,
    virtual_functions,
)

from cyborg.drivers.contract import Discovery

#: As a reason why it is not left out.
OFFERED = None

_DRIVE = "a drive keeps what is written to it, .*"
_VIRTUAL = "it has virtual functions, which can be offered in its place"


def _in_use(mate: str, driver: str) -> str:
    return f"{mate} of its IOMMU group is in use by {driver}"


def _shared(mate: str) -> str:
    return f"its IOMMU group is shared with {mate}"


#: What there is, with the reasons where nothing more is allowed, and where all is.
FUNCTIONS = {
    (BOOT_DISPLAY, "boot display"): ("boot display", "boot display"),
    (NO_RESET, "without a reset"): ("no reset method", OFFERED),
    (SYSTEM_DRIVE, "mounted system drive"): (_DRIVE, r"nvme\dn\dp1 is mounted"),
    (FREE_DRIVE, "free drive"): (_DRIVE, OFFERED),
    (DRIVE_WITH_FUNCTIONS, "drive with virtual functions"): (_VIRTUAL, _VIRTUAL),
    (NETWORK_WITH_FUNCTIONS, "port with virtual functions"): (_VIRTUAL, _VIRTUAL),
    (NETWORK, "port"): (OFFERED, OFFERED),
    (TWO_FUNCTIONS[0], "first of a slot"): (_in_use(TWO_FUNCTIONS[1], "e1000e"),) * 2,
    (TWO_FUNCTIONS[1], "second of a slot"): (_in_use(TWO_FUNCTIONS[0], "e1000e"),) * 2,
    (BEHIND_SWITCH, "behind a switch"): (OFFERED, OFFERED),
    (BEHIND_BRIDGE[0], "first of a bus"): (_shared(BEHIND_BRIDGE[1]),) * 2,
    (BEHIND_BRIDGE[1], "second of a bus"): (_shared(BEHIND_BRIDGE[0]),) * 2,
    (SECOND_NODE_DRIVE, "drive of another node"): (_DRIVE, OFFERED),
    # The lab's own ways to the outside.
    ("0000:00:02.0", "console"): (_in_use("0000:00:02.1", "virtio-pci"),) * 2,
    ("0000:00:02.1", "folder"): (_in_use("0000:00:02.0", "virtio-pci"),) * 2,
    ("0000:00:02.2", "folder"): (_in_use("0000:00:02.0", "virtio-pci"),) * 2,
    ("0000:00:02.3", "folder"): (_in_use("0000:00:02.0", "virtio-pci"),) * 2,
    (CHIPSET, "beside a bridge in use"): (_in_use(CHIPSET_BRIDGE, "lpc_ich"),) * 2,
}


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Discovery, Discovery]:
    """What is found where nothing more is allowed, and where all is."""
    first, second = (
        Parts(tmp_path_factory.mktemp("agent"), make_conf(entries)).driver.discover()
        for entries in (EVERYTHING, EVEN_MORE)
    )
    return first, second


@pytest.mark.parametrize("which", FUNCTIONS, ids=" ".join)
def test_a_function(looks: tuple[Discovery, Discovery], which: tuple[str, str]) -> None:
    address, _ = which
    for look, wanted in zip(looks, FUNCTIONS[which], strict=True):
        said = left_out(look).get(address)
        if wanted is OFFERED:
            assert said is None
            assert offered(look)[address] == [address]
        else:
            assert said is not None, f"{address} is offered"
            assert re.fullmatch(wanted, said)
            assert address not in [each for handles in offered(look).values() for each in handles]


@pytest.mark.parametrize("number", [0, 1], ids=["nothing more allowed", "all allowed"])
def test_nothing_is_lost(looks: tuple[Discovery, Discovery], number: int) -> None:
    look = looks[number]
    handles = {each for found in offered(look).values() for each in found}
    assert handles | set(left_out(look)) == {path.name for path in DEVICES.iterdir()}
    assert not handles & set(left_out(look))
    assert not look.problems


def test_virtual_functions_are_handles_of_one_deployable(
    looks: tuple[Discovery, Discovery],
) -> None:
    network = virtual_functions(NETWORK_WITH_FUNCTIONS)
    drives = virtual_functions(DRIVE_WITH_FUNCTIONS)
    assert len(network) == len(drives) == VIRTUAL
    assert offered(looks[0])[NETWORK_WITH_FUNCTIONS] == network
    assert offered(looks[1])[NETWORK_WITH_FUNCTIONS] == network
    assert DRIVE_WITH_FUNCTIONS not in offered(looks[0])
    assert offered(looks[1])[DRIVE_WITH_FUNCTIONS] == drives
    for device in looks[1].devices:
        if device.identity in (NETWORK_WITH_FUNCTIONS, DRIVE_WITH_FUNCTIONS):
            (deployable,) = device.deployables
            assert deployable.num_accelerators == VIRTUAL


def test_a_guest_can_open_all_that_is_offered(looks: tuple[Discovery, Discovery]) -> None:
    for handles in offered(looks[1]).values():
        for address in handles[:1]:
            before = driver_of(address)
            rebind(address, "vfio-pci")
            Guest(address).end()
            if before:
                rebind(address, "")
            else:
                leave(address)
            assert driver_of(address) == before
    assert len(offered(looks[1])) >= 7


@pytest.mark.parametrize(
    ("address", "mate"), [TWO_FUNCTIONS, (CHIPSET, CHIPSET_BRIDGE)], ids=["slot", "bridge"]
)
def test_no_guest_can_open_what_is_left_out_for_its_group(address: str, mate: str) -> None:
    before = driver_of(address), driver_of(mate)
    rebind(address, "vfio-pci")
    with pytest.raises(NotOpened):
        Guest(address)
    # It is the mate's driver that keeps it from being opened.
    unbind(mate)
    Guest(address).end()
    rebind(mate, "")
    rebind(address, "")
    assert (driver_of(address), driver_of(mate)) == before


def test_show_inventory(looks: tuple[Discovery, Discovery], tmp_path: Path) -> None:
    config = tmp_path / "cyborg.conf"
    config.write_text(
        "[DEFAULT]\n"
        f"state_path = {tmp_path}/state\n"
        "[agent]\n"
        "enabled_drivers = pci_driver\n"
        "[pci]\n"
        f"passthrough_whitelist = {json.dumps(EVEN_MORE[0])}\n"
    )
    command = "import sys; from cyborg.cmd.agent import main; sys.exit(main())"
    options = ("--show-inventory", "--format", "json")
    done = subprocess.run(  # noqa: S603 - this very Python
        [sys.executable, "-c", command, "--config-file", str(config), *options],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert {each["address"]: each["reason"] for each in shown["left_out"]} == left_out(looks[1])
    assert [each["identity"] for each in shown["devices"]] == sorted(
        device.identity for device in looks[1].devices
    )
    by_address = {each["identity"]: each for each in shown["devices"]}
    assert by_address[SECOND_NODE_DRIVE]["numa_node"] == 1
    assert by_address[NETWORK]["reset_methods"] == ["pm", "bus"]
    assert not shown["problems"]
    assert not (tmp_path / "state").exists()
