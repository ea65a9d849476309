"""K15: what is recorded of a region's content is what it holds."""

from __future__ import annotations

from typing import Any

import pytest

from cyborg.conductor import finishing, programming
from cyborg.db.tables import jobs
from cyborg.domain.inventory import DeviceReport
from cyborg.domain.model import JobKind, ProgrammingState
from cyborg.tests.functional.conductor.field_cases.hardware import card, part, pci
from cyborg.tests.functional.conductor.field_cases.machine import Machine
from cyborg.tests.functional.conductor.harness import rows

IMAGE = "11111111-2222-3333-4444-555555555555"
OTHER_IMAGE = "66666666-2222-3333-4444-555555555555"


def fpga(identity: str = "serial-1", **values: Any) -> DeviceReport:
    region = part("fpga", "FPGA", pci("0000:65:00.0"), programmable=True, **values)
    return card(identity, region, type="FPGA")


def program(machine: Machine, image: str = IMAGE, error: str | None = None) -> None:
    """Program the region, well or so that nobody knows what it holds."""
    programming.program(machine.env, machine.deployable("fpga").uuid, image, None)
    [job] = [row for row in rows(machine.env, jobs) if row.kind == JobKind.PROGRAM]
    for step in range(2):
        finishing.begin(machine.env, job.host, job.uuid, job.generation, step)
    while rows(machine.env, jobs):
        [job] = rows(machine.env, jobs)
        finishing.finish(machine.env, job.host, job.uuid, job.generation, error)


def test_f04_a_card_that_lost_its_content(machine: Machine) -> None:
    machine.report(fpga())
    program(machine)
    machine.report(fpga(bitstream_id=IMAGE))
    assert machine.deployable("fpga").bitstream_id == IMAGE
    machine.report(fpga(is_empty=True))
    found = machine.deployable("fpga")
    assert found.bitstream_id is None
    assert found.programming_state is ProgrammingState.NONE
    assert machine.is_settled(fpga(is_empty=True))
    # It is not taken for one that holds the image already.
    program(machine)
    assert machine.deployable("fpga").bitstream_id == IMAGE


def test_f04_a_driver_that_cannot_tell_says_nothing(machine: Machine) -> None:
    machine.report(fpga())
    program(machine)
    machine.report(fpga())
    assert machine.deployable("fpga").bitstream_id == IMAGE
    assert machine.is_settled(fpga())


def test_f04_it_says_that_it_holds_one_and_none(machine: Machine) -> None:
    """A driver that contradicts itself is not believed that it is empty."""
    machine.report(fpga(bitstream_id=IMAGE, is_empty=True))
    assert machine.deployable("fpga").bitstream_id == IMAGE


def test_k15_own_an_image_that_somebody_else_has_loaded(machine: Machine) -> None:
    """Found with a vendor's tool: it loads an image behind our back."""
    machine.report(fpga())
    program(machine)
    machine.report(fpga(bitstream_id=OTHER_IMAGE))
    assert machine.deployable("fpga").bitstream_id == OTHER_IMAGE


def test_k15_own_another_card_does_not_hold_what_the_first_held(machine: Machine) -> None:
    """Found with a replaced FPGA whose driver cannot tell what it holds."""
    machine.report(fpga("serial-1"))
    program(machine)
    machine.report(fpga("serial-2"))
    found = machine.deployable("fpga")
    assert found.device_uuid == machine.device("serial-2").uuid
    assert found.bitstream_id is None
    assert found.programming_state is ProgrammingState.NONE


@pytest.mark.parametrize("says", [{}, {"is_empty": True}, {"bitstream_id": IMAGE}])
def test_k15_own_a_programming_that_failed_half_way(machine: Machine, says: dict[str, Any]) -> None:
    """Found here: what a report says of a region that was half written does not make it known,
    since it may have been read before; nor does a time in which it was away."""
    machine.report(fpga())
    program(machine, error="the image is cut off")
    machine.report(fpga(**says))
    machine.refusal("fpga", "FPGA")
    for _ in range(4):
        machine.report()
    machine.report(fpga(**says))
    assert "programming failed half way" in machine.refusal("fpga", "FPGA")
    program(machine)
    machine.bind("fpga", "FPGA")


def test_k15_own_empty_while_it_is_programmed(machine: Machine) -> None:
    """Found here: a scan that was made before the programming is reported after it has begun."""
    machine.report(fpga(is_empty=True))
    programming.program(machine.env, machine.deployable("fpga").uuid, IMAGE, None)
    machine.report(fpga(is_empty=True, traits=("CUSTOM_NEW",)))
    found = machine.deployable("fpga")
    assert found.programming_state is ProgrammingState.PROGRAMMING
    [job] = rows(machine.env, jobs)
    finishing.finish(machine.env, job.host, job.uuid, job.generation, None)
    assert machine.deployable("fpga").bitstream_id == IMAGE


def test_k15_own_a_half_written_card_in_another_slot(machine: Machine) -> None:
    """Found here: what a card holds goes where the card goes, and so does that nobody knows."""
    machine.report(fpga())
    program(machine, error="the image is cut off")

    def elsewhere() -> DeviceReport:
        region = part("fpga_at_66", "FPGA", pci("0000:66:00.0"), programmable=True)
        return card("serial-1", region, type="FPGA")

    for _ in range(5):
        machine.report(elsewhere())
        assert "programming failed half way" in machine.refusal("fpga_at_66", "FPGA")
    assert machine.names() == {"fpga_at_66"}
    assert machine.is_settled(elsewhere())
