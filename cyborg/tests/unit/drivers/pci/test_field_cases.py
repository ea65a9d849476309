"""What people in the field met, tried on the pci driver; the numbers are the cases' own."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace

import pytest

from cyborg.drivers.contract import DriverError
from cyborg.testing.hosts.functions import PciFunction, Sriov
from cyborg.testing.hosts.host import FakeHost
from cyborg.tests.unit.drivers.pci.conftest import Bench, device, given, handle, reasons

Make = Callable[..., Bench]

GPU = PciFunction("10de:2231", "030000", iommu_group=7)


def one(address: str, function: PciFunction) -> Callable[[FakeHost], None]:
    """Return what adds one function to a host."""

    def build(host: FakeHost) -> None:
        bus = host.add_root_bus(int(address.split(":")[1], 16))
        host.add_function(address, bus, function)

    return build


def test_x04_a_domain_beyond_the_first(make: Make) -> None:
    bench = make(
        one("0001:d6:00.0", PciFunction("10de:233b", "030200", revision="a1")),
        [{"vendor_id": "10de"}],
    )
    found = bench.driver.discover()
    assert given(found) == {"0001:d6:00.0": "compute-1.example.org_0001:d6:00.0"}
    assert device(found, "0001:d6:00.0").model == "10de:233b"


def test_x06_a_virtual_function_without_driver(make: Make) -> None:
    def build(host: FakeHost) -> None:
        bus = host.add_root_bus(0x4E)
        sriov = Sriov(16, "37c9", offset=16)
        card = PciFunction("8086:37c8", "0b4000", sriov=sriov, driver="c6xx")
        path = host.add_function("0000:4e:00.0", bus, card)
        vf = PciFunction("8086:37c9", "0b4000", is_virtual=True, reset_methods="flr", speed=None)
        host.add_vfs(path, 8, vf)

    bench = make(build, [{"vendor_id": "8086", "product_id": "37c9"}])
    for place, driver in (("0000:4e:02.6", "vfio-pci"), ("0000:4e:02.7", None)):
        link = bench.root / f"sys/bus/pci/devices/{place}/driver"
        link.unlink(missing_ok=True)
        if driver:
            link.symlink_to(f"../../../bus/pci/drivers/{driver}")
    found = bench.driver.discover()
    assert {"0000:4e:02.6", "0000:4e:02.7"} <= given(found).keys()
    assert found.problems == ()
    assert [path for path, _ in bench.machine.kernel.log if "new_id" in path] == []


def test_x21_no_lspci(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    bench = make(one("0000:31:00.0", GPU), [{"vendor_id": "10de"}])
    assert given(bench.driver.discover()).keys() == {"0000:31:00.0"}


def test_x21_a_host_that_shows_nothing_is_no_empty_host(make: Make) -> None:
    bench = make(one("0000:31:00.0", GPU), [{"vendor_id": "10de"}])
    (bench.root / "sys/bus/pci/devices/0000:31:00.0").unlink()
    with pytest.raises(DriverError, match="shows no PCI function"):
        bench.driver.discover()


def test_x24_a_drive_with_3d_in_its_name(make: Make) -> None:
    drive = PciFunction("1cc1:8201", "010802")
    bench = make(one("0000:02:00.0", drive), [{"vendor_id": "1cc1"}])
    found = bench.driver.discover()
    assert given(found) == {}
    assert "keeps what is written to it" in reasons(found)["0000:02:00.0"]
    controller = device(found, "0000:02:00.0").std_board_info["controller"]
    assert controller == "Non-Volatile memory controller"


def test_x27_a_card_without_its_sound(make: Make) -> None:
    def build(host: FakeHost) -> None:
        for number, bus in enumerate(("31", "4b", "b1", "ca")):
            root = host.add_root_bus(int(bus, 16))
            gpu = replace(GPU, iommu_group=7 + number)
            sound = PciFunction("10de:1aef", "040300", iommu_group=7 + number)
            host.add_function(f"0000:{bus}:00.0", root, gpu)
            host.add_function(f"0000:{bus}:00.1", root, sound)

    found = make(build, [{"vendor_id": "10de"}]).driver.discover()
    cards = [f"0000:{bus}:00.0" for bus in ("31", "4b", "b1", "ca")]
    assert list(given(found)) == cards
    assert reasons(found)["0000:31:00.1"].startswith("0000:31:00.0 of its IOMMU group is offered")


def test_x27_the_sound_is_the_hosts(make: Make) -> None:
    def build(host: FakeHost) -> None:
        root = host.add_root_bus(0x31)
        host.add_function("0000:31:00.0", root, GPU)
        sound = PciFunction("10de:1aef", "040300", iommu_group=7, driver="snd_hda_intel")
        host.add_function("0000:31:00.1", root, sound)

    found = make(build, [{"vendor_id": "10de", "product_id": "2231"}]).driver.discover()
    assert given(found) == {}
    reason = "0000:31:00.1 of its IOMMU group is in use by snd_hda_intel"
    assert reasons(found) == {"0000:31:00.0": reason}


def test_x29_two_cards_in_one_group(make: Make) -> None:
    def build(host: FakeHost) -> None:
        card = PciFunction("10de:1e07", "030000", iommu_group=15)
        for bus in ("0a", "0b"):
            host.add_function(f"0000:{bus}:00.0", host.add_root_bus(int(bus, 16)), card)

    found = make(build, [{"vendor_id": "10de"}]).driver.discover()
    assert given(found) == {}
    assert reasons(found) == {
        "0000:0a:00.0": "its IOMMU group is shared with 0000:0b:00.0",
        "0000:0b:00.0": "its IOMMU group is shared with 0000:0a:00.0",
    }


def test_x34_a_vendor_that_is_in_no_table(make: Make) -> None:
    card = PciFunction("1ed5:0222", "030200")
    found = make(one("0000:65:00.0", card), [{"vendor_id": "1ed5"}]).driver.discover()
    (part,) = device(found, "0000:65:00.0").deployables
    assert part.driver_name == "1ed5"
    assert part.traits == ("CUSTOM_PCI_PRODUCT_ID_0222",)


class TestX35:
    """A card that cannot be reset."""

    CARD = PciFunction("1002:73bf", "030000", reset_methods=None)
    PLACE = "0000:0d:00.0"

    def test_it_is_left_out(self, make: Make) -> None:
        found = make(one(self.PLACE, self.CARD), [{"vendor_id": "1002"}]).driver.discover()
        assert given(found) == {}
        assert reasons(found) == {self.PLACE: "no reset method"}

    def test_its_methods_are_none(self, make: Make) -> None:
        bench = make(one(self.PLACE, self.CARD), [{"vendor_id": "1002"}])
        bench.write(self.PLACE, "reset_method", "\n")
        assert reasons(bench.driver.discover()) == {self.PLACE: "no reset method"}

    def test_whoever_says_so_is_given_it(self, make: Make) -> None:
        entries = [{"vendor_id": "1002", "no_reset": "allowed"}]
        bench = make(one(self.PLACE, self.CARD), entries)
        assert given(bench.driver.discover()).keys() == {self.PLACE}
        bench.driver.prepare(handle(self.PLACE), {})
        bench.driver.release(handle(self.PLACE))
        assert bench.machine.kernel.resets == {}

    def test_a_reset_that_does_not_work(self, make: Make) -> None:
        card = replace(self.CARD, reset_methods="bus")
        bench = make(one(self.PLACE, card), [{"vendor_id": "1002", "no_reset": "allowed"}])
        bench.machine.kernel.fail[f"/sys/bus/pci/devices/{self.PLACE}/reset"] = errno.EIO
        with pytest.raises(DriverError, match="cannot be reset: reset: Input/output error"):
            bench.driver.release(handle(self.PLACE))


def test_x37_no_name_for_the_ids(make: Make) -> None:
    card = PciFunction("1002:73bf", "030000")
    found = make(one("0000:0d:00.0", card), [{"vendor_id": "1002"}]).driver.discover()
    assert device(found, "0000:0d:00.0").model == "1002:73bf"


def test_x41_a_drive_behind_a_domain_of_five_digits(make: Make) -> None:
    place = "10001:8a:00.0"
    entries = [{"address": place, "keeps_data": "allowed"}]
    found = make(one(place, PciFunction("1344:51c3", "010802")), entries).driver.discover()
    assert given(found) == {place: f"compute-1.example.org_{place}"}
    assert device(found, place).control_path["domain"] == "10001"
