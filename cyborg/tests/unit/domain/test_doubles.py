"""What is there twice has one place in a report, and it is said whose."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cyborg.domain.doubles import without_doubles
from cyborg.domain.hardware import Share
from cyborg.domain.inventory import DeployableReport, DeviceReport, HandleReport, LeftOut, Snapshot
from cyborg.domain.report_check import check_report, sound_device


def function(number: int, slot: str = "00") -> HandleReport:
    """Return a handle at a function of a card."""
    info = {"domain": "0000", "bus": "42", "device": slot, "function": str(number)}
    return HandleReport("PCI", info)


def part(name: str, *functions: int, slot: str = "00") -> DeployableReport:
    """Return a deployable of these functions."""
    handles = tuple(function(number, slot) for number in functions)
    return DeployableReport(name, "FPGA", len(handles), "test", handles=handles)


def card(identity: str, *parts: DeployableReport, driver: str = "one") -> DeviceReport:
    """Return a device as a report has it that was checked."""
    report = DeviceReport(driver, identity, "FPGA", "0xABCD", "Test", deployables=parts)
    return sound_device(Snapshot((report,)).to_wire()["devices"][0])


def handles_of(devices: Sequence[DeviceReport]) -> dict[str, list[str]]:
    """Return the functions of each deployable that is left."""
    for device in devices:
        for each in device.deployables:
            assert each.num_accelerators == len(each.handles)
    return {
        each.name: [handle.info["function"] for handle in each.handles]
        for device in devices
        for each in device.deployables
    }


CARD = card("a", part("host_a", 0, 1))


def test_nothing_is_there_twice() -> None:
    devices = [CARD, card("b", part("host_b", 2), driver="two"), card("c")]
    assert without_doubles(devices) == (devices, [])


@pytest.mark.parametrize("identity", ["a", "A"])
def test_two_of_one_identity(identity: str) -> None:
    kept, left_out = without_doubles([CARD, card(identity, part("other", 5), driver="two")])
    assert kept == [CARD]
    why = "another device has its identity"
    assert left_out == [LeftOut("two", identity, why, holder="one")]
    assert left_out[0].is_of_others


def test_all_of_a_device_is_anothers() -> None:
    """A01: the function that one driver calls a GPU is a PCI function to the other."""
    twin = card("0000:42:00.0", part("x", 0), part("y", 1), driver="two")
    kept, left_out = without_doubles([CARD, twin])
    assert kept == [CARD]
    why = "0000:42:00.0 of x is offered as host_a; 0000:42:00.1 of y is offered as host_a"
    keys = ("0000:42:00.0", "0000:42:00.1")
    assert left_out == [LeftOut("two", "0000:42:00.0", why, holder="one", hardware=keys)]


def test_one_part_of_a_device_is_anothers() -> None:
    twin = card("b", part("x", 0), part("y", 2), driver="two")
    kept, left_out = without_doubles([CARD, twin])
    assert handles_of(kept) == {"host_a": ["0", "1"], "y": ["2"]}
    why = "0000:42:00.0 of x is offered as host_a"
    assert left_out == [LeftOut("two", "b", why, True, "one", ("0000:42:00.0",))]


def test_some_handles_of_a_part_are_two_others() -> None:
    devices = [CARD, card("b", part("host_b", 2)), card("c", part("x", 0, 2, 3), driver="two")]
    kept, left_out = without_doubles(devices)
    assert handles_of(kept) == {"host_a": ["0", "1"], "host_b": ["2"], "x": ["3"]}
    assert [each.why for each in left_out] == [
        "0000:42:00.0 of x is offered as host_a",
        "0000:42:00.2 of x is offered as host_b",
    ]


def test_four_spellings_in_one_part() -> None:
    """A03: the width and the case of an address are no more hardware."""
    spellings = [("0000", "c8", "00"), ("0000", "C8", "00"), ("00000000", "c8", "00")]
    handles = tuple(
        HandleReport("PCI", {"domain": domain, "bus": bus, "device": slot, "function": "0"})
        for domain, bus, slot in (*spellings, ("0000", "c8", "0"))
    )
    whole = DeployableReport("x", "FPGA", 4, "test", handles=handles)
    kept, [left_out] = without_doubles([card("a", whole)])
    assert [handle.key for handle in kept[0].deployables[0].handles] == ["0000:c8:00.0"]
    key = "0000:c8:00.0"
    assert left_out == LeftOut("one", "a", f"{key} of x is there twice", True, "one", (key,))
    assert not left_out.is_of_others


def test_a_name_in_another_case_is_taken() -> None:
    twin = card("b", part("HOST_A", 2), part("y", 3))
    kept, left_out = without_doubles([CARD, twin])
    assert handles_of(kept) == {"host_a": ["0", "1"], "y": ["3"]}
    why = "deployable HOST_A is there twice"
    assert left_out == [LeftOut("one", "b", why, partly=True, holder="one")]


def test_a_device_that_loses_all_its_names_goes() -> None:
    kept, left_out = without_doubles([CARD, card("b", part("host_a", 2), driver="two")])
    assert kept == [CARD]
    why = "deployable host_a is there twice"
    assert left_out == [LeftOut("two", "b", why, holder="one")]


def test_what_its_own_driver_and_another_have_is_the_others() -> None:
    devices = [
        CARD,
        card("b", part("host_b", 2), driver="two"),
        card("c", part("x", 2), part("y", 0), driver="two"),
    ]
    _, [left_out] = without_doubles(devices)
    assert left_out.is_of_others


def test_a_long_list_of_losses_is_cut() -> None:
    parts = [part(f"x{number}", number) for number in range(8)]
    _, [left_out] = without_doubles([card("a", part("all", *range(8))), card("b", *parts)])
    assert left_out.why.endswith("; and so on, 8 in all")
    assert len(left_out.why.split("; ")) == 4


def test_what_is_held_stays_with_who_has_it() -> None:
    twin = card("b", part("x", 0, 2), driver="two")
    held = {"0000:42:00.0": "x", "0000:42:00.1": "not reported any more"}
    kept, left_out = without_doubles([CARD, twin], held)
    assert handles_of(kept) == {"host_a": ["1"], "x": ["0", "2"]}
    assert [(each.driver, each.holder) for each in left_out] == [("one", "two")]


def test_doubles_are_in_a_checked_report_and_are_not_unseen() -> None:
    """Who has a thing depends on the record, so the conductor decides it."""
    twins = [card("b", part("x", 0), driver="two"), card("c", part("y", 1))]
    checked = check_report(Snapshot((CARD, *twins)).to_wire())
    assert [device.identity for device in checked.snapshot.devices] == ["a", "b", "c"]
    assert not checked.snapshot.unseen
    assert not checked.left_out


def test_two_shares_of_one_counter_are_refused() -> None:
    """Nobody could say which of them counts."""
    shares = (Share("gpu/memory", 1, 2), Share("GPU/Memory", 1, 4))
    handle = HandleReport("PCI", function(0).info, shares=shares)
    with pytest.raises(ValueError, match="two shares of gpu/memory"):
        card("a", DeployableReport("x", "FPGA", 1, "test", handles=(handle,)))
