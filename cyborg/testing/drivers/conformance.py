"""What every driver promises, a test each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest
from oslo_config import cfg

from cyborg.agent.scan import Scanner
from cyborg.conf import opts
from cyborg.drivers.contract import (
    DeployableReport,
    DeviceAway,
    DeviceCondition,
    DeviceReport,
    Discovery,
    Driver,
    DriverEnvironment,
    DriverError,
    Handle,
    JointDriver,
    NotNow,
    Programmable,
    StepwiseDriver,
    Wanted,
)
from cyborg.drivers.loader import find_drivers
from cyborg.testing.drivers.environment import HOST_NAME, make_conf, make_environment
from cyborg.testing.drivers.observing import (
    Work,
    as_recorded,
    digest_of,
    files,
    keys_of,
    one_line,
    succeeds_or_says_why,
)


class DriverConformance:
    """What every driver promises."""

    driver_class: ClassVar[type[Driver]]
    #: Some of its devices can be programmed.
    programs: ClassVar[bool] = False

    def populate(self, directory: Path) -> None:
        """Make the hardware that the driver finds. It may be anywhere below the directory."""

    def options(self, directory: Path) -> Mapping[str, Mapping[str, object]]:
        """Return values of options, by section."""
        return {}

    def make(self, directory: Path) -> Driver:
        """Return a new object of the driver, on the host that is in this directory."""
        conf = make_conf(self.driver_class, **self.options(directory))
        driver = self.driver_class(self.environment(conf, directory))
        driver.configure()
        return driver

    def environment(self, conf: cfg.ConfigOpts, directory: Path) -> DriverEnvironment:
        """Return what the driver is made with; for one that reads a host, a :class:`Machine`'s.

        What is written down below the directory is there again at the next call.
        """
        return make_environment(conf, directory)

    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        """A host with its hardware."""
        self.populate(tmp_path)
        return tmp_path

    @pytest.fixture
    def driver(self, directory: Path) -> Driver:
        """The driver, on that host."""
        return self.make(directory)

    @pytest.fixture
    def parts(self, driver: Driver) -> list[DeployableReport]:
        """Every deployable that it finds."""
        return [part for device in driver.discover().devices for part in device.deployables]

    @pytest.fixture
    def works(self, driver: Driver) -> list[Work]:
        """Every handle that it is called for."""
        return [
            Work(Handle(f"{part.name}-{n}", device.identity, part.name, each.type, each.info), part)
            for device in driver.discover().devices
            for part in device.deployables
            for n, each in enumerate(part.handles)
            if part.needs_prepare or part.needs_release
        ]

    def test_the_agent_finds_it_by_its_name(self) -> None:
        assert find_drivers([self.driver_class.name]) == (self.driver_class,)

    def test_its_options_are_in_sections_of_its_own(self) -> None:
        ours = {"DEFAULT", *(group.name for group, _ in opts.list_opts() if group)}
        assert not ours & {group.name for group, _ in self.driver_class.OPTIONS}

    def test_it_is_made_where_there_is_no_hardware(self, tmp_path: Path) -> None:
        driver = self.make(tmp_path)
        assert succeeds_or_says_why(driver.discover)

    def test_it_finds_devices(self, driver: Driver) -> None:
        found = driver.discover()
        assert isinstance(found, Discovery)
        assert found.devices
        assert not found.problems

    def test_devices_name_the_driver(self, driver: Driver) -> None:
        assert {device.driver for device in driver.discover().devices} == {driver.name}

    def test_the_agent_leaves_no_device_out(self, driver: Driver) -> None:
        snapshot = Scanner([driver]).scan(timeout=30)
        assert (snapshot.failed_drivers, snapshot.unseen) == ((), ())
        assert offers(snapshot.devices) == offers(driver.discover().devices)

    def test_discover_changes_nothing(self, driver: Driver, directory: Path) -> None:
        """But what it has to remember, which the first look writes down and no other."""
        remembered = driver.environment.host.state_directory

        def hardware() -> dict[str, bytes]:
            found = {directory / name: content for name, content in files(directory).items()}
            return {
                str(path): content
                for path, content in found.items()
                if remembered not in (path, path.parent)
            }

        before = hardware()
        driver.discover()
        assert hardware() == before
        everything = files(directory)
        driver.discover()
        assert files(directory) == everything

    def test_the_same_hardware_gives_the_same_report(self, driver: Driver, directory: Path) -> None:
        digest = digest_of(driver)
        assert digest_of(driver) == digest
        assert digest_of(self.make(directory)) == digest

    def test_names_begin_with_the_host(self, parts: list[DeployableReport]) -> None:
        assert [part.name for part in parts if not part.name.startswith(HOST_NAME)] == []

    def test_handles_are_unique_on_the_host(self, driver: Driver) -> None:
        keys = Counter(keys_of(driver))
        assert [key for key, count in keys.items() if count > 1] == []

    def test_as_many_handles_as_accelerators(self, parts: list[DeployableReport]) -> None:
        counts = {part.name: len(part.handles) for part in parts}
        assert counts == {part.name: part.num_accelerators for part in parts}

    def test_handles_say_what_nova_reads(self, driver: Driver) -> None:
        """And all else is of a form in which it can be recorded."""
        for device in driver.discover().devices:
            assert as_recorded(device).identity == device.identity

    def test_shares_are_of_what_there_is(self, parts: list[DeployableReport]) -> None:
        for part in parts:
            for handle in part.handles:
                counters = Counter(share.counter for share in handle.shares)
                assert [name for name, count in counters.items() if count > 1] == []
                for share in handle.shares:
                    assert 1 <= share.amount <= share.capacity

    def test_conditions_and_their_reasons_stay(self, driver: Driver) -> None:
        found = conditions_of(driver)
        assert conditions_of(driver) == found
        for condition, reason in found.values():
            if condition in (DeviceCondition.DEGRADED, DeviceCondition.FAILED):
                assert reason
                assert len(reason.splitlines()) == 1

    def test_what_is_prepared_is_released(self, parts: list[DeployableReport]) -> None:
        assert [part.name for part in parts if part.needs_prepare and not part.needs_release] == []

    def test_handles_in_use_stay_in_the_report(self, driver: Driver, works: list[Work]) -> None:
        before = digest_of(driver)
        for work in works:
            work.prepare(driver)
        assert digest_of(driver) == before

    def test_prepare_may_come_again(
        self, driver: Driver, works: list[Work], directory: Path
    ) -> None:
        for work in works:
            work.prepare(driver)
            work.prepare(driver)
            # An agent that was restarted in between.
            work.prepare(self.make(directory))

    def test_release_may_come_again(
        self, driver: Driver, works: list[Work], directory: Path
    ) -> None:
        for work in works:
            work.prepare(driver)
            work.release(driver)
            work.release(driver)
            work.release(self.make(directory))

    def test_release_may_come_first(self, driver: Driver, works: list[Work]) -> None:
        for work in works:
            work.release(driver)

    def test_what_is_released_is_prepared_again(self, driver: Driver, works: list[Work]) -> None:
        for work in works:
            for _ in range(2):
                work.prepare(driver)
                work.release(driver)

    def test_another_object_releases(
        self, driver: Driver, works: list[Work], directory: Path
    ) -> None:
        for work in works:
            work.prepare(driver)
        again = self.make(directory)
        for work in works:
            work.release(again)

    def test_what_is_released_together_may_have_to_wait(
        self, driver: Driver, works: list[Work]
    ) -> None:
        """As long as somebody has another part; and no longer."""
        if not isinstance(driver, JointDriver):
            return
        queues: dict[str, list[Handle]] = {}
        for work in works:
            queues.setdefault(driver.queue_of(work.handle.device), []).append(work.handle)
        for handles in queues.values():
            driver.prepare_together([Wanted(handle, {}) for handle in handles], ())
            with suppress(NotNow):
                driver.release_together(handles[:1], handles[1:])
            driver.release_together(handles, ())

    def test_steps_have_names_and_clean(self, driver: Driver, works: list[Work]) -> None:
        """One after the other, each once more as after a restart in the middle."""
        if not isinstance(driver, StepwiseDriver):
            return
        for work in works:
            steps = driver.clean_steps(work.handle)
            names = [step.name for step in steps]
            assert names, "nothing cleans it"
            assert len(set(names)) == len(names)
            assert [name for name in names if not re.fullmatch("[a-z][a-z0-9_]{0,63}", name)] == []
            work.prepare(driver)
            for name in names:
                for _ in range(2):
                    driver.clean(work.handle, name, percents)

    def test_release_of_what_is_gone(self, driver: Driver, works: list[Work]) -> None:
        """It is neither done nor failed: nobody knows what the device holds."""
        for work in works:
            if work.part.needs_release:
                with pytest.raises(DeviceAway) as caught:
                    work.gone().release(driver)
                assert one_line(caught.value)

    def test_prepare_of_what_is_gone(self, driver: Driver, works: list[Work]) -> None:
        for work in works:
            if work.part.needs_prepare:
                with pytest.raises(DriverError) as caught:
                    work.gone().prepare(driver)
                assert one_line(caught.value)

    def test_devices_are_worked_on_at_the_same_time(
        self, driver: Driver, works: list[Work]
    ) -> None:
        def work_on(device: str) -> None:
            for work in works:
                if work.handle.device == device:
                    work.prepare(driver)
                    work.release(driver)

        devices = {work.handle.device for work in works}
        with ThreadPoolExecutor(max_workers=max(1, len(devices))) as pool:
            done = [pool.submit(work_on, device) for device in devices]
            while not all(future.done() for future in done):
                driver.discover()
            for future in done:
                future.result(timeout=60)

    def test_what_can_be_programmed_is_tested_for_it(
        self, driver: Driver, parts: list[DeployableReport]
    ) -> None:
        """If this fails, derive the test from ProgrammableConformance, or do not."""
        assert any(part.programmable for part in parts) == self.programs
        assert isinstance(driver, Programmable) or not self.programs


class UnreadableDeviceConformance(DriverConformance):
    """What a driver promises of a host where one device cannot be read."""

    def spoil(self, directory: Path) -> None:
        """Make one device unreadable, of the two or more that ``populate`` has made."""
        raise NotImplementedError

    def test_a_bad_device_does_not_hide_the_good(self, driver: Driver, directory: Path) -> None:
        before = driver.discover().devices
        self.spoil(directory)
        found = driver.discover()
        assert len(found.devices) == len(before) - 1
        assert set(map(repr, found.devices)) < set(map(repr, before))
        assert [problem for problem in found.problems if problem.where and problem.what]

    def test_the_problem_names_the_bad_device(self, driver: Driver, directory: Path) -> None:
        """Else every device that is gone stays, as long as this one cannot be read."""
        before = {device.identity for device in driver.discover().devices}
        self.spoil(directory)
        found = driver.discover()
        hidden = before - {device.identity for device in found.devices}
        assert {problem.device for problem in found.problems} == hidden


def percents(percent: float) -> None:
    """Take how far a step is."""
    assert 0 <= percent <= 100


def offers(devices: Iterable[DeviceReport]) -> dict[tuple[str, str], int]:
    """Return how many handles there are, by device and deployable."""
    return {
        (device.identity, part.name): len(part.handles)
        for device in devices
        for part in device.deployables
    }


def conditions_of(driver: Driver) -> dict[str, tuple[DeviceCondition, str | None]]:
    """Return how devices are, by identity."""
    devices = driver.discover().devices
    return {device.identity: (device.condition, device.condition_reason) for device in devices}
