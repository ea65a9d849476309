"""K5: info of a handle that Nova or libvirt cannot read is not recorded."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from cyborg.domain.handle_check import MAX_INFO
from cyborg.domain.inventory import DeviceReport, HandleReport
from cyborg.domain.model import Presence
from cyborg.tests.functional.conductor.field_cases.hardware import at, but, card, gpu, part, pci
from cyborg.tests.functional.conductor.field_cases.machine import Machine, wire_of

GOOD = gpu("GPU-good", "0000:43:00.0")
BETTER = but(GOOD, traits=("CUSTOM_NEW",))
ADDRESS = at("0001:d6:00.0")


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in ADDRESS.items() if key != name}


def gpu_with(*infos: dict[str, Any], kind: str = "PCI") -> DeviceReport:
    handles = [HandleReport(kind, info) for info in infos]
    return card("GPU-bad", part("compute-1_bad", "PGPU", *handles))


def nic_with(**info: str) -> DeviceReport:
    return card(
        "NIC-bad", part("compute-1_bad", "CUSTOM_NIC", pci("0000:af:00.1", **info)), type="NIC"
    )


BAD = {
    "bus in the slot's place": gpu_with(
        {"domain": "0000", "bus": "0001", "device": "d6", "function": "00"}
    ),
    "empty": gpu_with({}),
    "no function": gpu_with(without("function")),
    "function 8": gpu_with({**ADDRESS, "function": "8"}),
    "with 0x": gpu_with({name: f"0x{value}" for name, value in ADDRESS.items()}),
    "one address": gpu_with({"address": "0000:42:00.0"}),
    "no asked_type": gpu_with(ADDRESS, kind="MDEV"),
    "no physical_network": nic_with(),
}


def left_out(machine: Machine, bad: DeviceReport, caplog: pytest.LogCaptureFixture) -> str:
    """Report a bad device beside a good one; return what is said of the bad one."""
    machine.report(GOOD)
    caplog.clear()
    machine.report(bad, BETTER)
    # One bad handle costs its device, and never the host.
    assert machine.identities() == {"GPU-good"}
    assert machine.attributes("compute-1_0000:43:00.0")["trait1"] == "CUSTOM_NEW"
    [line] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert bad.identity in line
    return line


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a05_info_that_nova_cannot_read(
    machine: Machine, bad: DeviceReport, caplog: pytest.LogCaptureFixture
) -> None:
    assert "handle 0 of compute-1_bad: its " in left_out(machine, bad, caplog)


def test_a05_the_handle_is_named(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    bad = gpu_with(ADDRESS, {**ADDRESS, "function": "1"}, {**ADDRESS, "function": "8"})
    line = left_out(machine, bad, caplog)
    assert "handle 2 of compute-1_bad: its function is '8'" in line


@pytest.mark.parametrize("bad", [BAD["function 8"], BAD["empty"]], ids=["function 8", "empty"])
def test_a05_what_was_recorded_of_it_stays_as_it_was(machine: Machine, bad: DeviceReport) -> None:
    """It is there, and cannot be understood now: it is neither new nor absent."""
    machine.report(gpu_with(ADDRESS), GOOD)
    bound = machine.bind("compute-1_bad", "PGPU")
    for _ in range(5):
        machine.report(bad)
    assert machine.identities() == {"GPU-bad"}, "what is beside it goes"
    assert machine.device("GPU-bad").presence == Presence.PRESENT
    machine.refusal("compute-1_bad", "PGPU")
    machine.delete(bound)
    machine.bind("compute-1_bad", "PGPU")


@pytest.mark.parametrize(
    ("info", "given"),
    [
        (ADDRESS, ADDRESS),
        (at("1:D6:0.0"), ADDRESS),
        # VMD puts what is behind it into domains from 10000 on: see also X41.
        (at("10001:8a:00.0"), at("10001:8a:00.0")),
        ({**ADDRESS, "managed": "yes"}, {**ADDRESS, "managed": "yes"}),
    ],
    ids=["as it is", "short and in capitals", "five digits", "more keys"],
)
def test_a05_x41_what_can_be_read_is_given_in_one_form(
    machine: Machine, info: dict[str, str], given: dict[str, str]
) -> None:
    machine.report(gpu_with(info))
    bound = machine.bind("compute-1_bad", "PGPU")
    assert bound.attach_handle is not None
    assert bound.attach_handle.info == given


@pytest.mark.parametrize("length", [600, MAX_INFO - 200])
def test_k5_info_longer_than_512_characters(machine: Machine, length: int) -> None:
    """Seen with the cases: it passed, and was a DataError of MariaDB and PostgreSQL."""
    texts = {f"note{n:03}": "x" * 190 for n in range(length // 200)}
    machine.report(gpu_with({**ADDRESS, **texts}), GOOD)
    assert machine.identities() == {"GPU-bad", "GPU-good"}
    bound = machine.bind("compute-1_bad", "PGPU")
    assert bound.attach_handle is not None
    assert bound.attach_handle.info == {**ADDRESS, **texts}


DIGITS = {
    "fullwidth": "\uff14\uff12",
    "arabic": "\u0664\u0662",
    "underscore": "4_2",
    "sign": "+4",
    "blank": " 4",
    "newline": "42\n",
}


@pytest.mark.parametrize("bus", DIGITS.values(), ids=DIGITS.keys())
def test_k5_own_what_python_reads_as_a_number_and_libvirt_does_not(
    machine: Machine, bus: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Found with int(): it reads the digits of every script, a sign, blanks and underscores."""
    left_out(machine, gpu_with({**ADDRESS, "bus": bus}), caplog)


WRONG = {
    "too long": {**ADDRESS, "note": "x" * 256},
    "too much": {**ADDRESS, **{f"note{n}": "x" * 250 for n in range(20)}},
    "too many": {**ADDRESS, **{f"note{n}": "" for n in range(80)}},
    "NUL": {**ADDRESS, "note": "a\x00b"},
    "surrogate": {**ADDRESS, "note": "a\udce9"},
    "a key of two lines": {**ADDRESS, "no\nte": ""},
    "no text": {**ADDRESS, "function": 0},
    "null": {**ADDRESS, "function": None},
}


@pytest.mark.parametrize("info", WRONG.values(), ids=WRONG.keys())
def test_k5_own_info_that_no_database_stores(
    machine: Machine, info: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Found with the columns' types, and with the names of files in /sys."""
    left_out(machine, gpu_with(info), caplog)


def test_k5_own_a_type_of_mediated_devices_that_is_a_path(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """Found with Nova, which looks the type up below mdev_supported_types."""
    bad = gpu_with({**ADDRESS, "asked_type": "../../0000:43:00.0"}, kind="MDEV")
    assert "asked_type" in left_out(machine, bad, caplog)


def test_k5_own_an_empty_physical_network(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """Found with Neutron: no network has an empty name."""
    assert "physical_network" in left_out(machine, nic_with(physical_network=""), caplog)


@pytest.mark.parametrize("other", [None, 5, "text", [], {}, {"identity": 5}, {"identity": "x"}])
def test_k5_own_what_is_no_device_at_all_costs_itself(machine: Machine, other: object) -> None:
    """Found here: an agent with a bug sends anything in the place of a device."""
    machine.report(GOOD)
    wire = wire_of(BETTER)
    wire["devices"].append(other)
    machine.send(wire)
    assert machine.identities() == {"GPU-good"}
    assert machine.attributes("compute-1_0000:43:00.0")["trait1"] == "CUSTOM_NEW"
