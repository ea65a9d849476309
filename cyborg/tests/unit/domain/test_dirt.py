"""The difference between record and report: what somebody left on a card goes where it goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cyborg.domain.hardware import Share
from cyborg.domain.inventory import HandleReport
from cyborg.domain.model import HandleCondition
from cyborg.domain.recorded import Memory
from cyborg.tests.unit.domain.cards import card, function, part, slot
from cyborg.tests.unit.domain.record import Record

READY, UNCLEAN, QUARANTINED, VANISHED = (
    HandleCondition.READY,
    HandleCondition.UNCLEAN,
    HandleCondition.QUARANTINED,
    HandleCondition.VANISHED,
)
ONE, TWO, THREE = "0000:01:00.0", "0000:02:00.0", "0000:03:00.0"
VFS = [replace(function(f"0000:01:00.{n}"), shares=(Share(ONE, 1, 2),)) for n in (1, 2)]
VF, OTHER_VF = "0000:01:00.1", "0000:01:00.2"


@pytest.fixture
def record() -> Record:
    """A host of which nothing is recorded."""
    return Record()


def names(record: Record) -> set[str]:
    return {part.report.name for _, part in record.parts()}


# In the place of what somebody has


def test_a_card_in_the_place_of_what_is_held_is_not_clean_anywhere(record: Record) -> None:
    """Whoever has the place reaches the card that is there, until it moves on."""
    record.report(slot("A", "01"), slot("B", "02"))
    record.set_handle(ONE, is_owned=True)
    record.report(slot("B", "01"))
    record.report(slot("B", "03"))
    assert record.handle(THREE).condition is UNCLEAN


def test_also_a_card_that_nobody_knew(record: Record) -> None:
    record.report(slot("A", "01"))
    record.set_handle(ONE, is_owned=True)
    record.report(slot("B", "01"))
    record.report(slot("B", "03"))
    assert record.handle(THREE).condition is UNCLEAN


def test_also_in_another_shape_under_another_name(record: Record) -> None:
    record.report(card("A", part("vfs", *VFS)))
    record.set_handle(VF, is_owned=True)
    record.report(slot("B", "01"))
    assert record.handle(ONE).condition is UNCLEAN
    # Nor can it be cleaned: half of it is somebody's.
    assert record.sharing.amounts[ONE] == {ONE: 2}
    record.report(slot("B", "03"))
    assert record.handle(THREE).condition is UNCLEAN


def test_nothing_stays_where_no_release_is_needed(record: Record) -> None:
    record.report(slot("A", "01", needs_release=False), slot("B", "02", needs_release=False))
    record.set_handle(ONE, is_owned=True)
    record.report(slot("B", "01", needs_release=False))
    record.report(slot("B", "03", needs_release=False))
    assert record.handle(THREE).condition is READY
    assert not record.device("B").memory


def test_dirt_of_another_card_does_not_keep_a_place(record: Record) -> None:
    """It was given back dirty, and its card is nowhere: that is remembered of the card."""
    record.report(card("A", part("vfs", *VFS)))
    record.set_handle(VF, condition=UNCLEAN)
    for _ in range(4):
        record.report(slot("B", "01"))
    assert record.conditions() == {ONE: UNCLEAN}, "whose B was, nobody knows"
    assert record.sharing.capacities == {}
    assert record.device("A").memory.taint is UNCLEAN
    record.report(slot("B", "01"), slot("A", "02"))
    assert record.handle(TWO).condition is UNCLEAN


def test_nor_once_it_is_given_back_in_another_shape(record: Record) -> None:
    """The card that is there now waited for it with what it has."""
    record.report(slot("A", "01"))
    record.set_handle(ONE, is_owned=True)
    record.report(card("B", part("vfs", *VFS)))
    assert record.conditions() == {ONE: VANISHED, VF: UNCLEAN, OTHER_VF: UNCLEAN}
    record.set_handle(ONE, is_owned=False, condition=UNCLEAN)
    record.report(card("B", part("vfs", *VFS)))
    assert record.conditions() == {VF: UNCLEAN, OTHER_VF: UNCLEAN}
    assert record.sharing.capacities == {}


def test_a_card_that_shows_nothing_takes_its_place_all_the_same(record: Record) -> None:
    """Another driver's device was reported there, under the address alone."""
    path = {"domain": "0", "bus": "1", "device": "0", "function": "0"}
    record.report(slot("A", "02"), replace(slot(ONE, "01"), driver="other"))
    record.report(card("A", control_path=path))
    assert ONE not in record.conditions()


def test_what_shows_where_it_is_takes_no_place_by_its_own_address(record: Record) -> None:
    """Some drivers say of all their cards that they are reached in one way."""
    path = {"domain": "0", "bus": "1", "device": "0", "function": "0"}
    cards = [
        replace(slot(name, bus), control_path=path) for name, bus in (("A", "01"), ("B", "02"))
    ]
    record.report(*cards)
    record.report(cards[1])
    assert record.handle(ONE).condition is READY, "it is away for one report"


def test_two_drivers_may_report_one_function_as_two_devices(record: Record) -> None:
    """Neither is in the place of the other, be one of them not seen for once."""
    pf, vfs = slot("PF", "01"), card("VF", part("vfs", *VFS), driver="other")
    record.report(pf, vfs)
    record.set_handle(VF, condition=UNCLEAN)
    record.report(pf)
    record.report(pf, vfs)
    assert record.conditions() == {ONE: READY, VF: UNCLEAN, OTHER_VF: READY}
    assert not record.device("VF").memory


def test_a_driver_that_sees_less_for_once_gives_no_place_away(record: Record) -> None:
    record.report(card("VF", part("vfs", *VFS)))
    record.set_handle(VF, condition=UNCLEAN)
    record.report(replace(slot("PF", "01"), driver="other"), failed_drivers=("test",))
    assert record.handle(VF).condition is UNCLEAN


# On the move


def test_what_comes_after_the_rest_of_its_card_is_not_clean(record: Record) -> None:
    """Of three functions one is dirty, and two are seen in the new place: it is the third."""
    record.report(slot("A", "01", 3))
    record.set_handle(ONE, condition=UNCLEAN)
    record.report(slot("A", "02", 2))
    assert record.conditions()[TWO] is UNCLEAN
    assert ONE not in record.conditions()
    for function_ in range(2):
        record.set_handle(f"0000:02:00.{function_}", condition=READY)
    record.report(slot("A", "02", 2))
    record.report(slot("A", "02", 3))
    assert record.handle("0000:02:00.2").condition is UNCLEAN
    assert record.handle(TWO).condition is READY


def test_dirt_is_in_the_rows_when_all_of_the_card_is_there(record: Record) -> None:
    record.report(slot("A", "01", 2))
    record.set_handle(ONE, condition=UNCLEAN)
    record.report(slot("A", "02", 2))
    moved = (TWO, "0000:02:00.1")
    assert [record.handle(key).condition for key in moved] == [UNCLEAN, UNCLEAN]
    assert record.device("A").memory == Memory()
    for key in moved:
        record.set_handle(key, condition=READY)
    for _ in range(3):
        record.report(slot("A", "02", 3))
    assert set(record.conditions().values()) == {READY}
    assert names(record) == {"host_02"}
    assert record.last.settled


def test_not_while_a_part_of_it_waits_for_a_place(record: Record) -> None:
    record.report(slot("A", "01"), slot("B", "02"))
    record.set_handle(ONE, is_owned=True)
    record.set_handle(TWO, condition=UNCLEAN)
    moved = card("B", part("host_01", ONE), part("host_03", THREE))
    for _ in range(3):
        record.report(moved)
        record.set_handle(THREE, condition=READY)
    record.report(card("B", part("host_04", "0000:04:00.0"), part("host_03", THREE)))
    assert record.handle("0000:04:00.0").condition is UNCLEAN


def test_what_is_given_back_where_its_card_was_does_not_stay(record: Record) -> None:
    """The card was seen elsewhere meanwhile, and is cleaned there."""
    record.report(slot("A", "01"))
    record.set_handle(ONE, is_owned=True)
    record.report(slot("A", "02"))
    record.set_handle(ONE, is_owned=False, condition=UNCLEAN)
    for _ in range(3):
        record.report(slot("A", "02"))
    assert record.conditions() == {TWO: UNCLEAN}
    assert names(record) == {"host_02"}


@pytest.mark.parametrize("busy", [False, True])
def test_what_is_seen_elsewhere_is_not_offered_where_it_was(record: Record, busy: bool) -> None:
    """Also while an agent is at work on it."""
    record.report(slot("A", "01", 2))
    record.set_handle(ONE, is_owned=True, is_busy=busy)
    record.report(slot("A", "02", 2))
    assert record.handle("0000:01:00.1").condition is VANISHED


def test_what_shows_nothing_for_once_is_not_elsewhere(record: Record) -> None:
    """An agent is at work on it, and what it has is not seen meanwhile."""
    record.report(slot("A", "01"))
    record.set_handle(ONE, is_busy=True)
    record.report(card("A"))
    assert record.handle(ONE).condition is READY


# In another shape


@pytest.mark.parametrize("given_back", [False, True])
def test_another_shape_takes_the_dirt_over(record: Record, given_back: bool) -> None:
    """A part that is dirty and no longer offered does not keep the whole from everybody."""
    record.report(card("A", part("vfs", *VFS)))
    record.set_handle(VF, condition=UNCLEAN)
    if given_back:
        record.set_handle(VF, is_owned=True, condition=READY)
        record.report(slot("A", "01"))
        assert record.handle(ONE).condition is READY, "it cannot be taken: a part is held"
        record.set_handle(VF, is_owned=False, condition=UNCLEAN)
    record.report(slot("A", "01"))
    assert record.handle(ONE).condition is UNCLEAN
    assert VF not in record.conditions()
    for _ in range(3):
        record.report(slot("A", "01"))
    assert names(record) == {"host_01"}
    assert record.sharing.capacities == {}


def test_all_pieces_of_the_other_shape_take_it_over(record: Record) -> None:
    record.report(slot("A", "01"))
    record.set_handle(ONE, condition=UNCLEAN)
    record.report(card("A", part("vfs", *VFS)))
    assert record.conditions() == {VF: UNCLEAN, OTHER_VF: UNCLEAN}


def test_a_part_of_the_other_shape_does_not(record: Record) -> None:
    """The dirt may be on what is not offered."""
    record.report(slot("A", "01"))
    record.set_handle(ONE, condition=UNCLEAN)
    record.report(card("A", part("vfs", VFS[0])))
    assert record.conditions() == {ONE: UNCLEAN, VF: UNCLEAN}


def in_a_group(*addresses: str) -> list[HandleReport]:
    """Return functions that one group keeps from having two owners."""
    return [replace(function(each), shares=(Share(each), Share("iommu/15"))) for each in addresses]


def test_a_group_is_no_shape_of_what_is_in_it(record: Record) -> None:
    """Who cleans one function of an IOMMU group cleans no other."""
    first, second = in_a_group("0000:01:00.0", "0000:01:00.1")
    record.report(card("A", part("both", first, second)))
    record.set_handle(ONE, condition=UNCLEAN)
    record.report(card("A", part("both", second)))
    assert record.conditions() == {ONE: UNCLEAN, VF: READY}


@pytest.mark.parametrize("owned", [False, True])
def test_a_card_moves_and_keeps_its_group(record: Record, owned: bool) -> None:
    record.report(card("A", part("host_01", *in_a_group(ONE))))
    record.set_handle(ONE, is_owned=owned, condition=READY if owned else UNCLEAN)
    for _ in range(4):
        record.report(card("A", part("host_02", *in_a_group(TWO))))
        assert record.handle(TWO).condition is UNCLEAN
        record.set_handle(ONE, is_owned=False, condition=UNCLEAN)
    assert record.conditions() == {TWO: UNCLEAN}


def test_what_could_not_be_cleaned_takes_its_share_of_any_shape(record: Record) -> None:
    record.report(card("A", part("vfs", *VFS)))
    record.set_handle(VF, condition=QUARANTINED)
    for _ in range(4):
        record.report(slot("A", "01"))
    assert record.handle(VF).condition is QUARANTINED
    assert record.sharing.capacities == {ONE: 2}


def test_what_is_being_cleaned_stays_until_that_has_ended(record: Record) -> None:
    record.report(card("A", part("vfs", *VFS)))
    record.set_handle(VF, condition=UNCLEAN, is_busy=True)
    record.report(slot("A", "01"))
    assert record.handle(VF).is_busy
    record.set_handle(VF, is_busy=False)
    record.report(slot("A", "01"))
    assert record.conditions() == {ONE: UNCLEAN, OTHER_VF: VANISHED}
