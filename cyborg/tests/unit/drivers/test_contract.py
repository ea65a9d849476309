"""What the agent relies on, asked of every driver that setup.cfg names.

A new driver gets an entry in MAKERS that makes it with devices to find, and passes.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from cyborg.agent.scan import Scanner
from cyborg.domain.inventory import Snapshot, snapshot_from_wire
from cyborg.drivers.contract import (
    Bitstream,
    Discovery,
    Driver,
    Handle,
    Programmable,
    Region,
)
from cyborg.drivers.fake.driver import FakeDriver
from cyborg.tests.unit.drivers.helpers import (
    HOST,
    make_conf,
    make_environment,
    our_entry_points,
    shuffled,
)


def make_fake(directory: Path) -> Driver:
    options = {"devices": 3, "handles": 5, "prepare_delay": 1.0}
    default = {"state_path": str(directory)}
    return FakeDriver(make_environment(make_conf(fake_driver=options, DEFAULT=default)))


#: By entry point: makes a driver that keeps what it must in a directory of the test's own.
MAKERS: dict[str, Callable[[Path], Driver]] = {"fake_driver": make_fake}


@pytest.fixture(params=[point.name for point in our_entry_points()])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Driver]:
    return partial(MAKERS[request.param], tmp_path)


@pytest.fixture
def driver(make: Callable[[], Driver]) -> Driver:
    return make()


@pytest.fixture
def handles(driver: Driver) -> list[Handle]:
    return [
        Handle(f"{part.name}-{number}", device.identity, part.name, handle.type, handle.info)
        for device in driver.discover().devices
        for part in device.deployables
        for number, handle in enumerate(part.handles)
        if part.needs_prepare or part.needs_release
    ]


class TestContract:
    def test_finds_its_devices(self, driver: Driver) -> None:
        found = driver.discover()
        assert isinstance(found, Discovery)
        assert found.devices
        assert not found.problems

    def test_is_known_by_its_entry_point(self, driver: Driver) -> None:
        assert driver.name in MAKERS
        assert {device.driver for device in driver.discover().devices} == {driver.name}

    def test_report_is_accepted(self, driver: Driver) -> None:
        wire = Snapshot(driver.discover().devices).to_wire()
        assert snapshot_from_wire(wire).to_wire() == wire

    def test_scan_leaves_nothing_out(self, driver: Driver) -> None:
        snapshot = Scanner([driver]).scan(timeout=30)
        assert snapshot.failed_drivers == ()
        assert len(snapshot.devices) == len(driver.discover().devices)

    def test_digest_is_stable(self, driver: Driver, make: Callable[[], Driver]) -> None:
        devices = driver.discover().devices
        digest = Snapshot(devices).digest()
        assert Snapshot(driver.discover().devices).digest() == digest
        assert Snapshot(make().discover().devices).digest() == digest
        for seed in range(5):
            assert Snapshot(shuffled(devices, seed)).digest() == digest

    def test_work_does_not_change_the_report(self, driver: Driver, handles: list[Handle]) -> None:
        before = Snapshot(driver.discover().devices).digest()
        for handle in handles:
            driver.prepare(handle, {})
        assert Snapshot(driver.discover().devices).digest() == before

    def test_names_begin_with_the_host(self, driver: Driver) -> None:
        parts = [part for device in driver.discover().devices for part in device.deployables]
        assert all(part.name.startswith(HOST) for part in parts)

    def test_handles_are_unique_on_the_host(self, driver: Driver) -> None:
        keys = [
            handle.key
            for device in driver.discover().devices
            for part in device.deployables
            for handle in part.handles
        ]
        assert len(keys) == len(set(keys))

    def test_as_many_handles_as_accelerators(self, driver: Driver) -> None:
        for device in driver.discover().devices:
            for part in device.deployables:
                assert len(part.handles) == part.num_accelerators

    def test_prepare_and_release_again(self, driver: Driver, handles: list[Handle]) -> None:
        for handle in handles:
            for _ in range(2):
                driver.prepare(handle, {"resources:FPGA": "1"})
                driver.prepare(handle, {"resources:FPGA": "1"})
                driver.release(handle)
                driver.release(handle)

    def test_release_first(self, driver: Driver, handles: list[Handle]) -> None:
        for handle in handles:
            driver.release(handle)

    def test_release_of_another_object(
        self, driver: Driver, handles: list[Handle], make: Callable[[], Driver]
    ) -> None:
        """An agent that was restarted in between."""
        for handle in handles:
            driver.prepare(handle, {})
        again = make()
        for handle in handles:
            again.release(handle)


class TestProgrammable:
    """Of a driver with deployables that can be programmed."""

    @pytest.fixture
    def regions(self, driver: Driver) -> list[Region]:
        return [
            Region(device.identity, part.name, device.control_path)
            for device in driver.discover().devices
            for part in device.deployables
            if part.programmable
        ]

    @pytest.fixture
    def bitstream(self, tmp_path: Path) -> Bitstream:
        path = tmp_path / "bitstream"
        path.write_bytes(b"bitstream")
        return Bitstream("0" * 8 + "-0000-0000-0000-" + "0" * 12, path, {})

    def test_who_reports_it_can_do_it(self, driver: Driver, regions: list[Region]) -> None:
        assert isinstance(driver, Programmable) or not regions

    def test_program_again_and_by_another_object(
        self,
        driver: Driver,
        make: Callable[[], Driver],
        regions: list[Region],
        bitstream: Bitstream,
    ) -> None:
        for each in (driver, driver, make()):
            for region in regions:
                assert isinstance(each, Programmable)
                each.check(region, bitstream)
                each.program(region, bitstream)
        for device in driver.discover().devices:
            for part in device.deployables:
                # None where the hardware does not tell.
                assert part.bitstream_id in (None, bitstream.image_uuid)

    def test_a_check_changes_nothing(
        self, driver: Driver, regions: list[Region], bitstream: Bitstream
    ) -> None:
        before = Snapshot(driver.discover().devices).digest()
        for region in regions:
            assert isinstance(driver, Programmable)
            driver.check(region, bitstream)
        assert Snapshot(driver.discover().devices).digest() == before


def test_every_driver_is_here() -> None:
    assert set(MAKERS) == {point.name for point in our_entry_points()}
