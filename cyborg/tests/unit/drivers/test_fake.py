import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from oslo_config import cfg

from cyborg.domain.hardware import Share, sharing_of
from cyborg.domain.inventory import DeployableReport, DeviceReport, Snapshot
from cyborg.domain.report_check import sound_device
from cyborg.drivers.contract import (
    Bitstream,
    ConfigurationError,
    DeviceAway,
    DeviceCondition,
    Driver,
    DriverError,
    Problem,
    Region,
)
from cyborg.drivers.fake.driver import FakeDriver
from cyborg.testing.drivers import (
    HostConformance,
    ProgrammableConformance,
    UnreadableDeviceConformance,
)
from cyborg.testing.hosts import Manifest
from cyborg.tests.unit.drivers.helpers import HOST, make_conf, make_environment, make_handle

IMAGE, OTHER_IMAGE = str(UUID(int=1)), str(UUID(int=2))
REGION = Region("fake-0", f"{HOST}_FakeDevice", {"bus": "0c"})


class TestFakeDriver(ProgrammableConformance):
    driver_class = FakeDriver

    def options(self, directory: Path) -> Mapping[str, Mapping[str, object]]:
        return {"fake_driver": {"devices": 3, "handles": 5, "prepare_delay": 1.0}}


class TestFakeDriverWithAllThatCanBe(ProgrammableConformance, UnreadableDeviceConformance):
    driver_class = FakeDriver

    def options(self, directory: Path) -> Mapping[str, Mapping[str, object]]:
        return {
            "fake_driver": {
                "devices": 4,
                "handles": 3,
                "release_delay": 1.0,
                "whole": True,
                "conditions": {"fake-0": "failed", "fake-1-b": "degraded"},
                "replaced": [1],
                "away": [3],
            }
        }

    def make(self, directory: Path) -> Driver:
        self.made = super().make(directory)
        return self.made

    def spoil(self, directory: Path) -> None:
        self.made.environment.conf.set_override("unreadable", [2], "fake_driver")


class TestFakeDriverOnAHost(HostConformance):
    """It finds nothing there and looks at nothing; its devices live through the same."""

    driver_class = FakeDriver
    hosts = ("empty-host",)

    def options(self, manifest: Manifest) -> Mapping[str, Mapping[str, object]]:
        return {"fake_driver": {"devices": 2, "handles": 3, "whole": True}}


@pytest.fixture
def conf(tmp_path: Path) -> cfg.ConfigOpts:
    return make_conf(DEFAULT={"state_path": str(tmp_path)})


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def driver(conf: cfg.ConfigOpts, slept: list[float]) -> FakeDriver:
    return FakeDriver(make_environment(conf, slept))


def addresses(device: DeviceReport) -> list[tuple[str, str, str, str]]:
    infos = [dict(handle.info) for handle in device.deployables[0].handles]
    return [(i["domain"], i["bus"], i["device"], i["function"]) for i in infos]


def test_default_device(driver: FakeDriver) -> None:
    (device,) = driver.discover().devices
    assert (device.driver, device.vendor, device.type) == ("fake_driver", "0xABCD", "FPGA")
    (part,) = device.deployables
    assert part.name == f"{HOST}_FakeDevice"
    assert part.driver_name == "fake"
    assert part.num_accelerators == 16
    assert part.attributes() == (("trait1", "CUSTOM_FAKE_DEVICE"), ("rc", "FPGA"))
    assert not part.needs_prepare
    assert not part.needs_release
    assert {handle.type for handle in part.handles} == {"TEST_PCI"}


def test_default_addresses_are_those_that_clients_know(driver: FakeDriver) -> None:
    (device,) = driver.discover().devices
    expected = [("0000", "0c", str(fn // 8), str(fn % 8)) for fn in range(1, 17)]
    assert addresses(device) == expected
    assert dict(device.control_path)["function"] == "0"


@pytest.mark.parametrize(
    ("devices", "handles"), [(256, 16), (3, 255), (3, 256), (2, 4096), (40, 2048), (0, 1), (1, 0)]
)
def test_no_two_addresses_are_the_same(
    conf: cfg.ConfigOpts, driver: FakeDriver, devices: int, handles: int
) -> None:
    conf.set_override("devices", devices, "fake_driver")
    conf.set_override("handles", handles, "fake_driver")
    found = driver.discover().devices
    assert len(found) == devices
    every = [address for device in found for address in addresses(device)]
    every += [tuple(dict(device.control_path).values()) for device in found]  # type: ignore[misc]  # four of them
    assert len(set(every)) == len(every) == devices * (handles + 1)
    for domain, bus, slot, function in every:
        assert (len(domain), len(bus)) == (4, 2)
        assert int(bus, 16) < 256
        assert int(slot, 16) < 32
        assert int(function, 16) < 8


def test_slots_are_hexadecimal(conf: cfg.ConfigOpts, driver: FakeDriver) -> None:
    conf.set_override("handles", 256, "fake_driver")
    found = addresses(driver.discover().devices[0])
    assert found[79] == ("0000", "0c", "a", "0")
    assert found[254:] == [("0000", "0c", "1f", "7"), ("0000", "0d", "0", "0")]


def test_domains_roll_over(conf: cfg.ConfigOpts, driver: FakeDriver) -> None:
    conf.set_override("devices", 256, "fake_driver")
    found = driver.discover().devices
    assert addresses(found[243])[0] == ("0000", "ff", "0", "1")
    assert addresses(found[244])[0] == ("0001", "00", "0", "1")


def test_names(conf: cfg.ConfigOpts) -> None:
    conf.set_override("devices", 3, "fake_driver")
    driver = FakeDriver(make_environment(conf, host="odd höst/1"))
    names = [device.deployables[0].name for device in driver.discover().devices]
    assert names == [
        "odd_h_st_1_FakeDevice",
        "odd_h_st_1_FakeDevice_1",
        "odd_h_st_1_FakeDevice_2",
    ]


@pytest.mark.parametrize(
    ("option", "value", "needs"),
    [
        ("prepare_delay", 0.1, (True, True)),
        ("prepare_failures", 1, (True, True)),
        ("prepare_failures", -1, (True, True)),
        ("release_delay", 0.1, (False, True)),
        ("release_failures", 1, (False, True)),
        ("release_failures", -1, (False, True)),
        ("prepare_hangs", [1], (True, True)),
        ("release_hangs", [0], (False, True)),
        ("program_hangs", [0], (False, False)),
    ],
)
def test_needs(
    conf: cfg.ConfigOpts,
    driver: FakeDriver,
    option: str,
    value: float | list[int],
    needs: tuple[bool, bool],
) -> None:
    conf.set_override(option, value, "fake_driver")
    (part,) = driver.discover().devices[0].deployables
    assert (part.needs_prepare, part.needs_release) == needs


def test_delays_are_slept_and_can_change(
    conf: cfg.ConfigOpts, driver: FakeDriver, slept: list[float]
) -> None:
    driver.prepare(make_handle(), {})
    assert slept == []
    conf.set_override("prepare_delay", 2.5, "fake_driver")
    conf.set_override("release_delay", 3.5, "fake_driver")
    driver.prepare(make_handle(), {})
    assert slept == []  # it was ready
    driver.release(make_handle())
    driver.prepare(make_handle(), {})
    assert slept == [0.875] * 4 + [2.5]


def test_clean_steps_tell_how_far_they_are(
    conf: cfg.ConfigOpts, driver: FakeDriver, slept: list[float]
) -> None:
    conf.set_override("clean_steps", ["release", "test"], "fake_driver")
    conf.set_override("test_delay", 1.5, "fake_driver")
    conf.set_override("test_failures", 1, "fake_driver")
    driver.configure()
    assert [step.name for step in driver.clean_steps(make_handle())] == ["release", "test"]
    told: list[float] = []
    with pytest.raises(DriverError, match="test_failures is set: failure 1"):
        driver.clean(make_handle(), "test", told.append)
    driver.clean(make_handle(), "test", told.append)
    assert told == [0, 50, 0, 50]
    assert slept == [0.75] * 4


def test_clean_steps_that_do_not_go_together_keep_the_old(
    conf: cfg.ConfigOpts, driver: FakeDriver
) -> None:
    before = driver.clean_steps(make_handle())
    assert [step.name for step in before] == ["release"]
    conf.set_override("clean_steps", ["test", "release"], "fake_driver")
    with pytest.raises(ConfigurationError, match="test must come after release"):
        driver.configure()
    assert driver.clean_steps(make_handle()) == before


@pytest.mark.parametrize("action", ["prepare", "release", "program"])
def test_a_call_hangs_until_its_device_is_not_named_any_more(
    conf: cfg.ConfigOpts, tmp_path: Path, action: str
) -> None:
    """The sleeps stand for the time that passes: the third ends it."""
    conf.set_override("devices", 2, "fake_driver")
    conf.set_override(f"{action}_hangs", [1], "fake_driver")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            conf.set_override(f"{action}_hangs", [], "fake_driver")

    environment = dataclasses.replace(make_environment(conf), sleep=sleep)
    driver = FakeDriver(environment)
    (tmp_path / IMAGE).write_bytes(b"bitstream")
    image = Bitstream(IMAGE, tmp_path / IMAGE, {})
    for number in (0, 1):
        handle = make_handle(device=f"fake-{number}")
        calls: dict[str, Callable[[], None]] = {
            "prepare": partial(driver.prepare, handle, {}),
            "release": partial(driver.release, handle),
            "program": partial(driver.program, Region(handle.device, "part", {}), image),
        }
        calls[action]()
        assert len(slept) == 3 * number, "the other device hangs, or this one does not"


def test_first_calls_fail_for_each_handle(conf: cfg.ConfigOpts, driver: FakeDriver) -> None:
    conf.set_override("prepare_failures", 2, "fake_driver")
    for uuid in ("handle-1", "handle-2"):
        for _ in range(2):
            with pytest.raises(DriverError, match="prepare_failures"):
                driver.prepare(make_handle(uuid), {})
        driver.prepare(make_handle(uuid), {})


def test_releases_fail_on_their_own(conf: cfg.ConfigOpts, driver: FakeDriver) -> None:
    conf.set_override("release_failures", 1, "fake_driver")
    driver.prepare(make_handle(), {})
    with pytest.raises(DriverError, match="release_failures"):
        driver.release(make_handle())
    driver.release(make_handle())


def test_a_failed_release_leaves_it_prepared(
    conf: cfg.ConfigOpts, driver: FakeDriver, slept: list[float]
) -> None:
    driver.prepare(make_handle(), {})
    conf.set_override("release_failures", -1, "fake_driver")
    conf.set_override("prepare_delay", 1.0, "fake_driver")
    with pytest.raises(DriverError):
        driver.release(make_handle())
    driver.prepare(make_handle(), {})
    assert slept == []


@pytest.mark.parametrize("action", ["prepare", "release"])
def test_always_fails(conf: cfg.ConfigOpts, driver: FakeDriver, action: str) -> None:
    conf.set_override(f"{action}_failures", -1, "fake_driver")
    for _ in range(5):
        with pytest.raises(DriverError):
            if action == "prepare":
                driver.prepare(make_handle(), {})
            else:
                driver.release(make_handle())


def test_discovery_fails(conf: cfg.ConfigOpts, driver: FakeDriver) -> None:
    conf.set_override("discovery_fails", True, "fake_driver")
    with pytest.raises(DriverError):
        driver.discover()
    conf.clear_override("discovery_fails", "fake_driver")
    assert driver.discover().devices


class TestCards:
    """Which cards there are, and how they are."""

    @pytest.fixture(autouse=True)
    def three(self, conf: cfg.ConfigOpts) -> None:
        conf.set_override("devices", 3, "fake_driver")
        conf.set_override("handles", 4, "fake_driver")

    def identities(self, driver: FakeDriver) -> list[str]:
        return [device.identity for device in driver.discover().devices]

    def test_they_are_healthy_and_empty(self, driver: FakeDriver) -> None:
        for device in driver.discover().devices:
            assert (device.condition, device.condition_reason) == (DeviceCondition.HEALTHY, None)
            assert device.deployables[0].is_empty

    def test_conditions(self, conf: cfg.ConfigOpts, driver: FakeDriver) -> None:
        conf.set_override("conditions", "fake-0:failed, fake-2:degraded", "fake_driver")
        found = [
            (str(device.condition), device.condition_reason) for device in driver.discover().devices
        ]
        why = "[fake_driver] conditions says so"
        assert found == [("failed", why), ("healthy", None), ("degraded", why)]
        conf.set_override("conditions", {"fake-0": "unmonitored"}, "fake_driver")
        device = driver.discover().devices[0]
        assert (str(device.condition), device.condition_reason) == ("unmonitored", None)

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("conditions", "fake-0:broken"),
            ("conditions", "failed"),
            ("away", "-1"),
            ("away", "256"),
            ("unreadable", "fake-1"),
            ("replaced", "1.5"),
        ],
    )
    def test_what_cannot_be_is_refused(self, conf: cfg.ConfigOpts, option: str, value: str) -> None:
        with pytest.raises(ValueError, match=r"\w"):
            conf.set_override(option, value, "fake_driver")

    def test_away(self, conf: cfg.ConfigOpts, driver: FakeDriver, slept: list[float]) -> None:
        handle = make_handle(device="fake-1")
        driver.prepare(handle, {})
        conf.set_override("away", [1], "fake_driver")
        conf.set_override("release_delay", 1.0, "fake_driver")
        conf.set_override("prepare_failures", -1, "fake_driver")
        assert self.identities(driver) == ["fake-0", "fake-2"]
        assert driver.discover().problems == ()
        image = Bitstream(IMAGE, Path("/nowhere"), {})
        calls: list[Callable[[], None]] = [
            lambda: driver.release(handle),
            lambda: driver.prepare(handle, {}),
            lambda: driver.program(Region("fake-1", "x", {}), image),
        ]
        for call in calls:
            with pytest.raises(DeviceAway, match=r"^fake-1 is not in this machine$"):
                call()
        assert slept == []
        conf.clear_override("away", "fake_driver")
        driver.release(handle)
        assert self.identities(driver) == ["fake-0", "fake-1", "fake-2"]

    @pytest.mark.parametrize("identity", ["fake-3", "fake-0-b", "fake-00", "card-1", ""])
    def test_nobody_knows_them(self, driver: FakeDriver, identity: str) -> None:
        with pytest.raises(DeviceAway):
            driver.release(make_handle(device=identity))

    def test_unreadable(self, conf: cfg.ConfigOpts, driver: FakeDriver) -> None:
        conf.set_override("unreadable", [1], "fake_driver")
        assert self.identities(driver) == ["fake-0", "fake-2"]
        [problem] = driver.discover().problems
        where = "0000:0d:00.0"
        assert problem == Problem(where, "[fake_driver] unreadable names it", "fake-1")
        driver.release(make_handle(device="fake-1"))
        conf.set_override("away", [1], "fake_driver")
        assert driver.discover().problems == ()

    def test_replaced(self, conf: cfg.ConfigOpts, driver: FakeDriver, slept: list[float]) -> None:
        """Another card at the same address, under the same names."""
        old = driver.discover().devices[1]
        handle = make_handle(device="fake-1")
        driver.prepare(handle, {})
        conf.set_override("replaced", [1], "fake_driver")
        new = driver.discover().devices[1]
        assert new.identity == "fake-1-b"
        assert new.vendor_board_info == {"serial": "fake-1-b"}
        assert (new.deployables, new.control_path) == (old.deployables, old.control_path)
        with pytest.raises(DeviceAway):
            driver.release(handle)
        # What was prepared on the other is not ready on this one.
        conf.set_override("prepare_delay", 2.0, "fake_driver")
        driver.prepare(make_handle(device="fake-1-b"), {})
        assert slept == [2.0]

    def test_what_a_card_holds_goes_with_it(
        self, conf: cfg.ConfigOpts, driver: FakeDriver, tmp_path: Path
    ) -> None:
        path = tmp_path / "image"
        path.write_bytes(b"bitstream")
        driver.program(REGION, Bitstream(IMAGE, path, {}))
        conf.set_override("replaced", [0], "fake_driver")
        assert self.content(driver) == (None, True)
        region = Region("fake-0-b", REGION.deployable, REGION.control_path)
        driver.program(region, Bitstream(OTHER_IMAGE, path, {}))
        assert self.content(driver) == (OTHER_IMAGE, False)
        conf.clear_override("replaced", "fake_driver")
        assert self.content(driver) == (IMAGE, False)

    def content(self, driver: FakeDriver) -> tuple[str | None, bool]:
        part = driver.discover().devices[0].deployables[0]
        return part.bitstream_id, part.is_empty


class TestWhole:
    """A card that is offered whole, and in parts."""

    @pytest.fixture(autouse=True)
    def whole(self, conf: cfg.ConfigOpts) -> None:
        conf.set_override("whole", True, "fake_driver")
        conf.set_override("handles", 4, "fake_driver")

    def parts(self, driver: FakeDriver) -> tuple[DeployableReport, ...]:
        [device] = driver.discover().devices
        return sound_device(Snapshot((device,)).to_wire()["devices"][0]).deployables

    def test_it_is_offered_both_ways(self, driver: FakeDriver) -> None:
        parts, whole = self.parts(driver)
        assert whole.name == f"{parts.name}_Whole" == f"{HOST}_FakeDevice_Whole"
        assert (whole.resource_class, whole.num_accelerators) == ("FPGA", 1)
        assert whole.traits == ("CUSTOM_FAKE_DEVICE", "CUSTOM_FAKE_WHOLE")
        [handle] = whole.handles
        assert handle.key == "test/0000:0c:00.0"
        assert dict(handle.info) == {"domain": "0000", "bus": "0c", "device": "0", "function": "0"}
        assert not whole.programmable
        assert (parts.num_accelerators, len(parts.handles)) == (4, 4)

    def test_what_is_given_whole_is_not_given_in_parts(self, driver: FakeDriver) -> None:
        parts, whole = self.parts(driver)
        counter = whole.handles[0].key
        for handle in parts.handles:
            assert Share(counter, 1, 4) in handle.shares
        sharing = sharing_of((*parts.handles, *whole.handles))
        assert dict(sharing.capacities) == {counter: 4}
        assert sharing.amounts[counter] == {counter: 4}
        assert [sharing.amounts[handle.key] for handle in parts.handles] == [{counter: 1}] * 4

    def test_without_it_nothing_is_contended_for(
        self, conf: cfg.ConfigOpts, driver: FakeDriver
    ) -> None:
        conf.set_override("whole", False, "fake_driver")
        [parts] = self.parts(driver)
        assert sharing_of(parts.handles).capacities == {}

    def test_addresses_stay(self, conf: cfg.ConfigOpts, driver: FakeDriver) -> None:
        both = driver.discover().devices[0]
        conf.set_override("whole", False, "fake_driver")
        assert addresses(driver.discover().devices[0]) == addresses(both)

    def test_a_card_without_parts(self, conf: cfg.ConfigOpts, driver: FakeDriver) -> None:
        conf.set_override("handles", 0, "fake_driver")
        parts, whole = self.parts(driver)
        assert (parts.handles, len(whole.handles)) == ((), 1)

    @pytest.mark.parametrize(
        ("option", "needs"), [("prepare_delay", (True, True)), ("release_delay", (False, True))]
    )
    def test_needs(
        self, conf: cfg.ConfigOpts, driver: FakeDriver, option: str, needs: tuple[bool, bool]
    ) -> None:
        conf.set_override(option, 1.0, "fake_driver")
        assert [(p.needs_prepare, p.needs_release) for p in self.parts(driver)] == [needs] * 2


class TestProgramming:
    @pytest.fixture
    def bitstream(self, tmp_path: Path) -> Bitstream:
        path = tmp_path / "image"
        path.write_bytes(b"bitstream")
        return Bitstream(IMAGE, path, {})

    def held(self, driver: FakeDriver) -> list[str | None]:
        return [device.deployables[0].bitstream_id for device in driver.discover().devices]

    def test_it_holds_what_it_was_programmed_with_also_after_a_restart(
        self, conf: cfg.ConfigOpts, driver: FakeDriver, slept: list[float], bitstream: Bitstream
    ) -> None:
        conf.set_override("devices", 2, "fake_driver")
        conf.set_override("program_delay", 4.0, "fake_driver")
        assert self.held(driver) == [None, None]
        driver.program(REGION, bitstream)
        assert self.held(driver) == [IMAGE, None]
        again = FakeDriver(make_environment(conf, slept))
        assert self.held(again) == [IMAGE, None]
        again.program(REGION, bitstream)
        assert slept == [4.0]
        bitstream.path.write_bytes(b"other")
        again.program(REGION, Bitstream(OTHER_IMAGE, bitstream.path, {}))
        assert self.held(driver) == [OTHER_IMAGE, None]
        assert slept == [4.0, 4.0]

    def test_half_way_it_holds_nothing(
        self, conf: cfg.ConfigOpts, driver: FakeDriver, bitstream: Bitstream
    ) -> None:
        driver.program(REGION, bitstream)
        conf.set_override("program_failures", 2, "fake_driver")
        other = Bitstream(OTHER_IMAGE, bitstream.path, {})
        with pytest.raises(DriverError, match="program_failures"):
            driver.program(REGION, other)
        assert self.held(driver) == [None]
        driver.program(REGION, other)
        assert self.held(driver) == [OTHER_IMAGE]

    def test_it_fails_for_ever(
        self, conf: cfg.ConfigOpts, driver: FakeDriver, bitstream: Bitstream
    ) -> None:
        conf.set_override("program_failures", -1, "fake_driver")
        for _ in range(3):
            with pytest.raises(DriverError):
                driver.program(REGION, bitstream)

    def test_what_is_for_others_is_refused(self, driver: FakeDriver, bitstream: Bitstream) -> None:
        driver.check(REGION, Bitstream(IMAGE, bitstream.path, {"vendor": "0xABCD"}))
        with pytest.raises(DriverError, match="vendor 0x8086"):
            driver.check(REGION, Bitstream(IMAGE, bitstream.path, {"vendor": "0x8086"}))
        bitstream.path.unlink()
        with pytest.raises(DriverError, match="cannot be read"):
            driver.check(REGION, bitstream)

    def test_it_may_be_that_it_cannot_be_programmed(
        self, conf: cfg.ConfigOpts, driver: FakeDriver
    ) -> None:
        assert driver.discover().devices[0].deployables[0].programmable
        conf.set_override("programmable", False, "fake_driver")
        assert not driver.discover().devices[0].deployables[0].programmable

    def test_a_file_of_nonsense_is_no_content(
        self, driver: FakeDriver, tmp_path: Path, bitstream: Bitstream
    ) -> None:
        file = tmp_path / "agent" / "fake_driver.json"
        file.parent.mkdir()
        for content in (b"", b"{", b"[]", b"null", b'{"a": 5}', b'{"a": {"b": 1}}', b"\xff"):
            file.write_bytes(content)
            assert self.held(driver) == [None]
        driver.program(REGION, bitstream)
        assert self.held(driver) == [IMAGE]

    def test_a_disk_that_takes_nothing(
        self, driver: FakeDriver, tmp_path: Path, bitstream: Bitstream
    ) -> None:
        (tmp_path / "agent").write_text("a file")
        with pytest.raises(DriverError, match="cannot write"):
            driver.program(REGION, bitstream)
