"""K2: a device is known by another identity than before, in the place where it was."""

from __future__ import annotations

import pytest

from cyborg.domain.model import HandleCondition, Presence
from cyborg.tests.functional.conductor.field_cases.hardware import but, card, gpu, part, pci
from cyborg.tests.functional.conductor.field_cases.machine import Machine, address_of

SLOT = "0000:42:00.0"
NAME = f"compute-1_{SLOT}"
OTHER = gpu("GPU-other", "0000:43:00.0")
BETTER_OTHER = but(OTHER, traits=("CUSTOM_NEW",))
OLD = gpu("GPU-old", SLOT)
NEW = but(gpu("GPU-new", SLOT), model="H100")


def test_b01_a_card_is_replaced_in_its_slot(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """The very next report applies all of it; the old card is gone after its grace."""
    machine.report(OLD, OTHER)
    old = machine.device("GPU-old")
    machine.report(NEW, BETTER_OTHER)
    assert machine.identities() == {"GPU-old", "GPU-new", "GPU-other"}
    assert machine.device("GPU-old").presence == Presence.SUSPECT
    assert machine.attributes("compute-1_0000:43:00.0")["trait1"] == "CUSTOM_NEW"
    assert machine.deployable(NAME).device_uuid == machine.device("GPU-new").uuid != old.uuid
    assert machine.device("GPU-new").model == "H100"
    # Nobody knows who had the new one before.
    machine.refusal(NAME, "PGPU")
    assert machine.answer() == 1
    assert address_of(machine.bind(NAME, "PGPU")) == SLOT
    machine.report(NEW, BETTER_OTHER)
    machine.report(NEW, BETTER_OTHER)
    assert machine.identities() == {"GPU-new", "GPU-other"}
    assert machine.is_settled(NEW, BETTER_OTHER)
    assert not [r for r in caplog.records if "refused" in r.getMessage()]


def test_b01_finding_4_a_card_is_replaced_that_somebody_has(machine: Machine) -> None:
    machine.report(OLD, OTHER)
    bound = machine.bind(NAME, "PGPU")
    for _ in range(5):
        machine.report(NEW, BETTER_OTHER)
        # All else of the host at once; the new card when nothing of the old is held.
        assert machine.attributes("compute-1_0000:43:00.0")["trait1"] == "CUSTOM_NEW"
        machine.refusal(NAME, "PGPU")
        assert not machine.is_settled(NEW, BETTER_OTHER)
    old = machine.device("GPU-old")
    assert old.presence == Presence.MISSING
    assert machine.hardware(NAME) == {SLOT: HandleCondition.VANISHED}
    machine.delete(bound)
    # What the agent cleans now is the new card, if anything: it finds no old one.
    assert machine.answer("no GPU-old there", away=True) == 1
    machine.report(NEW, BETTER_OTHER)
    assert machine.deployable(NAME).device_uuid == machine.device("GPU-new").uuid
    # Nobody knows whose the new one was: it was put in while another's work went on.
    assert machine.hardware(NAME) == {SLOT: HandleCondition.UNCLEAN}
    machine.refusal(NAME, "PGPU")
    assert machine.answer() == 1
    machine.bind(NAME, "PGPU")


def test_b01_its_owner_is_told(machine: Machine) -> None:
    machine.report(OLD)
    bound = machine.bind(NAME, "PGPU")
    machine.report(NEW)
    reason = machine.arq(bound).state_reason
    assert reason is not None
    assert "GPU-new is where GPU-old was" in reason


def test_b01_what_was_dirty_of_the_old_card_is_so_when_it_comes_back(machine: Machine) -> None:
    machine.report(OLD, OTHER)
    bound = machine.bind(NAME, "PGPU")
    machine.report(NEW, OTHER)
    machine.delete(bound)
    machine.answer("no GPU-old there", away=True)
    for _ in range(5):
        machine.report(NEW, OTHER)
    machine.answer()
    assert machine.hardware(NAME) == {SLOT: HandleCondition.READY}
    assert "GPU-old" in machine.identities(), "who forgets it would give it away as it is"
    back = gpu("GPU-old", "0000:44:00.0")
    machine.report(NEW, OTHER, back)
    assert machine.hardware("compute-1_0000:44:00.0") == {"0000:44:00.0": "unclean"}
    machine.refusal("compute-1_0000:44:00.0", "PGPU")
    assert machine.answer() == 1
    machine.bind("compute-1_0000:44:00.0", "PGPU")


BEFORE, AFTER = gpu(SLOT, SLOT), gpu("GPU-5e2a", SLOT)


@pytest.mark.parametrize("in_use", [False, True])
def test_b05_a_serial_can_be_read_later(machine: Machine, in_use: bool) -> None:
    machine.report(BEFORE, OTHER)
    before = machine.device(SLOT)
    if in_use:
        machine.bind(NAME, "PGPU")
    machine.report(AFTER, BETTER_OTHER)
    assert machine.device("GPU-5e2a").uuid == before.uuid
    assert machine.identities() == {"GPU-5e2a", "GPU-other"}
    assert machine.hardware(NAME) == {SLOT: HandleCondition.READY}
    assert machine.attributes("compute-1_0000:43:00.0")["trait1"] == "CUSTOM_NEW"
    assert machine.is_settled(AFTER, BETTER_OTHER)
    if in_use:
        machine.refusal(NAME, "PGPU")
    else:
        machine.bind(NAME, "PGPU")


def test_b05_a_serial_cannot_be_read_while_a_guest_has_the_card(machine: Machine) -> None:
    """And the other way round; the card is known by its serial from then on."""
    machine.report(AFTER)
    uuid = machine.device("GPU-5e2a").uuid
    bound = machine.bind(NAME, "PGPU")
    for seen in (BEFORE, BEFORE, AFTER, BEFORE, BEFORE, BEFORE):
        machine.report(seen)
        assert machine.device("GPU-5e2a").uuid == uuid
        assert machine.device("GPU-5e2a").presence == Presence.PRESENT
        machine.refusal(NAME, "PGPU")
    machine.delete(bound)
    assert machine.answer() == 1
    machine.report(AFTER)
    machine.bind(NAME, "PGPU")


def test_b05_o6_a_uuid_in_another_case(machine: Machine) -> None:
    machine.report(gpu("GPU-5e2a", SLOT))
    uuid = machine.device("GPU-5e2a").uuid
    machine.bind(NAME, "PGPU")
    machine.report(gpu("GPU-5E2A", SLOT))
    [row] = [machine.device(each) for each in machine.identities()]
    assert row.uuid == uuid
    machine.refusal(NAME, "PGPU")


def test_k2_own_a_card_comes_back_before_its_grace_is_over(machine: Machine) -> None:
    """Found with a vendor's repair manual: put in the spare part, see that the fault is the
    slot's, put the old card back."""
    machine.report(OLD, OTHER)
    uuid = machine.device("GPU-old").uuid
    machine.report(NEW, OTHER)
    # The agent cleans the spare part while it is pulled: it stays its until that has ended.
    machine.report(OLD, OTHER)
    assert machine.answer("no GPU-new there", away=True) == 1
    machine.refusal(NAME, "PGPU")
    machine.report(OLD, OTHER)
    assert machine.device("GPU-old").uuid == uuid
    assert machine.deployable(NAME).device_uuid == uuid
    assert machine.device("GPU-new").presence == Presence.SUSPECT
    machine.answer()
    machine.bind(NAME, "PGPU")
    for _ in range(3):
        machine.report(OLD, OTHER)
    # It was not cleaned, so it is remembered.
    assert machine.device("GPU-new").presence == Presence.MISSING
    assert machine.is_settled(OLD, OTHER)


def test_k2_own_a_card_of_many_parts_replaced_by_one_of_fewer(machine: Machine) -> None:
    """Found with FPGA cards: a board with two regions is replaced by one with a single region,
    whose driver calls the first one the same."""

    def board(serial: str, *regions: int) -> None:
        parts = [
            part(f"fpga_{n}", "FPGA", pci(f"0000:65:00.{n}"), programmable=True) for n in regions
        ]
        machine.report(card(serial, *parts, type="FPGA"), OTHER)

    board("serial-1", 0, 1)
    first = machine.bind("fpga_1", "FPGA")
    board("serial-2", 0)
    machine.bind("fpga_0", "FPGA")
    machine.refusal("fpga_1", "FPGA")
    machine.delete(first)
    for _ in range(4):
        board("serial-2", 0)
    assert machine.names() == {"fpga_0", "compute-1_0000:43:00.0"}
    assert machine.identities() == {"serial-2", "GPU-other"}


VENDORS = card(
    "serial 0324", part("vendor_gpu", "PGPU", pci(SLOT), needs_release=True), driver="vendor"
)


def test_k2_own_the_driver_of_a_card_is_replaced(machine: Machine) -> None:
    """Found with a move from an in-tree driver to a vendor's: another driver, another name for
    the card and for its part, and the same function."""
    machine.report(OLD, OTHER)
    machine.report(VENDORS, BETTER_OTHER)
    assert machine.hardware("vendor_gpu") == {SLOT: HandleCondition.UNCLEAN}
    assert machine.hardware(NAME) == {}
    assert machine.answer() == 1
    machine.bind("vendor_gpu", "PGPU")
    machine.report(VENDORS, BETTER_OTHER)
    machine.report(VENDORS, BETTER_OTHER)
    assert machine.identities() == {"serial 0324", "GPU-other"}
    assert machine.is_settled(VENDORS, BETTER_OTHER)


def test_k2_own_the_driver_of_a_card_in_use_is_replaced(machine: Machine) -> None:
    """The same, with a server on the card all the time."""
    machine.report(OLD, OTHER)
    bound = machine.bind(NAME, "PGPU")
    for _ in range(5):
        machine.report(VENDORS, BETTER_OTHER)
        assert machine.hardware(NAME) == {SLOT: HandleCondition.VANISHED}
        assert machine.hardware("vendor_gpu") == {}
        assert machine.attributes("compute-1_0000:43:00.0")["trait1"] == "CUSTOM_NEW"
    machine.refusal(NAME, "PGPU")
    machine.refusal("vendor_gpu", "PGPU")
    machine.delete(bound)
    machine.answer("no driver named gpu_driver", away=True)
    machine.report(VENDORS, BETTER_OTHER)
    assert machine.hardware("vendor_gpu") == {SLOT: HandleCondition.UNCLEAN}
    assert machine.answer() == 1
    machine.bind("vendor_gpu", "PGPU")
    assert machine.is_settled(VENDORS, BETTER_OTHER)
    # As far as anybody can tell, another card was there, and was not cleaned.
    assert machine.device("GPU-old").presence == Presence.MISSING
