"""K11: a name that another host has costs the part that has it, and is named."""

from __future__ import annotations

import logging

import pytest

from cyborg.tests.functional.conductor.field_cases.hardware import card, gpu, part, pci
from cyborg.tests.functional.conductor.field_cases.machine import Machine

NAME = "npu_0000:9d:00.0"
OF_N1 = card("npu-1", part(NAME, "CUSTOM_NPU", pci("0000:9d:00.0")))
OF_N2 = card("npu-2", part(NAME, "CUSTOM_NPU", pci("0000:9d:00.0")))
GOOD = gpu("GPU-good", "0000:42:00.0", host="n2")


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]


def test_d16_two_hosts_report_a_part_of_one_name(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.report(OF_N1, host="n1")
    machine.report(OF_N2, GOOD, host="n2")
    assert machine.names() == {NAME, "n2_0000:42:00.0"}
    assert "GPU-good" in machine.identities("n2")
    assert machine.deployable(NAME).device_uuid == machine.device("npu-1").uuid
    [line] = errors(caplog)
    assert all(text in line for text in ("host=n2", "npu-2", "n1", NAME))


def test_d16_it_does_not_end_there(machine: Machine) -> None:
    """The colliding one comes in when the name is free, without any news of its own."""
    machine.report(OF_N1, host="n1")
    machine.report(OF_N2, GOOD, host="n2")
    assert not machine.is_settled(OF_N2, GOOD, host="n2")
    for _ in range(3):
        machine.report(host="n1")
    machine.report(OF_N2, GOOD, host="n2")
    assert machine.deployable(NAME).device_uuid == machine.device("npu-2").uuid
    assert machine.is_settled(OF_N2, GOOD, host="n2")


def test_k11_own_one_part_of_a_card(machine: Machine) -> None:
    """Found with cards of several parts: the others are no worse for it."""
    parts = [part(f"n2_{n}", "CUSTOM_NPU", pci(f"0000:9d:00.{n}")) for n in (1, 2)]
    mixed = card("npu-2", *OF_N2.deployables, *parts)
    machine.report(OF_N1, host="n1")
    machine.report(mixed, host="n2")
    assert machine.names() == {NAME, "n2_1", "n2_2"}
    assert machine.deployable("n2_1").device_uuid == machine.device("npu-2").uuid


def test_k11_own_two_hosts_of_one_image(machine: Machine) -> None:
    """Found with cloned machines: what is unique on its host only, identities and addresses, is
    equal on both, and that is nothing to complain of."""
    for host in ("n1", "n2"):
        machine.report(gpu("GPU-a", "0000:42:00.0", host=host), host=host)
    assert machine.names() == {"n1_0000:42:00.0", "n2_0000:42:00.0"}
    assert machine.identities("n1") == machine.identities("n2") == {"GPU-a"}
    # And what one of them loses, the other keeps.
    for _ in range(3):
        machine.report(host="n1")
    assert machine.names() == {"n2_0000:42:00.0"}


def test_k11_own_a_name_in_another_case_is_another_name(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """Found with Placement, for which names of providers that differ in case only may be equal
    or not, as its database has it; the uuid that we make of a name differs in any case."""
    machine.report(OF_N1, host="n1")
    upper = card("npu-2", part(NAME.upper(), "CUSTOM_NPU", pci("0000:9d:00.0")))
    machine.report(upper, GOOD, host="n2")
    assert "GPU-good" in machine.identities("n2")
    assert not [r for r in caplog.records if "refused" in r.getMessage()]
