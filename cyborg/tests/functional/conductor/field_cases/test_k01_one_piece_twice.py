"""K1: one piece of hardware, reported as several handles, is one handle."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from cyborg.domain.clock import provider_uuid
from cyborg.domain.errors import NoFreeHandle
from cyborg.domain.inventory import HandleReport
from cyborg.tests.functional.conductor.field_cases.hardware import (
    at,
    but,
    card,
    gpu,
    part,
    pci,
)
from cyborg.tests.functional.conductor.field_cases.machine import Machine, address_of

GPU = gpu("GPU-aaaa", "0000:42:00.0", needs_release=False)
GENERIC = card(
    "0000:42:00.0",
    part("compute-1_pci_0000:42:00.0", "CUSTOM_PCI", pci("0000:42:00.0")),
    driver="pci_driver",
)
WHOLE = "compute-1_0000:42:00.0"


def test_a01_a_function_that_two_drivers_find(
    scheduled: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    scheduled.report(GPU, GENERIC)
    assert scheduled.identities() == {"GPU-aaaa"}
    [line] = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert "device 0000:42:00.0 left out" in line
    assert f"0000:42:00.0 of compute-1_pci_0000:42:00.0 is offered as {WHOLE}" in line
    assert scheduled.placement is not None
    assert scheduled.placement.provider(provider_uuid("compute-1_pci_0000:42:00.0")) is None
    assert (scheduled.candidates("PGPU"), scheduled.candidates("CUSTOM_PCI")) == (1, 0)
    bound = scheduled.bind(WHOLE, "PGPU")
    assert address_of(bound) == "0000:42:00.0"
    assert scheduled.candidates("PGPU") == 0
    # Neither does it have the function when the other driver fails to see it once.
    scheduled.report(GENERIC, failed=["gpu_driver"])
    assert scheduled.candidates("CUSTOM_PCI") == 0
    assert scheduled.hardware() == {"0000:42:00.0": "ready"}


def test_a01_two_drivers_in_the_other_order(machine: Machine) -> None:
    """Whoever is named first has it, from the first report on."""
    machine.report(GENERIC, GPU)
    assert machine.identities() == {"0000:42:00.0"}
    machine.bind("compute-1_pci_0000:42:00.0", "CUSTOM_PCI")
    # An operator changes the order: what has an owner stays where it is.
    machine.report(GPU, GENERIC)
    assert machine.hardware() == {"0000:42:00.0": "ready"}
    assert machine.hardware("compute-1_pci_0000:42:00.0") == machine.hardware()


SPELLINGS = ("0000:c8:00.0", "0000:C8:00.0", "00000000:c8:00.0", "0000:c8:0.0")


def test_a03_one_function_in_four_spellings(machine: Machine) -> None:
    machine.report(card("GPU-a", part("gpu", "PGPU", *map(pci, SPELLINGS))))
    assert machine.deployable("gpu").num_accelerators == 1
    bound = machine.bind("gpu", "PGPU")
    assert address_of(bound) == "0000:c8:00.0"
    assert "Too few" in machine.refusal("gpu", "PGPU")


def test_a03_r1b_two_parts_whose_names_differ_in_case(machine: Machine) -> None:
    lower = part("host_0000:c8:00.0", "PGPU", pci("0000:c8:00.0"))
    upper = part("host_0000:C8:00.0", "PGPU", pci("0000:C8:00.0"))
    machine.report(card("GPU-a", lower, upper))
    assert machine.names() == {"host_0000:c8:00.0"}
    machine.bind("host_0000:c8:00.0", "PGPU")
    assert machine.hardware() == {"0000:c8:00.0": "ready"}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a03_another_spelling_after_an_upgrade_is_the_same_handle(
    machine: Machine, spelling: str
) -> None:
    machine.report(card("GPU-a", part("gpu", "PGPU", pci(SPELLINGS[0]))))
    before = machine.bind("gpu", "PGPU")
    again = card("GPU-a", part("gpu", "PGPU", pci(spelling)))
    machine.report(again)
    assert machine.hardware() == {"0000:c8:00.0": "ready"}
    assert before.attach_handle is not None
    assert machine.infos("gpu") == [before.attach_handle.info]
    assert machine.is_settled(again)


def test_finding_1_info_changes_under_an_owner(machine: Machine) -> None:
    """A port gets its physical_network; a release of ours adds a key."""
    ports = [pci(f"0000:af:00.{n}", physical_network="a") for n in range(1, 5)]
    nic = card("nic", part("nic", "CUSTOM_NIC", *ports), type="NIC")
    machine.report(nic)
    bound = machine.bind("nic", "CUSTOM_NIC")
    changed = [
        replace(p, info={**p.info, "physical_network": "b", "managed": "yes"}) for p in ports
    ]
    machine.report(but(nic, handles=tuple(changed)))
    assert len(machine.hardware()) == 4
    assert all(info["physical_network"] == "b" for info in machine.infos("nic"))
    others = [machine.bind("nic", "CUSTOM_NIC") for _ in range(3)]
    assert len({address_of(each) for each in (bound, *others)}) == 4
    machine.refusal("nic", "CUSTOM_NIC")


def test_finding_1_a_deployable_that_is_called_otherwise_while_in_use(machine: Machine) -> None:
    machine.report(card("GPU-a", part("vm_gpu", "PGPU", pci("0000:42:00.0"))))
    bound = machine.bind("vm_gpu", "PGPU")
    renamed = card("GPU-a", part("vm.example.org_gpu", "PGPU", pci("0000:42:00.0")))
    for _ in range(5):
        machine.report(renamed)
        assert len(machine.hardware()) == 1
        if "vm.example.org_gpu" in machine.names():
            machine.refusal("vm.example.org_gpu", "PGPU")
    machine.delete(bound)
    machine.report(renamed)
    machine.report(renamed)
    machine.bind("vm.example.org_gpu", "PGPU")
    assert "vm_gpu" not in machine.names()
    assert machine.is_settled(renamed)


def test_finding_1_a_quarantined_handle_has_no_twin(machine: Machine) -> None:
    machine.report(gpu("GPU-a", "0000:42:00.0"))
    machine.delete(machine.bind(WHOLE, "PGPU"))
    machine.fail_to_clean()
    assert machine.hardware() == {"0000:42:00.0": "quarantined"}
    for spelling in ("0000:42:0.0", "00000000:42:00.0"):
        machine.report(card("GPU-a", part(WHOLE, "PGPU", pci(spelling, managed="yes"))))
        assert machine.hardware() == {"0000:42:00.0": "quarantined"}
        machine.refusal(WHOLE, "PGPU")
    machine.report(card("GPU-a", part("another name", "PGPU", pci("0000:42:00.0"))))
    assert machine.hardware() == {"0000:42:00.0": "quarantined"}


def test_x26_two_chips_at_one_address(machine: Machine) -> None:
    """Passed through, an Atlas 300I Duo is one function, whatever npu-smi counts."""
    chips = [
        card(f"npu-0-{chip}", part(f"npu-0-{chip}", "CUSTOM_NPU", pci("0000:01:00.0")))
        for chip in (0, 1)
    ]
    machine.report(*chips)
    assert machine.identities() == {"npu-0-0"}
    assert machine.hardware() == {"0000:01:00.0": "ready"}


def test_x19_partitions_at_one_address(machine: Machine) -> None:
    partitions = [pci("0000:05:00.0", partition=str(n)) for n in range(8)]
    machine.report(card("mi300x", part("mi300x", "PGPU", *partitions)))
    machine.bind("mi300x", "PGPU")
    machine.refusal("mi300x", "PGPU")


def test_k1_own_one_virtual_function_in_the_list_of_two_drivers(machine: Machine) -> None:
    """Found with QAT's documentation: its VFs are bound to vfio-pci, and a driver for all
    functions of vfio-pci finds some of them, beside what is its own."""
    vfs = [f"0000:3d:01.{n}" for n in range(4)]
    qat = card("0000:3d:00.0", part("qat", "CUSTOM_QAT", *map(pci, vfs)), driver="qat", type="QAT")
    mixed = card(
        "vfio",
        part("vfio", "CUSTOM_VFIO", pci("0000:18:02.0"), pci("0000:3D:01.1"), pci("0000:3d:1.3")),
        driver="vfio",
    )
    machine.report(qat, mixed)
    assert set(machine.hardware("qat")) == set(vfs)
    assert machine.hardware("vfio") == {"0000:18:02.0": "ready"}
    assert machine.deployable("vfio").num_accelerators == 1
    given = [address_of(machine.bind("qat", "CUSTOM_QAT")) for _ in vfs]
    given.append(address_of(machine.bind("vfio", "CUSTOM_VFIO")))
    assert len(set(given)) == 5
    # The same from then on, whichever of them sees it first.
    machine.report(mixed, qat)
    assert set(machine.hardware("qat")) == set(vfs)


def test_k1_own_what_is_no_function_is_known_by_its_key(machine: Machine) -> None:
    """Found with NVMe's specification: a namespace has an EUI-64, and drivers print it with
    and without case while the path in its info changes with each boot."""

    def namespace(path: str, key: str) -> HandleReport:
        return HandleReport("NVME_NS", {"path": path}, key=key)

    def drive(*found: HandleReport) -> None:
        machine.report(card("nvme-1", part("nvme", "CUSTOM_NVME", *found), type="SSD"))

    drive(namespace("/dev/nvme0n1", "eui.002538b1"), namespace("/dev/nvme0n2", "eui.002538b2"))
    bound = machine.bind("nvme", "CUSTOM_NVME")
    drive(namespace("/dev/nvme3n1", "EUI.002538B1"), namespace("/dev/nvme3n2", "eui.002538b2 "))
    assert set(machine.hardware()) == {"eui.002538b1", "eui.002538b2"}
    other = machine.bind("nvme", "CUSTOM_NVME")
    assert bound.attach_handle is not None
    assert other.attach_handle is not None
    assert other.attach_handle.uuid != bound.attach_handle.uuid
    with pytest.raises(NoFreeHandle):
        machine.bind("nvme", "CUSTOM_NVME")


def test_k1_own_devices_of_tests_are_at_no_address_of_the_host(machine: Machine) -> None:
    """Found here: the fake driver's addresses are made up, and one of them is a real card's."""
    fake = card("fake", part("fake", "FPGA", HandleReport("TEST_PCI", at("0000:42:00.0"))))
    machine.report(fake, GPU)
    machine.bind("fake", "FPGA")
    machine.bind(WHOLE, "PGPU")
