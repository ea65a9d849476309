"""Which recorded device a reported one is."""

from __future__ import annotations

import dataclasses

import pytest

from cyborg.domain.hardware import Share
from cyborg.domain.inventory import DeployableReport, DeviceReport, HandleReport
from cyborg.domain.matching import addresses_of, match, surely_differ
from cyborg.domain.model import HandleCondition, Presence
from cyborg.domain.recorded import RecordedDeployable, RecordedDevice, RecordedHandle


def seen(identity: str, address: str, *, name: str = "", driver: str = "d") -> DeviceReport:
    """Return a device of one function as it is reported."""
    handle = HandleReport("PCI", {}, address, (Share(address),))
    part = DeployableReport(name or f"host_{address}", "FPGA", 1, "test", handles=(handle,))
    return DeviceReport(driver, identity, "FPGA", "v", "m", deployables=(part,))


def recorded(id_: int, report: DeviceReport, *, owned: bool = False) -> RecordedDevice:
    """Return the record of a device that was reported like this."""
    return RecordedDevice(
        id_,
        f"uuid-{id_}",
        dataclasses.replace(report, deployables=()),
        Presence.PRESENT,
        deployables=tuple(
            RecordedDeployable(
                id_ * 10,
                dataclasses.replace(part, handles=()),
                tuple(
                    RecordedHandle(
                        id_ * 100, each.key, "PCI", {}, each.shares, owned, HandleCondition.READY
                    )
                    for each in part.handles
                ),
            )
            for part in report.deployables
        ),
    )


ONE, TWO = "0000:01:00.0", "0000:02:00.0"


def matched(
    rows: list[RecordedDevice], *reports: DeviceReport
) -> tuple[list[tuple[int | None, str, bool]], list[int], list[int]]:
    """Return what each report is (row, identity, whether it is nameless), the held, the unseen."""
    found = match(rows, reports)
    pairs = [
        (each.recorded.id if each.recorded else None, each.seen.identity, each.nameless)
        for each in found.seen
    ]
    return pairs, [row.id for row in found.held], [row.id for row in found.unseen]


def test_by_its_identity_wherever_it_is() -> None:
    rows = [recorded(1, seen("A", ONE)), recorded(2, seen("B", TWO))]
    swapped = matched(rows, seen("A", TWO), seen("B", ONE))
    assert swapped == ([(1, "A", False), (2, "B", False)], [], [])


def test_in_the_spelling_that_it_has_had() -> None:
    rows = [recorded(1, seen("GPU-5e2a", ONE))]
    assert matched(rows, seen("gpu-5E2A", ONE)) == ([(1, "GPU-5e2a", False)], [], [])


def test_two_rows_of_one_identity() -> None:
    """As a release recorded them that took another spelling for another device."""
    rows = [recorded(1, seen("GPU-A", ONE)), recorded(2, seen("gpu-a", TWO))]
    assert matched(rows, seen("GPU-a", ONE)) == ([(1, "GPU-A", False)], [], [2])
    assert matched(rows) == ([], [], [1, 2])


def test_a_new_one_and_one_that_was_not_seen() -> None:
    rows = [recorded(1, seen("A", ONE))]
    assert matched(rows, seen("B", TWO)) == ([(None, "B", False)], [], [1])
    assert matched(rows) == ([], [], [1])
    assert matched([], seen("A", ONE)) == ([(None, "A", False)], [], [])


def test_another_card_in_its_place() -> None:
    rows = [recorded(1, seen("A", ONE))]
    assert matched(rows, seen("B", ONE)) == ([(None, "B", False)], [], [1])


@pytest.mark.parametrize("by", ["its name", "its address"])
def test_its_serial_can_be_read_by_now(by: str) -> None:
    before, after = seen(ONE, ONE), seen("A", ONE)
    if by == "its name":
        after = seen("A", TWO, name=f"host_{ONE}".upper())
    else:
        after = seen("A", ONE, name="another name")
    assert matched([recorded(1, before)], after) == ([(1, "A", False)], [], [])


def test_its_serial_cannot_be_read_now() -> None:
    """It goes on to be known by it."""
    rows = [recorded(1, seen("A", ONE))]
    assert matched(rows, seen(ONE, ONE)) == ([(1, "A", True)], [], [])
    assert matched(rows, seen("compute-1_0000:01:0.0", ONE)) == ([(1, "A", True)], [], [])


def test_one_without_a_serial_that_is_elsewhere_is_a_new_one() -> None:
    rows = [recorded(1, seen(ONE, ONE))]
    assert matched(rows, seen(TWO, TWO)) == ([(None, TWO, True)], [], [1])


def test_an_identity_goes_before_a_place() -> None:
    """B is where A was, and A can only be told by its address: it is not B."""
    rows = [recorded(1, seen("A", ONE)), recorded(2, seen("B", TWO))]
    found = matched(rows, seen(TWO, TWO), seen("B", ONE))
    assert found == ([(2, "B", False), (None, TWO, True)], [], [1])


def test_two_that_may_be_one_are_not_both_it() -> None:
    rows = [recorded(1, seen(ONE, ONE))]
    found = matched(rows, seen("A", ONE), seen("B", ONE, name="other"))
    assert found == ([(1, "A", False), (None, "B", False)], [], [])


@pytest.mark.parametrize("owned", [False, True])
def test_a_driver_keeps_what_somebody_has(owned: bool) -> None:
    rows = [recorded(1, seen("A", ONE), owned=owned)]
    found = matched(rows, seen("A", ONE, driver="another"))
    assert found == (([], [1], []) if owned else ([(1, "A", False)], [], []))
    # Of another card it can say what it likes.
    assert matched(rows, seen("B", ONE, driver="another")) == ([(None, "B", False)], [], [1])


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("A", "A", False),
        ("A", "a ", False),
        ("A", "B", True),
        (ONE, "B", False),
        ("A", TWO, False),
        (ONE, TWO, False),
    ],
)
def test_which_are_surely_two(one: str, other: str, said: bool) -> None:
    assert surely_differ(one, other) is said
    assert surely_differ(other, one) is said


def test_a_card_that_shows_nothing_is_known_by_its_own_address() -> None:
    """Its serial number can be read at last, and its functions cannot be seen."""
    path = {"domain": "0", "bus": "1", "device": "0", "function": "0"}
    bare = dataclasses.replace(seen("A", ONE), control_path=path, deployables=())
    before = dataclasses.replace(seen(ONE, ONE, name="other"), control_path=path)
    assert matched([recorded(1, before)], bare) == ([(1, "A", False)], [], [])
    again = dataclasses.replace(seen(ONE, ONE), control_path=path)
    assert matched([recorded(1, bare)], again) == ([(1, "A", True)], [], [])


def test_what_shows_where_it_is_is_not_sought_by_its_own_address() -> None:
    """Some drivers say of all their cards that they are reached in one way."""
    path = {"domain": "0", "bus": "9", "device": "0", "function": "0"}
    before = dataclasses.replace(seen(ONE, ONE), control_path=path)
    other = dataclasses.replace(seen(TWO, TWO), control_path=path)
    assert matched([recorded(1, before)], other) == ([(None, TWO, True)], [], [1])


def test_of_two_that_were_in_one_place_each_is_matched() -> None:
    """Two drivers had it under its address; both read the serial numbers of two cards now."""
    before = [recorded(1, seen(ONE, TWO, name="x")), recorded(2, seen("0000:03:00.0", TWO))]
    found = matched(before, seen("A", TWO), seen("B", TWO, name="x"))
    assert {row for row, _, _ in found[0]} == {1, 2}


def test_where_a_device_is() -> None:
    handle = HandleReport(
        "PCI", {}, "0000:3d:01.1", (Share("0000:3d:00.0", 1, 4), Share("iommu/15"))
    )
    part = DeployableReport("qat", "CUSTOM_QAT", 1, "qat", handles=(handle,))
    path = {"domain": "0", "bus": "3D", "device": "1f", "function": "0"}
    card = DeviceReport("qat", "serial", "QAT", "v", "m", control_path=path, deployables=(part,))
    assert addresses_of(recorded(1, card)) == {"0000:3d:01.1", "0000:3d:00.0", "0000:3d:1f.0"}
    assert addresses_of(recorded(1, dataclasses.replace(card, control_path={"bus": "3d"}))) == {
        "0000:3d:01.1",
        "0000:3d:00.0",
    }
