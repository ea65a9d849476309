"""K10: what an operator said of a device is kept while the device is away."""

from __future__ import annotations

from cyborg.conductor import catalogue
from cyborg.domain.inventory import DeviceReport
from cyborg.domain.model import DeviceStatus, Presence
from cyborg.tests.functional.conductor.field_cases.hardware import card, gpu, part, pci
from cyborg.tests.functional.conductor.field_cases.machine import Machine

SLOT = "0000:42:00.0"
NAME = f"compute-1_{SLOT}"
A, OTHER = gpu("GPU-a", SLOT), gpu("GPU-b", "0000:43:00.0")


def disable(machine: Machine, identity: str) -> None:
    uuid = machine.device(identity).uuid
    catalogue.set_device_status(machine.env, uuid, DeviceStatus.MAINTAINING)


def say(machine: Machine, name: str, key: str, value: str) -> None:
    catalogue.create_attribute(machine.env, machine.deployable(name).uuid, key, value)


def test_d06_finding_8_a_disabled_card_is_pulled_and_put_back(scheduled: Machine) -> None:
    scheduled.report(A, OTHER)
    disable(scheduled, "GPU-a")
    say(scheduled, NAME, "trait9", "CUSTOM_RESERVED")
    uuid = scheduled.device("GPU-a").uuid
    for _ in range(5):
        scheduled.report(OTHER)
    assert scheduled.device("GPU-a").presence == Presence.MISSING
    assert scheduled.is_settled(OTHER)
    scheduled.report(A, OTHER)
    found = scheduled.device("GPU-a")
    assert (found.uuid, found.status) == (uuid, DeviceStatus.MAINTAINING)
    assert found.presence == Presence.PRESENT
    assert scheduled.attributes(NAME)["trait9"] == "CUSTOM_RESERVED"
    assert scheduled.offered(NAME, "PGPU") == 0
    assert "disabled" in scheduled.refusal(NAME, "PGPU")
    catalogue.set_device_status(scheduled.env, uuid, DeviceStatus.ENABLED)
    scheduled.bind(NAME, "PGPU")


def test_d06_attributes_alone_keep_a_card(machine: Machine) -> None:
    machine.report(A, OTHER)
    say(machine, NAME, "room", "12")
    for _ in range(5):
        machine.report(OTHER)
    machine.report(A, OTHER)
    assert machine.attributes(NAME)["room"] == "12"
    machine.bind(NAME, "PGPU")


def test_k10_own_a_card_of_which_much_is_said(machine: Machine) -> None:
    """All of it is remembered while another card is in its place: a TEXT of MariaDB ends before."""
    machine.report(A, OTHER)
    said = {f"note{number}": "\N{MEMO}" * 255 for number in range(40)}
    for key, value in said.items():
        say(machine, NAME, key, value)
    machine.report(gpu("GPU-c", SLOT), OTHER)
    machine.report(gpu("GPU-a", "0000:44:00.0"), gpu("GPU-c", SLOT), OTHER)
    assert said.items() <= machine.attributes("compute-1_0000:44:00.0").items()


def test_d06_of_what_nobody_said_anything_is_forgotten(machine: Machine) -> None:
    machine.report(A, OTHER)
    for _ in range(3):
        machine.report(OTHER)
    assert machine.identities() == {"GPU-b"}


def test_k10_own_a_disabled_card_comes_back_in_another_slot(machine: Machine) -> None:
    """Found with a maintenance manual: the card is known by its serial, wherever it is put."""
    machine.report(A, OTHER)
    disable(machine, "GPU-a")
    say(machine, NAME, "room", "12")
    for _ in range(5):
        machine.report(OTHER)
    elsewhere = gpu("GPU-a", "0000:51:00.0")
    for _ in range(5):
        machine.report(elsewhere, OTHER)
        assert machine.device("GPU-a").status == DeviceStatus.MAINTAINING
        machine.refusal("compute-1_0000:51:00.0", "PGPU")
    assert machine.attributes("compute-1_0000:51:00.0")["room"] == "12"
    assert NAME not in machine.names()


def test_k10_own_another_card_in_the_place_of_a_disabled_one(machine: Machine) -> None:
    """Found with an exchange of a broken card: what was said of the old one is not true of the
    spare, and still is when the old one is back from its repair."""
    machine.report(A)
    disable(machine, "GPU-a")
    say(machine, NAME, "fault", "fan")
    spare = gpu("GPU-spare", SLOT)
    for _ in range(5):
        machine.report(spare)
        machine.answer()
    assert machine.device("GPU-spare").status == DeviceStatus.ENABLED
    assert "fault" not in machine.attributes(NAME)
    machine.bind(NAME, "PGPU")
    repaired = gpu("GPU-a", "0000:51:00.0")
    machine.report(spare, repaired)
    assert machine.device("GPU-a").status == DeviceStatus.MAINTAINING
    assert machine.attributes("compute-1_0000:51:00.0")["fault"] == "fan"
    assert "fault" not in machine.attributes(NAME)


def test_k10_own_words_of_one_part_of_several(machine: Machine) -> None:
    """Found with FPGA cards: a card loses a region for a while when it is set up otherwise, and
    another of its regions was marked."""

    def board(*regions: int) -> DeviceReport:
        parts = [part(f"fpga_{n}", "FPGA", pci(f"0000:65:00.{n}")) for n in regions]
        return card("serial", *parts, type="FPGA")

    machine.report(board(0, 1, 2))
    say(machine, "fpga_1", "for", "tests")
    say(machine, "fpga_2", "for", "crypto")
    for _ in range(4):
        machine.report(board(0, 2))
    assert machine.attributes("fpga_2")["for"] == "crypto"
    assert "for" not in machine.attributes("fpga_0")
    machine.report(board(0, 1, 2))
    assert machine.attributes("fpga_1")["for"] == "tests"
    assert machine.attributes("fpga_2")["for"] == "crypto"
    assert "for" not in machine.attributes("fpga_0")


def test_k10_own_a_driver_reports_the_key_by_now(machine: Machine) -> None:
    """Found here: a driver's word goes before an operator's of the same key, and he gets no
    second attribute of it."""
    machine.report(A)
    say(machine, NAME, "trait1", "CUSTOM_MINE")
    for _ in range(5):
        machine.report()
    machine.report(gpu("GPU-a", "0000:51:00.0", traits=("CUSTOM_DRIVERS",)))
    for _ in range(3):
        machine.report(gpu("GPU-a", "0000:51:00.0", traits=("CUSTOM_DRIVERS",)))
    assert machine.attributes("compute-1_0000:51:00.0")["trait1"] == "CUSTOM_DRIVERS"
