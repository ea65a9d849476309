"""The same for drivers that read a host: one sound one, and others that break a promise each.

``test_kit`` runs it in a process of its own; pytest collects it by no other name.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from cyborg.drivers.contract import DeviceReport, Discovery, DriverError, Handle
from cyborg.drivers.host.pci import is_vfio, read_function
from cyborg.drivers.pci.driver import PciDriver
from cyborg.testing.drivers import HostConformance
from cyborg.testing.hosts import Manifest

#: Two cards of which one does not answer: a small host with all that can be wrong.
HOST = "surprise-off"


class Asked(HostConformance):
    """A driver on a host."""

    driver_class = PciDriver
    hosts: ClassVar[tuple[str, ...]] = (HOST,)
    #: The tests of the kit that must fail.
    broken: ClassVar[tuple[str, ...]] = ()

    def options(self, manifest: Manifest) -> Mapping[str, Mapping[str, Any]]:
        entries = [json.dumps({"address": each["address"]}) for each in manifest.devices]
        return {"pci": {"passthrough_whitelist": entries}}


class TestSound(Asked):
    pass


class TestRaisesForOneFile(Asked):
    broken = ("test_a_broken_file_costs_what_it_belongs_to",)

    class driver_class(PciDriver):
        def discover(self) -> Discovery:
            found = super().discover()
            if found.problems:
                raise ValueError(found.problems)
            return found


class TestLosesACardWithoutAWord(Asked):
    broken = ("test_a_broken_file_costs_what_it_belongs_to",)

    class driver_class(PciDriver):
        def discover(self) -> Discovery:
            return Discovery(super().discover().devices)


class TestFailsAsAWholeForOneCard(Asked):
    broken = ("test_a_broken_file_costs_what_it_belongs_to",)

    class driver_class(PciDriver):
        def discover(self) -> Discovery:
            found = super().discover()
            if found.problems:
                raise DriverError("something cannot be read")
            return found


class TestReportsWhatIsGiven(Asked):
    """Its report is another one while a server has something."""

    broken = (
        "test_a_guest_takes_it_from_its_driver",
        "test_a_handle_is_given_and_taken_back",
        "test_a_verb_that_fails_leaves_nothing_half_done",
    )

    class driver_class(PciDriver):
        def discover(self) -> Discovery:
            found = super().discover()
            state = self.environment.host.state_file(self.name).read()
            given = state.get("given", {}) if isinstance(state, dict) else {}
            facts = {"given": str(sorted(given))} if state else {}
            return replace(
                found,
                devices=tuple(replace(each, vendor_board_info=facts) for each in found.devices),
            )


class TestReportsWhoHasIt(Asked):
    broken = ("test_a_guest_takes_it_from_its_driver",)

    class driver_class(PciDriver):
        def discover(self) -> Discovery:
            found = super().discover()
            return replace(found, devices=tuple(map(self._with_driver, found.devices)))

        def _with_driver(self, device: DeviceReport) -> DeviceReport:
            function = read_function(self.environment.host, device.identity)
            facts = {} if function is None else {"driver": str(is_vfio(function.driver))}
            return replace(device, vendor_board_info=facts)


class TestBeginsOnlyOnce(Asked):
    """What it has begun and not finished it does not finish."""

    broken = (
        "test_a_verb_that_fails_leaves_nothing_half_done",
        "test_a_device_that_vanishes",
    )

    class driver_class(PciDriver):
        def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
            mark = self.environment.host.state_file(f"begun-{handle.uuid}")
            if mark.read() == "begun":
                raise DriverError("it has been begun")
            mark.write("begun")
            super().prepare(handle, group)
            mark.write("done")


class TestRaisesForWhatIsGone(Asked):
    broken = ("test_a_device_that_vanishes",)

    class driver_class(PciDriver):
        def release(self, handle: Handle) -> None:
            address = "{domain}:{bus}:{device}.{function}".format_map(handle.info)
            if address not in self.environment.host.list("/sys/bus/pci/devices"):
                raise KeyError(address)
            super().release(handle)


class TestDoesOneThingAtATime(Asked):
    """It refuses a card as long as another one is worked on."""

    broken = ("test_two_handles_at_a_time",)
    hosts = ("pci-groups",)

    def options(self, manifest: Manifest) -> Mapping[str, Mapping[str, Any]]:
        return {"pci": {"passthrough_whitelist": ['{"vendor_id": "1e52"}']}}

    class driver_class(PciDriver):
        busy = threading.Lock()
        both = threading.Barrier(2)

        def release(self, handle: Handle) -> None:
            if threading.current_thread() is threading.main_thread():
                super().release(handle)
                return
            self.both.wait(60)
            if not self.busy.acquire(blocking=False):
                raise DriverError("another card is worked on")
            try:
                self.both.wait(1)
            except threading.BrokenBarrierError:
                super().release(handle)
            finally:
                self.busy.release()


class TestForgetsAtABoot(Asked):
    broken = ("test_a_boot_in_between",)

    class driver_class(PciDriver):
        def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
            boot = self.environment.host.state_file("boot")
            now = self._boot()
            if boot.read() not in (None, now):
                raise DriverError("it was prepared in another boot")
            boot.write(now)
            super().prepare(handle, group)

        def _boot(self) -> str:
            try:
                return self.environment.host.read("/proc/sys/kernel/random/boot_id").decode()
            except OSError:
                return ""
