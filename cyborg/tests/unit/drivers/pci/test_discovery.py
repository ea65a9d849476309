"""What is found on whole hosts, beside what is true of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from cyborg.domain.inventory import Snapshot
from cyborg.domain.report_check import check_report
from cyborg.drivers.contract import ConfigurationError, DeviceCondition, Share
from cyborg.testing.drivers.breaking import BreakableFiles
from cyborg.testing.hosts import BuiltHosts, Manifest, happen, scenarios
from cyborg.testing.hosts.functions import PciFunction, Sriov
from cyborg.testing.hosts.host import FakeHost
from cyborg.tests.unit.drivers.pci.conftest import (
    Bench,
    address,
    device,
    entries_of,
    given,
    reasons,
)

Make = Callable[..., Bench]

GENERIC = ("pci-groups", "iommu-off", "surprise-off", "bad-missing-files", "empty-host")

#: 640 virtual functions take too long to build for each of the tests.
SMALL = sorted(set(scenarios()) - {"many-vfs"})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuiltHosts:
    """Each host, built once."""
    return BuiltHosts(tmp_path_factory.mktemp)


@pytest.fixture
def bench_of(built: BuiltHosts, tmp_path: Path) -> Callable[[str], tuple[Bench, Manifest]]:
    def make(name: str) -> tuple[Bench, Manifest]:
        root, manifest = built.get(name)
        return Bench(root, tmp_path / "state", entries_of(manifest)), manifest

    return make


def group_of(root: Path, place: str) -> list[str]:
    devices = root / "sys/bus/pci/devices" / place / "iommu_group/devices"
    return sorted(os.listdir(devices)) if devices.is_dir() else []


@pytest.mark.parametrize("name", SMALL)
def test_what_is_true_of_every_host(
    name: str, bench_of: Callable[[str], tuple[Bench, Manifest]]
) -> None:
    bench, manifest = bench_of(name)
    found = bench.driver.discover()
    # The same again, by this object and by another.
    digest = Snapshot(found.devices).digest()
    assert Snapshot(bench.driver.discover().devices).digest() == digest
    assert Snapshot(bench.new_driver().discover().devices).digest() == digest
    # The conductor takes all of it.
    report = check_report(Snapshot(found.devices).to_wire())
    assert report.left_out == ()
    offered = given(found)
    forbidden = {note["address"] for note in manifest.notes if "must_not_be_reported" in note}
    assert forbidden & (offered.keys() | {each.identity for each in found.devices}) == set()
    for place in offered:
        directory = bench.root / "sys/bus/pci/devices" / place
        assert not (directory / "virtfn0").exists(), f"{place} is offered beside its VFs"
        mates = [mate for mate in group_of(bench.root, place) if mate != place]
        for mate in mates:
            link = bench.root / "sys/bus/pci/devices" / mate / "driver"
            used = link.is_symlink() and link.readlink().name
            assert used in (False, "vfio-pci", "pcieport"), f"{mate} of its group is in use"


@pytest.mark.parametrize("name", GENERIC)
def test_generic_hosts_agree_with_what_is_true(
    name: str, bench_of: Callable[[str], tuple[Bench, Manifest]]
) -> None:
    bench, manifest = bench_of(name)
    found = bench.driver.discover()
    offered, left_out = given(found), reasons(found)
    devices = {each.identity: each for each in found.devices}
    for entry in manifest.devices:
        place = entry["address"]
        assert place in devices, "found, offered or not"
        assert address(devices[place].control_path) == place
        if entry.get("attachable", name != "iommu-off"):
            assert place in offered
            assert place not in left_out
        else:
            assert place not in offered
            assert left_out[place]
        if "healthy" in entry:
            is_failed = devices[place].condition is DeviceCondition.FAILED
            assert is_failed != entry["healthy"]


def test_the_reasons(bench_of: Callable[[str], tuple[Bench, Manifest]]) -> None:
    bench, _ = bench_of("pci-groups")
    assert reasons(bench.driver.discover()) == {
        "0000:00:05.0": "no reset method",
        "0000:29:00.1": "0000:29:00.0 of its IOMMU group is in use by e1000e",
        "0000:32:01.0": "its IOMMU group is shared with 0000:32:02.0",
        "0000:32:02.0": "its IOMMU group is shared with 0000:32:01.0",
    }
    bench, _ = bench_of("iommu-off")
    assert set(reasons(bench.driver.discover()).values()) == {"no IOMMU"}


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        ("lpc_ich", "0000:00:1f.0 of its IOMMU group is in use by lpc_ich"),
        ("pcieport", None),
        (None, None),
    ],
)
def test_a_bridge_with_a_driver_has_its_group(
    make: Make, driver: str | None, reason: str | None
) -> None:
    """The kernel lets nobody have a group of which a driver of the host has any function."""

    def build_host(host: FakeHost) -> None:
        group = host.add_iommu_group()
        root = host.add_root_bus(0)
        bridge = PciFunction("8086:2918", "060100", driver=driver, iommu_group=group)
        host.add_function("0000:00:1f.0", root, bridge)
        card = PciFunction("8086:2930", "0c0500", iommu_group=group)
        host.add_function("0000:00:1f.3", root, card)

    found = make(build_host, [{"product_id": "2930"}]).driver.discover()
    assert reasons(found).get("0000:00:1f.3") == reason


def test_whatever_is_allowed_some_are_no_cards(make: Make) -> None:
    """Bridges and the boot display are no devices either."""

    def build_host(host: FakeHost) -> None:
        host.add_chipset()
        host.add_function("0000:21:00.0", host.add_root_port(0x20), VF)

    found = make(build_host, [{"vendor_id": "*"}]).driver.discover()
    assert given(found).keys() == {"0000:21:00.0"}
    assert {each.identity for each in found.devices} == {"0000:00:00.0", "0000:21:00.0"}
    left_out = reasons(found)
    assert left_out["0000:03:00.0"] == "boot display"
    assert left_out["0000:00:1c.5"] == "a bridge"
    assert left_out["0000:00:00.0"] == "no reset method"


def test_no_file_is_read_twice(bench_of: Callable[[str], tuple[Bench, Manifest]]) -> None:
    bench, _ = bench_of("e810-vfs")
    files = BreakableFiles(bench.root)
    driver = bench.new_driver(files)
    files.opened.clear()
    driver.discover()
    assert [path for path, times in Counter(files.opened).items() if times > 1] == []


CARD = PciFunction("8086:1592", "020000", driver="ice", sriov=Sriov(8, "1889", offset=8))
VF = PciFunction("8086:1889", "020000")


def with_vfs(host: FakeHost) -> None:
    path = host.add_function("0000:17:00.0", host.add_root_bus(0x17), CARD)
    host.add_vfs(path, 4, VF)


class TestVirtualFunctions:
    PLACES = tuple(f"0000:17:01.{number}" for number in range(4))

    @pytest.mark.parametrize(
        "entry",
        [
            {"vendor_id": "8086", "product_id": "1889"},
            {"address": "0000:17:00.0"},
            {"vendor_id": "8086"},
        ],
    )
    def test_they_are_one_deployable_of_their_card(self, make: Make, entry: dict[str, str]) -> None:
        found = make(with_vfs, [entry]).driver.discover()
        assert given(found) == dict.fromkeys(self.PLACES, "compute-1.example.org_0000:17:00.0")
        (part,) = device(found, "0000:17:00.0").deployables
        assert part.num_accelerators == 4
        # With another driver that offers the card whole nobody gets both.
        assert {handle.shares for handle in part.handles} == {(Share("0000:17:00.0", 1, 4),)}
        assert part.needs_prepare and part.needs_release

    def test_the_card_itself_is_not_offered(self, make: Make) -> None:
        entries = [{"vendor_id": "8086", "product_id": "1592"}]
        found = make(with_vfs, entries).driver.discover()
        assert given(found) == {}
        assert "it has virtual functions" in reasons(found)["0000:17:00.0"]

    def test_one_that_is_allowed_as_something_else_is_left_out(self, make: Make) -> None:
        entries: list[dict[str, Any]] = [
            {"address": f"0000:17:01.{number}", "resource_class": name}
            for number, name in enumerate(["CUSTOM_A", "CUSTOM_A", "CUSTOM_B"])
        ]
        found = make(with_vfs, entries).driver.discover()
        assert tuple(given(found)) == self.PLACES[:2]
        assert "another class or traits" in reasons(found)[self.PLACES[2]]

    def test_their_card_is_away(self, make: Make) -> None:
        bench = make(with_vfs, [{"vendor_id": "8086", "product_id": "1889"}])
        (bench.root / "sys/bus/pci/devices/0000:17:00.0").unlink()
        found = bench.driver.discover()
        assert given(found) == {}
        assert reasons(found)[self.PLACES[0]] == (
            "its physical function 0000:17:00.0 is away, or cannot be read"
        )


class TestInUse:
    def card(self, ids: str, pci_class: str) -> Callable[[FakeHost], None]:
        def build_host(host: FakeHost) -> None:
            card = PciFunction(ids, pci_class, driver="acme")
            path = host.add_function("0000:41:00.0", host.add_root_bus(0x41), card)
            if pci_class.startswith("02"):
                host.directory(f"{path}/net/eth0")
                host.add_class_link("net", "eth0", f"{path}/net/eth0")
            else:
                host.directory(f"{path}/nvme/nvme0/nvme0n1/nvme0n1p2")
                host.write(f"{path}/nvme/nvme0/nvme0n1/dev", "259:0\n")
                for name in ("nvme0n1", "nvme0n1/nvme0n1p2"):
                    target = f"{path}/nvme/nvme0/{name}"
                    host.add_class_link("block", target.rpartition("/")[2], target)

        return build_host

    NIC = ("8086:10d3", "020000")
    DRIVE = ("1e0f:0007", "010802")

    def reason(self, bench: Bench) -> str | None:
        return reasons(bench.driver.discover()).get("0000:41:00.0")

    def proc(self, bench: Bench, name: str, content: str) -> None:
        path = bench.root / "proc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def test_a_port_without_traffic_is_offered(self, make: Make) -> None:
        assert self.reason(make(self.card(*self.NIC), [{"devname": "eth0"}])) is None

    def test_a_port_with_a_route(self, make: Make) -> None:
        bench = make(self.card(*self.NIC), [{"vendor_id": "8086"}])
        self.proc(bench, "net/route", "Iface\tDestination\neth0\t00000000\n")
        assert self.reason(bench) == "the host has a route through its port eth0"

    @pytest.mark.parametrize(
        ("route", "is_used"),
        [
            ("fe80000000000000 40 0 00 0 00000100 1 0 00000001     eth0\n", False),
            ("20010db800000000 40 0 00 0 00000100 1 0 00000001     eth0\n", True),
        ],
    )
    def test_a_port_with_a_route_of_ipv6(self, make: Make, route: str, is_used: bool) -> None:
        bench = make(self.card(*self.NIC), [{"vendor_id": "8086"}])
        self.proc(bench, "net/ipv6_route", route)
        assert (self.reason(bench) is not None) == is_used

    def test_a_port_of_a_bond(self, make: Make) -> None:
        bench = make(self.card(*self.NIC), [{"vendor_id": "8086"}])
        port = bench.root / "sys/bus/pci/devices/0000:41:00.0/net/eth0"
        (port / "master").symlink_to("../../../../../virtual/net/bond0")
        assert self.reason(bench) == "its port eth0 belongs to another interface of the host"

    def test_a_drive_with_nothing_on_it_is_offered(self, make: Make) -> None:
        entries = [{"vendor_id": "1e0f", "keeps_data": "allowed"}]
        assert self.reason(make(self.card(*self.DRIVE), entries)) is None

    @pytest.mark.parametrize(
        ("file", "content", "why"),
        [
            ("mounts", "/dev/nvme0n1p2 / ext4 rw 0 0\n", "nvme0n1p2 is mounted"),
            ("swaps", "Filename Type\n/dev/nvme0n1 partition 1 0 -2\n", "swaps to nvme0n1"),
        ],
    )
    def test_a_drive_that_the_host_uses(
        self, make: Make, file: str, content: str, why: str
    ) -> None:
        bench = make(self.card(*self.DRIVE), [{"vendor_id": "1e0f", "keeps_data": "allowed"}])
        self.proc(bench, file, content)
        assert why in (self.reason(bench) or "")

    @pytest.mark.parametrize("name", ["nvme0n1", "nvme0n1p2"])
    def test_a_drive_that_could_have_several_controllers(self, make: Make, name: str) -> None:
        bench = make(self.two_controllers, [{"vendor_id": "1e0f", "keeps_data": "allowed"}])
        self.proc(bench, "mounts", f"/dev/{name} / ext4 rw 0 0\n")
        assert reasons(bench.driver.discover()) == {
            place: f"{name} is mounted" for place in ("0000:41:00.0", "0000:42:00.0")
        }

    def two_controllers(self, host: FakeHost) -> None:
        """A drive as kernels with multipath show it: its disks are below no function."""
        subsystem = "sys/devices/virtual/nvme-subsystem/nvme-subsys0"
        host.add_class_link("nvme-subsystem", "nvme-subsys0", subsystem)
        for number in range(2):
            card = PciFunction(*self.DRIVE, driver="nvme")
            root = host.add_root_bus(0x41 + number)
            path = host.add_function(f"0000:{0x41 + number:x}:00.0", root, card)
            controller = f"{path}/nvme/nvme{number}"
            host.directory(f"{controller}/nvme0c{number}n1")
            host.link(f"{subsystem}/nvme{number}", controller)
            host.add_class_link("block", f"nvme0c{number}n1", f"{controller}/nvme0c{number}n1")
        host.directory(f"{subsystem}/nvme0n1/nvme0n1p2")
        for name in ("nvme0n1", "nvme0n1/nvme0n1p2"):
            host.add_class_link("block", name.rpartition("/")[2], f"{subsystem}/{name}")

    def test_a_drive_that_something_is_built_on(self, make: Make) -> None:
        bench = make(self.card(*self.DRIVE), [{"vendor_id": "1e0f", "keeps_data": "allowed"}])
        drive = bench.root / "sys/class/block/nvme0n1p2"
        (drive / "holders/dm-0").mkdir(parents=True)
        assert self.reason(bench) == "dm-0 is built on nvme0n1p2"

    def test_a_drive_that_udev_knows_as_a_member(self, make: Make) -> None:
        bench = make(self.card(*self.DRIVE), [{"vendor_id": "1e0f", "keeps_data": "allowed"}])
        data = bench.root / "run/udev/data"
        data.mkdir(parents=True)
        (data / "b259:0").write_text("E:ID_FS_TYPE=zfs_member\n")
        assert self.reason(bench) == "nvme0n1 is a zfs_member"


class TestConditions:
    PLACE = "0000:21:00.0"

    @pytest.fixture
    def bench(self, make: Make) -> Bench:
        def build_host(host: FakeHost) -> None:
            card = PciFunction("1e52:401e", "120000")
            host.add_function(self.PLACE, host.add_root_bus(0x21), card)

        return make(build_host, [{"vendor_id": "1e52"}])

    def condition(self, bench: Bench) -> tuple[DeviceCondition, str | None]:
        found = device(bench.driver.discover(), self.PLACE)
        assert [part.num_accelerators for part in found.deployables] == [1], "it stays offered"
        return found.condition, found.condition_reason

    def test_it_works(self, bench: Bench) -> None:
        assert self.condition(bench) == (DeviceCondition.HEALTHY, None)

    def test_it_has_had_a_fatal_error(self, bench: Bench) -> None:
        happen(bench.root, "aer-fatal", self.PLACE)
        condition, reason = self.condition(bench)
        assert condition is DeviceCondition.FAILED
        assert "fatal error" in (reason or "")

    def test_its_link_is_narrow(self, bench: Bench) -> None:
        happen(bench.root, "link-degraded", self.PLACE)
        assert self.condition(bench) == (
            DeviceCondition.DEGRADED,
            "its link has 4 of 16 lanes",
        )

    def test_its_link_is_down(self, bench: Bench) -> None:
        bench.write(self.PLACE, "current_link_speed", "Unknown\n")
        bench.write(self.PLACE, "current_link_width", "63\n")
        assert self.condition(bench) == (DeviceCondition.FAILED, "its link is down")

    def test_it_idles(self, bench: Bench) -> None:
        for state in ("D3hot", "unknown"):
            bench.write(self.PLACE, "power_state", f"{state}\n")
            assert self.condition(bench)[0] is DeviceCondition.HEALTHY

    def test_its_power_state_is_an_error(self, bench: Bench) -> None:
        bench.write(self.PLACE, "power_state", "error\n")
        assert self.condition(bench)[0] is DeviceCondition.FAILED

    def test_nobody_can_tell(self, bench: Bench) -> None:
        (bench.root / "sys/bus/pci/devices" / self.PLACE / "config").unlink()
        assert self.condition(bench) == (DeviceCondition.UNMONITORED, None)


class TestConfiguration:
    ENTRY = MappingProxyType({"vendor_id": "10de"})

    def card(self, host: FakeHost) -> None:
        host.add_function(
            "0000:31:00.0", host.add_root_bus(0x31), PciFunction("10de:2231", "030200")
        )

    def test_one_card_as_two_things(self, make: Make) -> None:
        entries = [dict(self.ENTRY), {"address": "*:31:00.0", "resource_class": "PGPU"}]
        with pytest.raises(ConfigurationError) as caught:
            make(self.card, entries)
        assert str(caught.value) == (
            "[pci] passthrough_whitelist, entry 2: it allows 0000:31:00.0 with another class or "
            "other traits than entry 1"
        )

    def test_one_card_twice_as_one_thing(self, make: Make) -> None:
        bench = make(self.card, [dict(self.ENTRY), {"address": "*:31:00.0"}])
        assert list(given(bench.driver.discover())) == ["0000:31:00.0"]

    def test_what_is_refused_leaves_the_old_list(self, make: Make) -> None:
        bench = make(self.card, [dict(self.ENTRY)])
        bench.conf.set_override("passthrough_whitelist", ["{"], group="pci")
        with pytest.raises(ConfigurationError):
            bench.driver.configure()
        assert list(given(bench.driver.discover())) == ["0000:31:00.0"]

    def test_an_entry_that_allows_nothing_is_a_warning_once(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench = make(self.card, [dict(self.ENTRY), {"vendor_id": "1002"}])
        for _ in range(2):
            bench.driver.discover()
        assert [record.getMessage() for record in caplog.records] == [
            "[pci] passthrough_whitelist: entry 2 allows no function"
        ]

    def test_keys_of_novas_are_named_in_one_warning(
        self, make: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        make(self.card, [{**self.ENTRY, "managed": "no", "trusted": "true"}])
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert "managed" in record.getMessage() and "trusted" in record.getMessage()

    def test_names_of_an_operator(self, make: Make, tmp_path: Path) -> None:
        names = tmp_path / "names.yaml"
        names.write_text('"10de": {products: {"2231": "RTX A5000"}}\n"1ed5": {name: ACME}\n')
        bench = make(self.card, [dict(self.ENTRY)], product_files=[str(names)])
        found = device(bench.driver.discover(), "0000:31:00.0")
        assert found.model == "RTX A5000"
        assert found.deployables[0].driver_name == "nvidia"

    @pytest.mark.parametrize(
        "content", ["[", "3", '"10DE": {name: X}', '"10de": {name: x y}', "10de: {colour: red}"]
    )
    def test_names_that_are_none(self, make: Make, tmp_path: Path, content: str) -> None:
        names = tmp_path / "names.yaml"
        names.write_text(content)
        with pytest.raises(ConfigurationError, match=r"\[pci\] product_files: .*names.yaml"):
            make(self.card, [dict(self.ENTRY)], product_files=[str(names)])
