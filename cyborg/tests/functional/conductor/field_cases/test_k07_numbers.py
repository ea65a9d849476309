"""K7: a deployable has as many accelerators as it has handles."""

from __future__ import annotations

import logging

import pytest

from cyborg.domain.clock import provider_uuid
from cyborg.domain.inventory import DeviceReport
from cyborg.tests.functional.conductor.field_cases.hardware import card, gpu, part, pci
from cyborg.tests.functional.conductor.field_cases.machine import Machine, wire_of

GOOD = gpu("GPU-good", "0000:43:00.0")
FUNCTIONS = [pci(f"0000:42:00.{n}") for n in range(4)]


def counted(number: int, handles: int) -> DeviceReport:
    return card("GPU-a", part("gpu", "PGPU", *FUNCTIONS[:handles], num_accelerators=number))


@pytest.mark.parametrize(("number", "handles"), [(4, 1), (1, 4), (0, 4)])
def test_c06_the_number_is_not_that_of_the_handles(
    scheduled: Machine, number: int, handles: int, caplog: pytest.LogCaptureFixture
) -> None:
    scheduled.report(counted(number, handles), GOOD)
    assert scheduled.identities() == {"GPU-good"}
    [line] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert f"deployable gpu has {number} accelerators and {handles} handles" in line
    assert scheduled.candidates("PGPU") == 1
    # When the driver can count, it is recorded.
    scheduled.report(counted(handles, handles), GOOD)
    assert scheduled.offered("gpu", "PGPU") == handles


def test_c06_a_number_that_changes_without_its_handles(scheduled: Machine) -> None:
    """What was recorded stays true."""
    scheduled.report(counted(2, 2))
    bound = scheduled.bind("gpu", "PGPU")
    scheduled.report(counted(4, 2))
    assert scheduled.deployable("gpu").num_accelerators == 2
    assert scheduled.offered("gpu", "PGPU") == 1
    scheduled.delete(bound)
    assert scheduled.offered("gpu", "PGPU") == 2


def test_x08_k7_own_a_card_without_any_handle(scheduled: Machine) -> None:
    """Found with SR-IOV that is not set up: the card is there and has no function to give."""
    empty = card("GPU-flex", part("flex", "CUSTOM_VF"))
    scheduled.report(empty)
    assert scheduled.identities() == {"GPU-flex"}
    assert scheduled.deployable("flex").num_accelerators == 0
    assert scheduled.placement is not None
    assert scheduled.placement.inventories(provider_uuid("flex")) == {}
    assert scheduled.is_settled(empty)
    scheduled.report(card("GPU-flex", part("flex", "CUSTOM_VF", *FUNCTIONS[:2])))
    assert scheduled.offered("flex", "CUSTOM_VF") == 2
    scheduled.report(empty)
    assert scheduled.offered("flex", "CUSTOM_VF") == 0


def test_k7_own_a_handle_that_is_left_out_is_not_counted(scheduled: Machine) -> None:
    """Found here: doubles are left out after the number was compared."""
    twice = [*FUNCTIONS[:2], pci("0000:42:0.1")]
    scheduled.report(card("GPU-a", part("gpu", "PGPU", *twice)))
    assert scheduled.deployable("gpu").num_accelerators == 2
    assert scheduled.offered("gpu", "PGPU") == 2
    for _ in range(2):
        scheduled.bind("gpu", "PGPU")
    scheduled.refusal("gpu", "PGPU")


@pytest.mark.parametrize("number", [-1, 1.5, True, "4", None, 10**30, [4]])
def test_k7_own_a_number_that_is_none(machine: Machine, number: object) -> None:
    """Found with JSON: there are more numbers, and what looks like one, than can be stored."""
    wire = wire_of(counted(4, 4), GOOD)
    wire["devices"][0]["deployables"][0]["num_accelerators"] = number
    machine.send(wire)
    assert machine.identities() == {"GPU-good"}
