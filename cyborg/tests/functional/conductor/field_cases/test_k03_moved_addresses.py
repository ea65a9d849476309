"""K3: cards are at other addresses than before, and some of them are in use."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from cyborg.domain.inventory import DeviceReport
from cyborg.domain.model import HandleCondition, Presence
from cyborg.tests.functional.conductor.field_cases.hardware import but, card, gpu, part, pci
from cyborg.tests.functional.conductor.field_cases.machine import Machine, address_of

READY, VANISHED, UNCLEAN = (
    HandleCondition.READY,
    HandleCondition.VANISHED,
    HandleCondition.UNCLEAN,
)


def at(serial: str, bus: str, **values: Any) -> DeviceReport:
    return gpu(serial, f"0000:{bus}:00.0", **values)


def name(bus: str) -> str:
    return f"compute-1_0000:{bus}:00.0"


def test_b03_r4_cards_are_renumbered_and_one_is_in_use(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.report(at("A", "03"), at("B", "04"), at("C", "07"))
    bound = machine.bind(name("03"), "PGPU")
    assert address_of(bound) == "0000:03:00.0"
    seen = (at("A", "04"), at("B", "03"), at("C", "07", traits=("CUSTOM_NEW",)))
    for _ in range(5):
        machine.report(*seen)
        assert machine.attributes(name("07"))["trait1"] == "CUSTOM_NEW"
        # A's server names 03:00.0, where B is: nobody else gets that.
        assert machine.hardware(name("03")) == {"0000:03:00.0": VANISHED}
        machine.refusal(name("03"), "PGPU")
        # A is at 04:00.0. What is left on it is its owner's, so nobody gets that either.
        machine.refusal(name("04"), "PGPU")
    assert not machine.is_settled(*seen)
    reason = machine.arq(bound).state_reason
    assert reason == "Device B is where A was."
    told = [r for r in caplog.records if "is not where it was" in r.getMessage()]
    assert [(r.levelno, "name=A " in r.getMessage()) for r in told] == [(logging.ERROR, True)]
    machine.delete(bound)
    machine.answer()
    for _ in range(4):
        machine.report(*seen)
        machine.answer()
    places = {serial: machine.device(serial).uuid for serial in "ABC"}
    for serial, bus in (("A", "04"), ("B", "03"), ("C", "07")):
        assert machine.deployable(name(bus)).device_uuid == places[serial]
        assert machine.device(serial).presence == Presence.PRESENT
    assert set(machine.hardware().values()) == {READY}
    assert machine.is_settled(*seen)


def test_b03_r4_a_card_that_goes_meanwhile_is_missed(machine: Machine) -> None:
    """All else of the host was frozen: pulled cards stayed offered."""
    machine.report(at("A", "03"), at("B", "04"), at("C", "07"))
    machine.bind(name("03"), "PGPU")
    for _ in range(3):
        machine.report(at("A", "04"), at("B", "03"))
    assert machine.identities() == {"A", "B"}
    assert name("07") not in machine.names()


def test_b03_r4b_cards_are_renumbered_and_none_is_in_use(machine: Machine) -> None:
    machine.report(at("A", "03"), at("B", "04"), at("C", "07"))
    uuids = {serial: machine.device(serial).uuid for serial in "ABC"}
    seen = (at("A", "04"), at("B", "03"), at("C", "07", traits=("CUSTOM_NEW",)))
    machine.report(*seen)
    assert {serial: machine.device(serial).uuid for serial in "ABC"} == uuids
    assert machine.deployable(name("04")).device_uuid == uuids["A"]
    assert machine.deployable(name("03")).device_uuid == uuids["B"]
    assert machine.attributes(name("07"))["trait1"] == "CUSTOM_NEW"
    machine.answer()
    assert address_of(machine.bind(name("04"), "PGPU")) == "0000:04:00.0"
    assert machine.is_settled(*seen)


def test_k3_own_a_new_card_moves_all_behind_it_by_one(machine: Machine) -> None:
    """Found with the numbering of buses by firmware: a card in the first slot moves all others,
    of which the middle one is in use; then it is taken out again."""
    before = [at(serial, bus) for serial, bus in zip("ABCD", ("01", "02", "03", "04"), strict=True)]
    after = [at(s, b) for s, b in zip("NABCD", ("01", "02", "03", "04", "05"), strict=True)]
    machine.report(*before)
    bound = machine.bind(name("02"), "PGPU")
    for _ in range(4):
        machine.report(*after)
        machine.answer()
        # B's server names 02, where A is; and B is at 03.
        machine.refusal(name("02"), "PGPU")
        machine.refusal(name("03"), "PGPU")
    assert address_of(machine.bind(name("01"), "PGPU")) == "0000:01:00.0"
    assert machine.device("N").presence == Presence.PRESENT
    machine.report(*before)
    assert machine.hardware(name("02")) == {"0000:02:00.0": READY}
    assert machine.arq(bound).state_reason is None
    machine.refusal(name("02"), "PGPU")
    machine.delete(bound)
    machine.answer()
    machine.bind(name("02"), "PGPU")


def test_k3_own_a_quarantined_card_takes_its_dirt_along(machine: Machine) -> None:
    """Found with VMD: switched on in the firmware it moves drives into another PCI domain. The
    address is new, and the card is as dirty as it was."""
    machine.report(at("A", "03"), at("B", "04"))
    machine.delete(machine.bind(name("03"), "PGPU"))
    machine.fail_to_clean("it does not reset")
    domain = "10001:03:00.0"
    moved = gpu("A", domain)
    for _ in range(5):
        machine.report(moved, at("B", "04"))
        machine.answer()
        assert machine.hardware(f"compute-1_{domain}") == {domain: HandleCondition.QUARANTINED}
        machine.refusal(f"compute-1_{domain}", "PGPU")
    machine.bind(name("04"), "PGPU")


def test_k3_own_a_card_in_two_slots_one_after_the_other(machine: Machine) -> None:
    """Found with a riser that makes no good contact: the card is at its old place in every other
    scan, and a server has it."""
    machine.report(at("A", "03"))
    bound = machine.bind(name("03"), "PGPU")
    for bus in ("04", "03", "04", "03"):
        machine.report(at("A", bus))
        assert READY not in [
            condition for key, condition in machine.hardware().items() if key != "0000:03:00.0"
        ]
        for place in machine.names():
            machine.refusal(place, "PGPU")
    assert machine.hardware(name("03")) == {"0000:03:00.0": READY}
    machine.delete(bound)
    assert machine.answer() >= 1
    machine.report(at("A", "03"))
    machine.bind(name("03"), "PGPU")


def test_k3_own_swapped_parts_of_one_card(machine: Machine) -> None:
    """Found with ARI: functions of one card are renumbered between its parts, one in use."""

    def board(first: str, second: str) -> DeviceReport:
        return card(
            "serial",
            part("left", "FPGA", pci(first)),
            part("right", "FPGA", pci(second)),
            type="FPGA",
        )

    one, two = "0000:65:00.1", "0000:65:00.2"
    machine.report(board(one, two))
    bound = machine.bind("left", "FPGA")
    machine.report(board(two, one))
    assert machine.hardware() == {one: VANISHED, two: READY}
    assert address_of(machine.bind("left", "FPGA")) == two
    machine.refusal("right", "FPGA")
    machine.delete(bound)
    machine.report(board(two, one))
    assert address_of(machine.bind("right", "FPGA")) == one
    assert machine.is_settled(board(two, one))


def test_k3_own_another_trait_is_applied_beside_what_waits(machine: Machine) -> None:
    """Found here: what waits on a card must not keep its own news back."""
    machine.report(at("A", "03"), at("B", "04"))
    machine.bind(name("03"), "PGPU")
    machine.report(at("B", "03"), but(at("A", "04"), model="after an update"))
    assert machine.device("A").model == "after an update"
