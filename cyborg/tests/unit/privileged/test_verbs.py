"""What is done with privileges looks at everything again."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cyborg.drivers.contract import DriverError
from cyborg.drivers.host import Possession
from cyborg.drivers.pci.driver import PciDriver
from cyborg.testing.drivers import make_conf
from cyborg.testing.drivers.machine import Machine
from cyborg.testing.hosts.functions import PciFunction, Sriov
from cyborg.testing.hosts.host import FakeHost

CARD, DRIVE, DISPLAY, BRIDGE, OTHER = (
    "0000:21:00.0",
    "0000:41:00.0",
    "0000:03:00.0",
    "0000:00:1c.5",
    "0000:51:00.0",
)
#: Whatever an operator may say.
ALL = [{"vendor_id": "*", "keeps_data": "allowed", "no_reset": "allowed"}]
DEVICES = "/sys/bus/pci/devices"


def build(host: FakeHost) -> None:
    host.add_chipset()
    host.add_function(CARD, host.add_root_bus(0x21), PciFunction("1e52:401e", "120000"))
    drive = PciFunction("1e0f:0007", "010802", driver="nvme")
    path = host.add_function(DRIVE, host.add_root_bus(0x41), drive)
    host.directory(f"{path}/nvme/nvme0/nvme0n1")
    host.add_class_link("block", "nvme0n1", f"{path}/nvme/nvme0/nvme0n1")
    host.write("proc/mounts", "/dev/nvme0n1 / ext4 rw 0 0\n", 0o644)
    network = PciFunction("8086:1592", "020000", sriov=Sriov(4, "1889", offset=8))
    path = host.add_function("0000:61:00.0", host.add_root_bus(0x61), network)
    host.add_vfs(path, 4, PciFunction("8086:1889", "020000"))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Machine]:
    def make(entries: list[dict[str, str]] = ALL) -> Machine:
        root = tmp_path / "root"
        build(FakeHost(root))
        whitelist = [json.dumps(entry) for entry in entries]
        conf = make_conf(PciDriver, pci={"passthrough_whitelist": whitelist})
        return Machine(root, tmp_path / "state", conf)

    return make


VERBS: list[Callable[[Machine, str], object]] = [
    lambda machine, address: machine.verbs.holders(address),
    lambda machine, address: machine.verbs.reset(address),
    lambda machine, address: machine.verbs.bind_driver(address, "vfio-pci"),
]


@pytest.mark.parametrize("verb", VERBS, ids=["holders", "reset", "bind_driver"])
class TestRefused:
    def refused(
        self, machine: Machine, verb: Callable[[Machine, str], object], address: str, why: str
    ) -> None:
        with pytest.raises(DriverError, match=why) as caught:
            verb(machine, address)
        assert len(str(caught.value).splitlines()) == 1
        assert machine.kernel.log == []

    @pytest.mark.parametrize(
        "address",
        [
            "",
            "0000:21:00.0/../0000:41:00.0",
            "../0000:21:00.0",
            "0000:21:00.0\n",
            "0000:21:00.8",
            "21:00.0",
            "0000:21:00.0;reboot",
            "0000:AA:00.0",
            7,
            None,
        ],
    )
    def test_no_address(
        self, make: Callable[..., Machine], verb: Callable[[Machine, str], object], address: str
    ) -> None:
        self.refused(make(), verb, address, "is no address")

    def test_one_that_is_not_there(
        self, make: Callable[..., Machine], verb: Callable[[Machine, str], object]
    ) -> None:
        self.refused(make(), verb, OTHER, "is not in this host")

    def test_one_that_nobody_allows(
        self, make: Callable[..., Machine], verb: Callable[[Machine, str], object]
    ) -> None:
        machine = make([{"vendor_id": "1e0f"}])
        self.refused(machine, verb, CARD, "no entry of the operator's list allows it")

    @pytest.mark.parametrize(
        ("address", "why"),
        [
            (DRIVE, "nvme0n1 is mounted"),
            (DISPLAY, "it is the boot display"),
            (BRIDGE, "it is a bridge"),
        ],
    )
    def test_what_the_host_needs(
        self,
        make: Callable[..., Machine],
        verb: Callable[[Machine, str], object],
        address: str,
        why: str,
    ) -> None:
        self.refused(make(), verb, address, why)

    def test_one_that_is_no_device_of_the_kernels(
        self, make: Callable[..., Machine], verb: Callable[[Machine, str], object]
    ) -> None:
        machine = make()
        link = machine.root / f"sys/bus/pci/devices/{CARD}"
        (machine.root / "tmp").mkdir()
        link.resolve().rename(machine.root / "tmp" / CARD)
        link.unlink()
        link.symlink_to(f"../../../../tmp/{CARD}")
        self.refused(machine, verb, CARD, "it is at /tmp")


class TestTheOperatorsList:
    def set(self, machine: Machine, text: str) -> None:
        machine.conf.set_override("passthrough_whitelist", [text], "pci")

    def test_it_is_read_each_time(self, make: Callable[..., Machine]) -> None:
        machine = make()
        machine.verbs.reset(CARD)
        self.set(machine, '{"vendor_id": "1e0f"}')
        with pytest.raises(DriverError, match="no entry"):
            machine.verbs.reset(CARD)

    def test_a_wrong_one_leaves_the_last(self, make: Callable[..., Machine]) -> None:
        machine = make()
        machine.verbs.reset(CARD)
        self.set(machine, "[")
        machine.verbs.reset(CARD)
        assert machine.kernel.resets == {CARD: 2}

    def test_without_a_right_one_nothing_is_touched(self, make: Callable[..., Machine]) -> None:
        machine = make()
        self.set(machine, "[")
        with pytest.raises(DriverError, match="entry 1: no JSON"):
            machine.verbs.reset(CARD)
        assert machine.kernel.log == []


class TestHolders:
    def to_vfio(self, machine: Machine) -> Path:
        machine.verbs.bind_driver(CARD, "vfio-pci")
        (group,) = (machine.root / "dev/vfio").glob("[0-9]*")
        return group

    def test_one_without_vfio_is_free(self, make: Callable[..., Machine]) -> None:
        assert make().verbs.holders(CARD) == Possession(False)

    def test_a_group_that_opens_is_free(self, make: Callable[..., Machine]) -> None:
        machine = make()
        self.to_vfio(machine)
        assert machine.verbs.holders(CARD) == Possession(False)

    def test_who_has_it(self, make: Callable[..., Machine]) -> None:
        machine = make()
        group = self.to_vfio(machine)
        machine.kernel.busy.add(CARD)
        assert machine.verbs.holders(CARD) == Possession(True)
        process = machine.root / "proc/4711"
        (process / "fd").mkdir(parents=True)
        (process / "comm").write_text("qemu-system-x86\n")
        (process / "fd/17").symlink_to(f"/dev/vfio/{group.name}")
        assert machine.verbs.holders(CARD) == Possession(True, ("qemu-system-x86 (process 4711)",))

    def test_a_card_is_held_by_whoever_has_a_part_of_it(self, make: Callable[..., Machine]) -> None:
        """The reset of a physical function takes its virtual ones with it."""
        machine = make()
        part = "0000:61:01.2"
        machine.verbs.bind_driver(part, "vfio-pci")
        assert machine.verbs.holders("0000:61:00.0") == Possession(False)
        machine.kernel.busy.add(part)
        assert machine.verbs.holders("0000:61:00.0") == Possession(True)
        assert machine.verbs.holders("0000:61:01.1") == Possession(False)
        with pytest.raises(DriverError, match="is not touched: somebody has it"):
            machine.verbs.reset("0000:61:00.0")

    def test_a_group_that_nobody_may_open(
        self, make: Callable[..., Machine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine = make()
        self.to_vfio(machine)

        def refuse(place: str) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), place)

        monkeypatch.setattr(machine.holders, "_open", refuse)
        found = machine.verbs.holders(CARD)
        assert found.held is None and not found.is_free
        assert "Permission denied" in str(found)

    @pytest.mark.parametrize(("user", "held"), [("vfio7", True), ("vfio8", False)])
    def test_a_kernel_without_groups(
        self, make: Callable[..., Machine], user: str, held: bool
    ) -> None:
        """A device can be open more than once, so that only a look at all processes tells."""
        machine = make()
        self.to_vfio(machine).unlink()
        (machine.root / DEVICES.lstrip("/") / CARD / "vfio-dev/vfio7").mkdir(parents=True)
        for name in ("vfio7", "vfio8"):
            node = machine.root / "dev/vfio/devices" / name
            node.parent.mkdir(exist_ok=True)
            node.touch()
        fd = machine.root / "proc/12/fd"
        fd.mkdir(parents=True)
        (fd / "3").symlink_to(f"/dev/vfio/devices/{user}")
        assert machine.verbs.holders(CARD).held is held


class TestBinding:
    def override(self, machine: Machine) -> str:
        return machine.kernel.read(f"{DEVICES}/{CARD}/driver_override").strip()

    def driver(self, machine: Machine) -> str | None:
        link = machine.root / "sys/bus/pci/devices" / CARD / "driver"
        return link.readlink().name if link.is_symlink() else None

    def test_there_and_back(self, make: Callable[..., Machine]) -> None:
        machine = make()
        machine.verbs.bind_driver(CARD, "vfio-pci")
        assert self.driver(machine) == "vfio-pci"
        before = list(machine.kernel.log)
        machine.verbs.bind_driver(CARD, "vfio-pci")
        assert machine.kernel.log == before, "the same again has no effect"
        machine.verbs.bind_driver(CARD, "")
        assert (self.driver(machine), self.override(machine)) == (None, "(null)")

    @pytest.mark.parametrize("driver", ["nvidia", "../vfio-pci", "vfio-pci\n", "VFIO-PCI"])
    def test_a_driver_that_is_not_in_the_list(
        self, make: Callable[..., Machine], driver: str
    ) -> None:
        machine = make()
        with pytest.raises(DriverError, match="is no driver"):
            machine.verbs.bind_driver(CARD, driver)
        assert machine.kernel.log == []

    def test_the_answer_of_the_probe_is_not_believed(self, make: Callable[..., Machine]) -> None:
        machine = make()
        group = machine.root / DEVICES.lstrip("/") / CARD / "iommu_group"
        group.unlink()
        with pytest.raises(DriverError, match="its driver is none afterwards"):
            machine.verbs.bind_driver(CARD, "vfio-pci")
        assert self.override(machine) == "(null)", "nothing is left half done"
