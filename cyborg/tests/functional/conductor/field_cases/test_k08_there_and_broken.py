"""K8: a device that is there and does not work is not offered, and hides nothing else."""

from __future__ import annotations

import logging

import pytest

from cyborg.domain.inventory import DeviceReport
from cyborg.domain.model import DeviceCondition, Presence
from cyborg.tests.functional.conductor.field_cases.hardware import but, gpu
from cyborg.tests.functional.conductor.field_cases.machine import Machine, wire_of

A, B, C = (gpu(f"GPU-{letter}", f"0000:4{n}:00.0") for n, letter in enumerate("abc"))
NAME_A, NAME_B, NAME_C = (f"compute-1_0000:4{n}:00.0" for n in range(3))
DRIVER = A.driver


def broken(device: DeviceReport, reason: str = "fallen off the bus") -> DeviceReport:
    return but(device, condition=DeviceCondition.FAILED, condition_reason=reason)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]


def test_d02_a_card_that_its_driver_calls_lost(
    scheduled: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    scheduled.report(A, B)
    caplog.clear()
    for _ in range(4):
        scheduled.report(broken(A), B)
        assert scheduled.offered(NAME_A, "PGPU") == 0
        assert scheduled.candidates("PGPU") == 1
        assert "has failed: fallen off the bus" in scheduled.refusal(NAME_A, "PGPU")
    found = scheduled.device("GPU-a")
    assert (found.condition, found.presence) == (DeviceCondition.FAILED, Presence.PRESENT)
    assert found.condition_reason == "fallen off the bus"
    # Once, with name and uuid.
    [line] = errors(caplog)
    assert all(text in line for text in (found.uuid, "GPU-a", "has failed", "fallen off the bus"))
    assert scheduled.is_settled(broken(A), B)
    scheduled.bind(NAME_B, "PGPU")


def test_k8_own_a_card_that_is_broken_when_it_is_found(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told of with the uuid by which an operator finds it."""
    for _ in range(2):
        machine.report(broken(A), B)
    machine.refusal(NAME_A, "PGPU")
    [line] = errors(caplog)
    assert all(text in line for text in (machine.device("GPU-a").uuid, "GPU-a", "has failed"))


def test_d02_a_card_that_could_not_be_looked_at_hides_no_other(scheduled: Machine) -> None:
    """While one problem lasted, no absent device of its driver was ever suspected."""
    scheduled.report(A, B, C)
    for _ in range(10):
        scheduled.report(B, unseen=[(DRIVER, "GPU-a")])
    # C is not in the machine any more.
    assert scheduled.identities() == {"GPU-a", "GPU-b"}
    assert scheduled.offered(NAME_C, "PGPU") == 0
    # A may well be, and it says nothing of B.
    assert scheduled.device("GPU-a").presence == Presence.PRESENT
    scheduled.bind(NAME_B, "PGPU")


def test_d02_a_broken_card_beside_one_that_was_pulled(scheduled: Machine) -> None:
    scheduled.report(A, B, C)
    for _ in range(10):
        scheduled.report(broken(A), B)
    assert scheduled.identities() == {"GPU-a", "GPU-b"}
    assert scheduled.candidates("PGPU") == 1
    scheduled.refusal(NAME_A, "PGPU")


def test_d02_who_has_it_keeps_it(scheduled: Machine) -> None:
    scheduled.report(A)
    bound = scheduled.bind(NAME_A, "PGPU")
    scheduled.report(broken(A))
    assert scheduled.arq(bound).attach_handle == bound.attach_handle
    scheduled.delete(bound)
    assert scheduled.answer() == 1
    scheduled.refusal(NAME_A, "PGPU")
    scheduled.report(A)
    assert scheduled.offered(NAME_A, "PGPU") == 1
    scheduled.bind(NAME_A, "PGPU")


def test_x16_a_card_on_its_golden_image(scheduled: Machine) -> None:
    """It is there, visibly not ready, and becomes ready without being made anew."""
    golden = broken(but(A, programmable=True), "it runs its golden image")
    scheduled.report(golden)
    uuid = scheduled.device("GPU-a").uuid
    assert scheduled.candidates("PGPU") == 0
    assert "golden image" in scheduled.refusal(NAME_A, "PGPU")
    scheduled.report(but(A, programmable=True, condition=DeviceCondition.HEALTHY))
    assert scheduled.device("GPU-a").uuid == uuid
    scheduled.bind(NAME_A, "PGPU")


def test_x23_one_of_four_is_lost(scheduled: Machine) -> None:
    cards = [gpu(f"GPU-{n}", f"0000:1{n}:00.0") for n in range(4)]
    scheduled.report(*cards)
    for _ in range(5):
        scheduled.report(*cards[1:], unseen=[(DRIVER, "0000:10:00.0")])
    # Its address is all that its driver can say of it, and it is that of GPU-0.
    assert scheduled.identities() == {f"GPU-{n}" for n in range(4)}


def test_k8_own_a_condition_that_wavers_is_told_once_each_time(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """Found with counters of corrected errors: what is degraded works, and is offered; and its
    reason may be said in other words without being news."""
    caplog.set_level(logging.INFO)
    machine.report(A)
    for reason in ("8 errors corrected", "9 errors corrected", "9 errors corrected"):
        degraded = but(A, condition=DeviceCondition.DEGRADED, condition_reason=reason)
        machine.report(degraded)
    assert machine.device("GPU-a").condition_reason == "9 errors corrected"
    machine.bind(NAME_A, "PGPU")
    told = [r.getMessage() for r in caplog.records if "is degraded" in r.getMessage()]
    assert len(told) == 1
    machine.report(but(A, condition=DeviceCondition.HEALTHY))
    assert "works again" in caplog.text
    assert machine.device("GPU-a").condition_reason is None


def test_k8_own_a_card_that_is_lost_while_it_is_broken(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """Found with a card that fell off the bus for good: it goes as any other does, and comes
    back as what it is then."""
    machine.report(A, B)
    machine.report(broken(A), B)
    for _ in range(3):
        machine.report(B)
    assert machine.identities() == {"GPU-b"}
    machine.report(broken(A), B)
    machine.refusal(NAME_A, "PGPU")
    assert len(errors(caplog)) == 2, "it was found broken, and nobody was told"


def test_k8_own_a_condition_of_a_later_release(machine: Machine) -> None:
    """Found here: an agent newer than its conductor has more words for how a device is."""
    machine.report(A, B)
    wire = wire_of(A, B)
    wire["devices"][0]["condition"] = "thermally_throttled"
    wire["devices"][0]["condition_reason"] = "94 degrees"
    machine.send(wire)
    assert machine.device("GPU-a").condition == DeviceCondition.UNMONITORED
    machine.bind(NAME_A, "PGPU")


def test_k8_own_the_driver_itself_cannot_look(machine: Machine) -> None:
    """Found with a tool that is not installed: all of a driver's devices are as they were, and
    those of others go."""
    other = but(gpu("NPU", "0000:51:00.0"), driver="npu_driver")
    machine.report(A, B, other)
    for _ in range(5):
        machine.report(failed=[DRIVER])
    assert machine.identities() == {"GPU-a", "GPU-b"}
    machine.bind(NAME_A, "PGPU")
