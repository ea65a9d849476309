"""A test module as an author would write it, of one sound driver and many that are not.

``test_kit`` runs it in a process of its own; pytest collects it by no other name. Each bad
driver breaks one promise, and says which test of the kit must see it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import pytest
from oslo_config import cfg
from stevedore.extension import ExtensionManager

from cyborg.drivers.contract import (
    Bitstream,
    CleanStep,
    DeployableReport,
    DeviceAway,
    DeviceCondition,
    DeviceReport,
    Discovery,
    DriverEnvironment,
    DriverError,
    Handle,
    HandleReport,
    JointDriver,
    Problem,
    Progress,
    Region,
    Share,
    StepwiseDriver,
    Wanted,
)
from cyborg.drivers.loader import NAMESPACE
from cyborg.testing.drivers import ProgrammableConformance, UnreadableDeviceConformance
from cyborg.tests.unit.drivers.kit import sound


class Asked(ProgrammableConformance, UnreadableDeviceConformance):
    """A driver, which is what is installed."""

    driver_class = sound.SoundDriver
    #: The tests of the kit that must fail.
    broken: ClassVar[tuple[str, ...]] = ()

    def populate(self, directory: Path) -> None:
        sound.populate(directory)

    def spoil(self, directory: Path) -> None:
        sound.spoil(directory)

    @pytest.fixture(autouse=True)
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        name = self.driver_class.__qualname__
        value = f"{self.driver_class.__module__}:{name}"
        points = [EntryPoint("sound_driver", value, NAMESPACE)]
        monkeypatch.setitem(ExtensionManager.ENTRY_POINT_CACHE, NAMESPACE, points)
        # A thousand tests write files, none of which is worth waiting for the disk.
        monkeypatch.setattr("os.fsync", lambda _descriptor: None)


class TestSound(Asked):
    pass


class TestSoundWithOptions(Asked):
    def options(self, directory: Path) -> Mapping[str, Mapping[str, object]]:
        return {"sound_driver": {"model": "Other"}}


class TestIsCalledOtherwise(Asked):
    broken = ("test_the_agent_finds_it_by_its_name",)

    class driver_class(sound.SoundDriver):
        name = "another_driver"


class TestTakesASectionOfTheService(Asked):
    broken = ("test_its_options_are_in_sections_of_its_own",)

    class driver_class(sound.SoundDriver):
        OPTIONS = (
            *sound.SoundDriver.OPTIONS,
            (cfg.OptGroup("agent"), [cfg.StrOpt("sound_model")]),
        )


class TestLooksAtHardwareWhenItIsMade(Asked):
    broken = ("test_it_is_made_where_there_is_no_hardware",)

    class driver_class(sound.SoundDriver):
        def __init__(self, environment: DriverEnvironment) -> None:
            super().__init__(environment)
            assert self.cards


class TestRaisesSomethingElse(Asked):
    broken = ("test_it_is_made_where_there_is_no_hardware",)

    class driver_class(sound.SoundDriver):
        def discover(self) -> Discovery:
            try:
                return super().discover()
            except DriverError as error:
                raise FileNotFoundError from error


class TestSaysWhyInTwoLines(Asked):
    broken = ("test_it_is_made_where_there_is_no_hardware",)

    class driver_class(sound.SoundDriver):
        def discover(self) -> Discovery:
            try:
                return super().discover()
            except DriverError as error:
                raise DriverError(f"Traceback:\n{error}") from error


class TestFindsNothing(Asked):
    broken = (
        "test_a_bad_device_does_not_hide_the_good",
        "test_devices_name_the_driver",
        "test_it_finds_devices",
        "test_what_can_be_programmed_is_tested_for_it",
    )

    class driver_class(sound.SoundDriver):
        def discover(self) -> Discovery:
            return Discovery()


class TestNamesAnotherDriver(Asked):
    broken = ("test_devices_name_the_driver", "test_the_agent_leaves_no_device_out")

    class driver_class(sound.SoundDriver):
        def device(self, card: str, count: int) -> DeviceReport:
            return dataclasses.replace(super().device(card, count), driver="another_driver")


class TestReportsWhatTheAgentRefuses(Asked):
    broken = ("test_handles_say_what_nova_reads", "test_the_agent_leaves_no_device_out")

    class driver_class(sound.SoundDriver):
        def device(self, card: str, count: int) -> DeviceReport:
            return dataclasses.replace(super().device(card, count), type="an FPGA")


class TestCallsTwoDevicesAlike(Asked):
    broken = ("test_the_agent_leaves_no_device_out", "test_the_problem_names_the_bad_device")

    class driver_class(sound.SoundDriver):
        def device(self, card: str, count: int) -> DeviceReport:
            return dataclasses.replace(super().device(card, count), identity="card")

        def require(self, device: str) -> None:
            if device != "card":
                raise DeviceAway(f"{device} is gone")


class TestWritesDownHowOftenItLooked(Asked):
    broken = ("test_check_changes_nothing", "test_discover_changes_nothing")

    class driver_class(sound.SoundDriver):
        scans = itertools.count()

        def discover(self) -> Discovery:
            self.environment.host.state_file("seen").write(next(self.scans))
            return super().discover()


class TestMarksTheHost(Asked):
    """Once, and not in its state."""

    broken = ("test_discover_changes_nothing",)

    class driver_class(sound.SoundDriver):
        def discover(self) -> Discovery:
            (self.environment.host.state_directory / "marked").mkdir(exist_ok=True)
            (self.environment.host.state_directory / "marked" / "all").touch()
            return super().discover()


class TestOrderDependsOnTheObject(Asked):
    broken = ("test_the_same_hardware_gives_the_same_report",)

    class driver_class(sound.SoundDriver):
        objects = itertools.count()

        def __init__(self, environment: DriverEnvironment) -> None:
            super().__init__(environment)
            self.step = (-1) ** next(self.objects)

        def part(self, card: str, count: int) -> DeployableReport:
            part = super().part(card, count)
            return dataclasses.replace(part, handles=part.handles[:: self.step])


class TestCountsItsScans(Asked):
    broken = (
        "test_a_bad_device_does_not_hide_the_good",
        "test_check_changes_nothing",
        "test_handles_in_use_stay_in_the_report",
        "test_the_same_hardware_gives_the_same_report",
    )

    class driver_class(sound.SoundDriver):
        scans = itertools.count()

        def device(self, card: str, count: int) -> DeviceReport:
            scans = {"scans": str(next(self.scans))}
            return dataclasses.replace(super().device(card, count), vendor_board_info=scans)


class TestNamesNoHost(Asked):
    broken = ("test_names_begin_with_the_host",)

    class driver_class(sound.SoundDriver):
        def part(self, card: str, count: int) -> DeployableReport:
            # Whatever it holds is noted under its other name.
            return dataclasses.replace(super().part(card, count), name=card, is_empty=False)


class TestReportsAHandleOfTwoDevices(Asked):
    broken = ("test_handles_are_unique_on_the_host", "test_the_agent_leaves_no_device_out")

    class driver_class(sound.SoundDriver):
        def address(self, card: str, function: int) -> dict[str, str]:
            return super().address("card-1", function)


class TestSpellsAFunctionInTwoWays(Asked):
    broken = ("test_handles_are_unique_on_the_host", "test_the_agent_leaves_no_device_out")

    class driver_class(sound.SoundDriver):
        def address(self, card: str, function: int) -> dict[str, str]:
            bus = card[-1:].zfill(function)
            return {**super().address(card, min(function, 1)), "bus": bus}


class TestReportsTooFewHandles(Asked):
    broken = (
        "test_as_many_handles_as_accelerators",
        "test_handles_say_what_nova_reads",
        "test_the_agent_leaves_no_device_out",
    )

    class driver_class(sound.SoundDriver):
        def part(self, card: str, count: int) -> DeployableReport:
            return dataclasses.replace(super().part(card, count), num_accelerators=count + 1)


class TestReportsNoFunction(Asked):
    broken = ("test_handles_say_what_nova_reads", "test_the_agent_leaves_no_device_out")

    class driver_class(sound.SoundDriver):
        def address(self, card: str, function: int) -> dict[str, str]:
            return {"domain": "0000", "bus": card[-1:], "device": str(function)}


class TestReportsAddressesIn0x(Asked):
    broken = ("test_handles_say_what_nova_reads", "test_the_agent_leaves_no_device_out")

    class driver_class(sound.SoundDriver):
        def address(self, card: str, function: int) -> dict[str, str]:
            return {key: f"0x{each}" for key, each in super().address(card, function).items()}


class TestReportsAnEmptyAddress(Asked):
    broken = ("test_handles_say_what_nova_reads", "test_the_agent_leaves_no_device_out")

    class driver_class(sound.SoundDriver):
        def address(self, card: str, function: int) -> dict[str, str]:
            return {**super().address(card, function), "domain": ""}


class TestReportsAMediatedDeviceWithoutItsType(Asked):
    broken = ("test_handles_say_what_nova_reads", "test_the_agent_leaves_no_device_out")

    class driver_class(sound.SoundDriver):
        def part(self, card: str, count: int) -> DeployableReport:
            part = super().part(card, count)
            handles = tuple(HandleReport("MDEV", handle.info) for handle in part.handles)
            return dataclasses.replace(part, handles=handles)


class TestTakesMoreThanThereIs(Asked):
    broken = (
        "test_handles_say_what_nova_reads",
        "test_the_agent_leaves_no_device_out",
        "test_shares_are_of_what_there_is",
    )

    class driver_class(sound.SoundDriver):
        def handle(self, card: str, function: int) -> HandleReport:
            shares = (Share(f"{card}/memory", 5, 4),)
            return dataclasses.replace(super().handle(card, function), shares=shares)


class TestTakesOneCounterTwice(Asked):
    broken = (
        "test_handles_say_what_nova_reads",
        "test_the_agent_leaves_no_device_out",
        "test_shares_are_of_what_there_is",
    )

    class driver_class(sound.SoundDriver):
        def handle(self, card: str, function: int) -> HandleReport:
            handle = super().handle(card, function)
            return dataclasses.replace(handle, shares=handle.shares * 2)


class TestGivesATemperatureAsItsReason(Asked):
    broken = (
        "test_a_bad_device_does_not_hide_the_good",
        "test_check_changes_nothing",
        "test_conditions_and_their_reasons_stay",
        "test_handles_in_use_stay_in_the_report",
        "test_the_same_hardware_gives_the_same_report",
    )

    class driver_class(sound.SoundDriver):
        degrees = itertools.count(80)

        def device(self, card: str, count: int) -> DeviceReport:
            reason = f"it has {next(self.degrees)} degrees"
            return dataclasses.replace(super().device(card, count), condition_reason=reason)


class TestFailsWithoutAReason(Asked):
    broken = ("test_conditions_and_their_reasons_stay",)

    class driver_class(sound.SoundDriver):
        def device(self, card: str, count: int) -> DeviceReport:
            return dataclasses.replace(
                super().device(card, count),
                condition=DeviceCondition.FAILED,
                condition_reason=None,
            )


class TestPreparesAndDoesNotRelease(Asked):
    broken = ("test_what_is_prepared_is_released",)

    class driver_class(sound.SoundDriver):
        def part(self, card: str, count: int) -> DeployableReport:
            return dataclasses.replace(super().part(card, count), needs_release=False)


class TestHidesHandlesInUse(Asked):
    broken = ("test_handles_in_use_stay_in_the_report",)

    class driver_class(sound.SoundDriver):
        def part(self, card: str, count: int) -> DeployableReport:
            part = super().part(card, count)
            free = tuple(
                handle
                for n, handle in enumerate(part.handles)
                if f"{part.name}-{n}" not in self.held()
            )
            return dataclasses.replace(part, handles=free, num_accelerators=len(free))


class TestPreparesOnce(Asked):
    broken = ("test_prepare_may_come_again",)

    class driver_class(sound.SoundDriver):
        def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
            if handle.uuid in self.held():
                raise DriverError("it is prepared")
            super().prepare(handle, group)


class TestReleasesOnce(Asked):
    broken = (
        "test_release_may_come_again",
        "test_release_may_come_first",
        "test_release_of_what_is_gone",
    )

    class driver_class(sound.SoundDriver):
        def release(self, handle: Handle) -> None:
            if handle.uuid not in self.held():
                raise DriverError("it is not prepared")
            super().release(handle)


class TestReleasesWhatItRemembers(Asked):
    broken = ("test_another_object_releases",)

    class driver_class(sound.SoundDriver):
        def __init__(self, environment: DriverEnvironment) -> None:
            super().__init__(environment)
            self.prepared: set[str] = set()

        def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
            self.prepared.add(handle.uuid)
            super().prepare(handle, group)

        def release(self, handle: Handle) -> None:
            if handle.uuid in self.held() and handle.uuid not in self.prepared:
                raise DriverError("nobody has prepared it")
            super().release(handle)


class TestUsesAHandleUp(Asked):
    broken = ("test_what_is_released_is_prepared_again",)

    class driver_class(sound.SoundDriver):
        def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
            if f"used {handle.uuid}" in self.held():
                raise DriverError("it was used")
            super().prepare(handle, group)

        def release(self, handle: Handle) -> None:
            if handle.uuid in self.held():
                self.hold(f"used {handle.uuid}", "yes")
            super().release(handle)


class TestHasTwoStepsOfOneName(Asked):
    broken = ("test_steps_have_names_and_clean",)

    class driver_class(StepwiseDriver, sound.SoundDriver):
        def clean_steps(self, handle: Handle) -> Sequence[CleanStep]:
            return (CleanStep("erase", "erase it"), CleanStep("erase", "erase it again"))

        def clean(self, handle: Handle, step: str, progress: Progress) -> None:
            sound.SoundDriver.release(self, handle)


class TestFailsWhereItMustWait(Asked):
    broken = ("test_what_is_released_together_may_have_to_wait",)

    class driver_class(JointDriver, sound.SoundDriver):
        def prepare_together(self, wanted: Sequence[Wanted], held: Sequence[Handle]) -> None:
            for each in wanted:
                sound.SoundDriver.prepare(self, each.handle, each.group)

        def release_together(self, handles: Sequence[Handle], held: Sequence[Handle]) -> None:
            if held:
                raise DriverError("somebody has another part of it")
            for handle in handles:
                sound.SoundDriver.release(self, handle)


class TestTakesWhatIsGoneForClean(Asked):
    broken = ("test_release_of_what_is_gone",)

    class driver_class(sound.SoundDriver):
        def release(self, handle: Handle) -> None:
            if handle.device in self.cards:
                super().release(handle)


class TestTakesWhatIsGoneForAFailure(Asked):
    broken = ("test_release_of_what_is_gone",)

    class driver_class(sound.SoundDriver):
        def require(self, device: str) -> None:
            if device not in self.cards:
                raise DriverError(f"{device} is gone")


class TestSaysThatItIsGoneInTwoLines(Asked):
    broken = (
        "test_prepare_of_what_is_gone",
        "test_program_of_what_is_gone",
        "test_release_of_what_is_gone",
    )

    class driver_class(sound.SoundDriver):
        def require(self, device: str) -> None:
            if device not in self.cards:
                raise DeviceAway(f"Traceback:\n{device} is gone")


class TestPreparesWhatIsGone(Asked):
    broken = ("test_prepare_of_what_is_gone",)

    class driver_class(sound.SoundDriver):
        def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
            if handle.device in self.cards:
                super().prepare(handle, group)


class TestProgramsWhatIsGone(Asked):
    broken = ("test_program_of_what_is_gone",)

    class driver_class(sound.SoundDriver):
        def program(self, region: Region, bitstream: Bitstream) -> None:
            self.check(region, bitstream)
            self.hold(region.deployable, bitstream.image_uuid)


class TestStumblesOverWhatIsGone(Asked):
    broken = (
        "test_prepare_of_what_is_gone",
        "test_program_of_what_is_gone",
        "test_release_of_what_is_gone",
    )

    class driver_class(sound.SoundDriver):
        def require(self, device: str) -> None:
            assert self.cards[device]


class TestWorksOnOneDeviceAtATime(Asked):
    broken = ("test_devices_are_worked_on_at_the_same_time",)

    class driver_class(sound.SoundDriver):
        def __init__(self, environment: DriverEnvironment) -> None:
            super().__init__(environment)
            self.working = threading.Lock()
            self.refused = threading.Event()

        def prepare(self, handle: Handle, group: Mapping[str, str]) -> None:
            if not self.working.acquire(blocking=False):
                self.refused.set()
                raise DriverError("another device is worked on")
            with contextlib.ExitStack() as stack:
                stack.callback(self.working.release)
                if threading.current_thread() is not threading.main_thread():
                    self.refused.wait(10)
                super().prepare(handle, group)


class TestReportsNothingToProgram(Asked):
    broken = ("test_what_can_be_programmed_is_tested_for_it",)

    class driver_class(sound.SoundDriver):
        def part(self, card: str, count: int) -> DeployableReport:
            return dataclasses.replace(super().part(card, count), programmable=False)


class TestIsNotAskedWhetherItPrograms(Asked):
    broken = ("test_what_can_be_programmed_is_tested_for_it",)
    programs = False


class TestProgramsToCheck(Asked):
    broken = ("test_check_changes_nothing",)

    class driver_class(sound.SoundDriver):
        def check(self, region: Region, bitstream: Bitstream) -> None:
            super().check(region, bitstream)
            self.hold(region.deployable, bitstream.image_uuid)


class TestProgramsOnce(Asked):
    broken = ("test_program_may_come_again",)

    class driver_class(sound.SoundDriver):
        def program(self, region: Region, bitstream: Bitstream) -> None:
            if region.deployable in self.held():
                raise DriverError("it is programmed")
            super().program(region, bitstream)


class TestReportsAnotherImage(Asked):
    broken = ("test_it_reports_the_image_that_it_holds",)

    class driver_class(sound.SoundDriver):
        def program(self, region: Region, bitstream: Bitstream) -> None:
            other = "00000000-0000-0000-0000-00000000000f"
            super().program(region, dataclasses.replace(bitstream, image_uuid=other))


class TestIsEmptyWhateverItHolds(Asked):
    broken = ("test_what_holds_an_image_is_not_empty",)

    class driver_class(sound.SoundDriver):
        def part(self, card: str, count: int) -> DeployableReport:
            return dataclasses.replace(super().part(card, count), is_empty=True)


class TestReadsNoBitstream(Asked):
    broken = ("test_a_bitstream_that_cannot_be_read_is_refused",)

    class driver_class(sound.SoundDriver):
        def check(self, region: Region, bitstream: Bitstream) -> None:
            pass


class TestStumblesOverABitstream(Asked):
    broken = ("test_a_bitstream_that_cannot_be_read_is_refused",)

    class driver_class(sound.SoundDriver):
        def check(self, region: Region, bitstream: Bitstream) -> None:
            bitstream.path.read_bytes()


class TestHidesTheGoodDevices(Asked):
    broken = (
        "test_a_bad_device_does_not_hide_the_good",
        "test_the_problem_names_the_bad_device",
    )

    class driver_class(sound.SoundDriver):
        def discover(self) -> Discovery:
            found = super().discover()
            if found.problems:
                raise DriverError("a card is unreadable")
            return found


class TestDoesNotSayWhichDeviceIsBad(Asked):
    broken = ("test_the_problem_names_the_bad_device",)

    class driver_class(sound.SoundDriver):
        def problem(self, card: str) -> Problem:
            return Problem(card, "it has no number")


class TestNamesAnotherDeviceAsBad(Asked):
    broken = ("test_the_problem_names_the_bad_device",)

    class driver_class(sound.SoundDriver):
        def problem(self, card: str) -> Problem:
            return Problem(card, "it has no number", device=f"{card}-unreadable")


class TestDoesNotMentionTheBadDevice(Asked):
    broken = (
        "test_a_bad_device_does_not_hide_the_good",
        "test_the_problem_names_the_bad_device",
    )

    class driver_class(sound.SoundDriver):
        def discover(self) -> Discovery:
            return Discovery(super().discover().devices)
