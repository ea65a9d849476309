"""What a driver promises whose devices can be programmed, a test each."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

import pytest

from cyborg.drivers.contract import Bitstream, Driver, DriverError, Programmable, Region
from cyborg.testing.drivers.conformance import DriverConformance
from cyborg.testing.drivers.observing import digest_of, files, one_line

IMAGE = "00000000-0000-0000-0000-000000000001"


class ProgrammableConformance(DriverConformance):
    """What a driver promises whose devices can be programmed."""

    programs: ClassVar[bool] = True

    def bitstream(self, directory: Path) -> Bitstream:
        """Return a bitstream that every region takes."""
        path = directory / "bitstream"
        path.write_bytes(b"bitstream")
        return Bitstream(IMAGE, path, {})

    @pytest.fixture
    def image(self, tmp_path_factory: pytest.TempPathFactory) -> Bitstream:
        """The bitstream, outside of the host's directory."""
        return self.bitstream(tmp_path_factory.mktemp("bitstreams"))

    @pytest.fixture
    def regions(self, driver: Driver) -> list[Region]:
        """Every region that it can program."""
        return [
            Region(device.identity, part.name, device.control_path)
            for device in driver.discover().devices
            for part in device.deployables
            if part.programmable
        ]

    @pytest.fixture
    def programmable(self, driver: Driver) -> Programmable:
        """The driver, as one that can program."""
        assert isinstance(driver, Programmable)
        return driver

    def test_check_changes_nothing(
        self,
        programmable: Programmable,
        regions: list[Region],
        image: Bitstream,
        driver: Driver,
        directory: Path,
    ) -> None:
        before = digest_of(driver), files(directory)
        for region in regions:
            programmable.check(region, image)
        assert (digest_of(driver), files(directory)) == before

    def test_program_may_come_again(
        self,
        programmable: Programmable,
        regions: list[Region],
        image: Bitstream,
        directory: Path,
    ) -> None:
        again = self.make(directory)
        assert isinstance(again, Programmable)
        for each in (programmable, programmable, again):
            for region in regions:
                each.check(region, image)
                each.program(region, image)

    def test_it_reports_the_image_that_it_holds(
        self,
        programmable: Programmable,
        regions: list[Region],
        image: Bitstream,
        directory: Path,
    ) -> None:
        for region in regions:
            programmable.program(region, image)
        parts = [
            p for device in self.make(directory).discover().devices for p in device.deployables
        ]
        # None where the hardware does not tell.
        assert {part.bitstream_id for part in parts if part.programmable} <= {None, IMAGE}

    def test_what_holds_an_image_is_not_empty(
        self, programmable: Programmable, regions: list[Region], image: Bitstream, directory: Path
    ) -> None:
        for region in regions:
            programmable.program(region, image)
        parts = {
            part.name: part
            for device in self.make(directory).discover().devices
            for part in device.deployables
        }
        assert [
            name for name in (each.deployable for each in regions) if parts[name].is_empty
        ] == []

    def test_program_of_what_is_gone(
        self, programmable: Programmable, regions: list[Region], image: Bitstream
    ) -> None:
        for region in regions:
            gone = dataclasses.replace(
                region, device=f"{region.device}-gone", deployable=f"{region.deployable}-gone"
            )
            with pytest.raises(DriverError) as caught:
                programmable.program(gone, image)
            assert one_line(caught.value)

    def test_a_bitstream_that_cannot_be_read_is_refused(
        self, programmable: Programmable, regions: list[Region], image: Bitstream
    ) -> None:
        image.path.unlink()
        for region in regions:
            with pytest.raises(DriverError) as caught:
                programmable.check(region, image)
                programmable.program(region, image)
            assert one_line(caught.value)
