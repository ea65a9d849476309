"""What a driver promises on whole hosts that were built, a test each."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest
from oslo_config import cfg

from cyborg.domain.inventory import Snapshot
from cyborg.drivers.contract import (
    DeviceAway,
    DeviceCondition,
    Driver,
    DriverError,
    Handle,
    Possession,
)
from cyborg.drivers.host import Files, Verbs
from cyborg.drivers.host.pci import address_of
from cyborg.testing.drivers.breakage import Breakage
from cyborg.testing.drivers.breaking import BreakableFiles
from cyborg.testing.drivers.environment import make_conf
from cyborg.testing.drivers.machine import Machine
from cyborg.testing.drivers.observing import Work, as_recorded, one_line
from cyborg.testing.hosts import BuiltHosts, Manifest, happen

#: Every kind of file in every state, rather than each in one that a fixed seed chooses.
FULL = os.environ.get("CYBORG_TEST_KIT") == "full"

SEED = 20261130


class HostConformance:
    """Derive a class whose name begins with ``Test``, and say which driver and which hosts."""

    driver_class: ClassVar[type[Driver]]
    #: Names of :func:`cyborg.testing.hosts.scenarios`.
    hosts: ClassVar[tuple[str, ...]]

    def options(self, manifest: Manifest) -> Mapping[str, Mapping[str, Any]]:
        """Return values of options, by section, with which a host's devices are offered."""
        return {}

    def hide(self, machine: Machine, address: str) -> Callable[[], None]:
        """Take away what a function shows only under its own driver; return what puts it back."""
        return lambda: None

    @pytest.fixture(scope="class")
    @classmethod
    def originals(cls, tmp_path_factory: pytest.TempPathFactory) -> BuiltHosts:
        """Each host, built once."""
        return BuiltHosts(tmp_path_factory.mktemp)

    @pytest.fixture
    def machines(
        self, host_name: str, originals: BuiltHosts, tmp_path: Path
    ) -> Iterator[Callable[[], Machine]]:
        """Makes copies of the host, for a test to do with as it likes."""
        original, manifest = originals.get(host_name)
        count = 0

        def make() -> Machine:
            nonlocal count
            count += 1
            root = tmp_path / f"root-{count}"
            shutil.copytree(original, root, symlinks=True)
            return Machine(root, tmp_path / f"state-{count}", self.conf(manifest))

        yield make

    def conf(self, manifest: Manifest) -> cfg.ConfigOpts:
        """Return the options with which a host's devices are offered."""
        return make_conf(self.driver_class, **self.options(manifest))

    def make(self, machine: Machine, verbs: Verbs | None = None) -> Driver:
        """Return a new object of the driver, as after a restart of the agent."""
        environment = machine.environment()
        if verbs is not None:
            environment = dataclasses.replace(environment, verbs=verbs)
        driver = self.driver_class(environment)
        driver.configure()
        return driver

    def works(self, driver: Driver) -> list[Work]:
        """Return a handle of each deployable that works, and two of the first with as many."""
        works: list[Work] = []
        for device in driver.discover().devices:
            if device.condition is DeviceCondition.FAILED:
                continue
            for part in as_recorded(device).deployables:
                for number, handle in enumerate(part.handles[:2]):
                    if number == 0 or len(works) < 3:
                        name = f"{part.name}-{number}"
                        info = dict(handle.info)
                        work = Handle(name, device.identity, part.name, handle.type, info)
                        works.append(Work(work, part))
        return works

    def works_on_functions(self, driver: Driver) -> list[Work]:
        """Return those that are functions of the host, which are none of a simulated device."""
        return [] if driver.simulated else self.works(driver)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Ask everything of every host."""
        if "host_name" in metafunc.fixturenames:
            metafunc.parametrize("host_name", self.hosts)

    def test_a_broken_file_costs_what_it_belongs_to(
        self,
        host_name: str,
        originals: BuiltHosts,
        tmp_path: Path,
    ) -> None:
        root, manifest = originals.get(host_name)
        conf = self.conf(manifest)

        def make(files: BreakableFiles) -> Driver:
            return self.make(Machine(root, tmp_path / "state", conf, files))

        seed = zlib.crc32(host_name.encode()) ^ SEED
        draw = None if FULL else random.Random(seed)  # noqa: S311 - a fixed draw
        breakage = Breakage(
            make, lambda: BreakableFiles(root), lambda a, b: _is_related(root, a, b), draw
        )
        assert breakage.faults() == []

    def test_a_handle_is_given_and_taken_back(self, machines: Callable[[], Machine]) -> None:
        machine = machines()
        driver = self.make(machine)
        before = Snapshot(driver.discover().devices).digest()
        for work in self.works(driver):
            for _ in range(2):
                work.prepare(driver)
                work.prepare(self.make(machine))
                assert Snapshot(driver.discover().devices).digest() == before
                work.release(self.make(machine))
                work.release(driver)
        assert Snapshot(self.make(machine).discover().devices).digest() == before

    def test_a_guest_takes_it_from_its_driver(self, machines: Callable[[], Machine]) -> None:
        """As libvirt does, and gives it back: to the report nothing has changed meanwhile."""
        machine = machines()
        driver = self.make(machine)
        before = Snapshot(driver.discover().devices).digest()
        for work in self.works_on_functions(driver):
            work.prepare(driver)
            address = address_of(work.handle.info)
            own = machine.rebind(address, "vfio-pci")
            put_back = self.hide(machine, address)
            assert Snapshot(driver.discover().devices).digest() == before
            again = self.make(machine)
            assert Snapshot(again.discover().devices).digest() == before
            machine.rebind(address, own)
            put_back()
            work.release(again)
        assert Snapshot(driver.discover().devices).digest() == before

    def test_a_verb_that_fails_leaves_nothing_half_done(
        self, machines: Callable[[], Machine]
    ) -> None:
        """At each verb of a life in turn: it is said, and the same again works."""
        for failing in range(_MOST_VERBS):
            machine = machines()
            verbs = FailingVerbs(machine.verbs, failing)
            driver = self.make(machine, verbs)
            before = Snapshot(driver.discover().devices).digest()
            for work in self.works(driver)[:1]:
                for call in (work.prepare, work.release):
                    try:
                        call(driver)
                    except DriverError as error:
                        assert one_line(error)
                        call(self.make(machine))
            assert Snapshot(driver.discover().devices).digest() == before
            if not verbs.has_failed:
                return
        pytest.fail(f"a life needs more than {_MOST_VERBS} verbs")

    @pytest.mark.parametrize("name", ["prepare", "release"])
    def test_a_device_that_vanishes(self, machines: Callable[[], Machine], name: str) -> None:
        """At each look of a call at the host in turn; at some of them, unless FULL."""
        works = self.works_on_functions(self.make(machines()))
        for work in works[:1]:
            looks = self._vanishing(machines(), work, name, None)
            chosen = range(looks) if FULL else {0, looks // 2, looks - 1}
            for when in chosen:
                self._vanishing(machines(), work, name, when)

    def _vanishing(self, machine: Machine, work: Work, name: str, when: int | None) -> int:
        """Let a device vanish at a look of a call, if at all; return the number of looks."""
        if name == "release":
            work.prepare(self.make(machine))
        files = VanishingFiles(machine.root, work.handle)
        driver = self.make(Machine(machine.root, machine.host.state_directory, machine.conf, files))
        files.arm(when)
        try:
            getattr(work, name)(driver)
        except DriverError as error:
            assert one_line(error)
        if when is not None:
            with pytest.raises(DeviceAway):
                getattr(work, name)(driver)
        return files.looks

    def test_two_handles_at_a_time(self, machines: Callable[[], Machine]) -> None:
        machine = machines()
        driver = self.make(machine)
        works = self.works(driver)

        def live(work: Work) -> None:
            work.prepare(driver)
            work.release(driver)

        with ThreadPoolExecutor(max_workers=max(1, len(works))) as pool:
            for done in [pool.submit(live, work) for work in works]:
                done.result(timeout=60)

    def test_a_boot_in_between(self, machines: Callable[[], Machine]) -> None:
        machine = machines()
        works = self.works(self.make(machine))
        for work in works:
            work.prepare(self.make(machine))
        boot_id = machine.root / "proc/sys/kernel/random/boot_id"
        boot_id.parent.mkdir(parents=True, exist_ok=True)
        boot_id.write_text("another\n")
        for work in works:
            work.prepare(self.make(machine))
            work.release(self.make(machine))


#: Verbs that one life of a handle needs at most.
_MOST_VERBS = 50


class FailingVerbs:
    """Verbs of which one fails, once."""

    def __init__(self, verbs: Verbs, failing: int) -> None:
        self._verbs = verbs
        self._left = failing
        self.has_failed = False

    def holders(self, address: str) -> Possession:
        """See :class:`cyborg.drivers.host.Verbs`."""
        self._count()
        return self._verbs.holders(address)

    def reset(self, address: str) -> None:
        """See :class:`cyborg.drivers.host.Verbs`."""
        self._count()
        self._verbs.reset(address)

    def bind_driver(self, address: str, driver: str) -> None:
        """See :class:`cyborg.drivers.host.Verbs`."""
        self._count()
        self._verbs.bind_driver(address, driver)

    def _count(self) -> None:
        self._left -= 1
        if self._left == -1:
            self.has_failed = True
            raise DriverError("the kit lets this verb fail")


class VanishingFiles(Files):
    """Files of a host from which a device goes at one of the looks at them."""

    def __init__(self, root: Path, handle: Handle) -> None:
        super().__init__(root)
        self._tree = root
        self._address = address_of(handle.info)
        self._when: int | None = None
        #: How often somebody has looked since :meth:`arm`.
        self.looks = 0

    def arm(self, when: int | None) -> None:
        """Count from now on, and let the device go at a look; None: never."""
        self._when = when
        self.looks = 0

    def read(self, path: str, most: int = 4096) -> bytes:
        self._count()
        return super().read(path, most)

    def link(self, path: str) -> str:
        self._count()
        return super().link(path)

    def list(self, path: str) -> tuple[str, ...]:
        self._count()
        return super().list(path)

    def _count(self) -> None:
        if self.looks == self._when:
            happen(self._tree, "remove", self._address)
        self.looks += 1


def _is_related(root: Path, place: str, address: str) -> bool:
    """Return whether two functions are of one card, of one slot, or of one IOMMU group."""
    if place.rpartition(".")[0] == address.rpartition(".")[0]:
        return True
    devices = root / "sys/bus/pci/devices"
    card = devices / place / "physfn"
    if card.is_symlink() and card.readlink().name == address:
        return True
    group = devices / address / "iommu_group"
    return group.is_symlink() and (group / "devices" / place).is_symlink()
