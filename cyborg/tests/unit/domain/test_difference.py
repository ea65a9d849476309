"""The difference between record and report: what a report has, and where it goes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cyborg.domain.changes import Difference, Event
from cyborg.domain.hardware import Share, Sharing
from cyborg.domain.inventory import UnseenDevice
from cyborg.domain.model import DeviceCondition, DeviceStatus, HandleCondition, Presence
from cyborg.domain.recorded import Memory, OperatorsWord
from cyborg.tests.unit.domain.cards import card, function, part, slot
from cyborg.tests.unit.domain.record import Record

READY, UNCLEAN, QUARANTINED, VANISHED = (
    HandleCondition.READY,
    HandleCondition.UNCLEAN,
    HandleCondition.QUARANTINED,
    HandleCondition.VANISHED,
)
IMAGE, OTHER_IMAGE = (
    "1" * 8 + "-1111-1111-1111-" + "1" * 12,
    "2" * 8 + "-2222-2222-2222-" + "2" * 12,
)


@pytest.fixture
def record() -> Record:
    """A host of which nothing is recorded."""
    return Record()


def events(record: Record) -> list[Event]:
    return [notice.event for notice in record.last.notices]


def nothing(changes: Difference) -> bool:
    """Return whether there is nothing to write, nothing to tell and nothing to wait for."""
    return not changes and not changes.notices and changes.settled


# A device


def test_a_new_device(record: Record) -> None:
    changes = record.report(slot("A", "01", 2))
    assert changes
    assert changes.settled
    assert events(record) == [Event.FOUND]
    assert record.device("A").presence is Presence.PRESENT
    assert record.conditions() == {"0000:01:00.0": READY, "0000:01:00.1": READY}


def test_nothing_changed(record: Record) -> None:
    record.report(slot("A", "01"))
    assert nothing(record.report(slot("A", "01")))


def test_a_changed_device(record: Record) -> None:
    record.report(slot("A", "01"))
    before = record.device("A")
    changes = record.report(replace(slot("A", "01"), model="other"))
    assert [id_ for id_, _ in changes.changed_devices] == [before.id]
    assert not changes.changed_deployables
    after = record.device("A")
    assert (after.id, after.report.model) == (before.id, "other")


def test_a_device_that_comes_back(record: Record) -> None:
    record.report(slot("A", "01"))
    record.report()
    record.report(slot("A", "01"))
    assert events(record) == [Event.BACK]
    device = record.device("A")
    assert (device.presence, device.absence.count) == (Presence.PRESENT, 0)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (DeviceCondition.HEALTHY, DeviceCondition.FAILED, [Event.FAILED]),
        (DeviceCondition.HEALTHY, DeviceCondition.DEGRADED, [Event.DEGRADED]),
        (DeviceCondition.DEGRADED, DeviceCondition.FAILED, [Event.FAILED]),
        (DeviceCondition.FAILED, DeviceCondition.DEGRADED, [Event.DEGRADED]),
        (DeviceCondition.FAILED, DeviceCondition.HEALTHY, [Event.MENDED]),
        (DeviceCondition.DEGRADED, DeviceCondition.UNMONITORED, [Event.MENDED]),
        (DeviceCondition.HEALTHY, DeviceCondition.UNMONITORED, []),
        (DeviceCondition.FAILED, DeviceCondition.FAILED, []),
    ],
)
def test_a_condition_that_changes(
    record: Record, before: DeviceCondition, after: DeviceCondition, told: list[Event]
) -> None:
    record.report(replace(slot("A", "01"), condition=before))
    record.report(replace(slot("A", "01"), condition=after, condition_reason="why"))
    assert events(record) == told
    if told != [Event.MENDED]:
        assert all(notice.why == "why" for notice in record.last.notices)
    assert record.device("A").report.condition is after


def test_a_device_that_is_found_broken(record: Record) -> None:
    broken = {"condition": DeviceCondition.FAILED, "condition_reason": "no fan"}
    record.report(replace(slot("A", "01"), **broken))  # type: ignore[arg-type]  # its fields
    assert [(n.event, n.why) for n in record.last.notices] == [
        (Event.FOUND, ""),
        (Event.FAILED, "no fan"),
    ]


def test_whether_it_is_in_use_is_told(record: Record) -> None:
    record.report(slot("A", "01"), slot("B", "02"))
    record.set_handle("0000:01:00.0", is_owned=True)
    for _ in range(3):
        record.report()
    told = {(n.identity, n.event, n.in_use) for n in record.last.notices}
    assert told == {("A", Event.MISSING, True), ("B", Event.REMOVED, False)}


# Its deployables and handles


def test_a_changed_deployable_and_more_handles(record: Record) -> None:
    record.report(slot("A", "01"))
    changes = record.report(slot("A", "01", 2, traits=("CUSTOM_NEW",)))
    assert len(changes.changed_deployables) == 1
    assert record.part("host_01").report.traits == ("CUSTOM_NEW",)
    assert record.conditions() == {"0000:01:00.0": READY, "0000:01:00.1": READY}


@pytest.mark.parametrize("owned", [False, True])
def test_info_that_changes_is_changed_in_place(record: Record, owned: bool) -> None:
    def port(**info: str) -> None:
        handle = function("0000:01:00.0", **info)
        record.report(card("A", part("nic", "0000:01:00.0", handles=(handle,))))

    port(physical_network="a")
    record.set_handle("0000:01:00.0", is_owned=owned)
    before = record.handle("0000:01:00.0")
    port(physical_network="b", managed="yes")
    after = record.handle("0000:01:00.0")
    assert (after.id, after.is_owned, after.condition) == (before.id, owned, READY)
    assert after.info["physical_network"] == "b"


def test_what_a_handle_occupies_may_change_under_its_owner(record: Record) -> None:
    record.report(slot("A", "01"))
    record.set_handle("0000:01:00.0", is_owned=True)
    handle = replace(function("0000:01:00.0"), shares=(Share("iommu/1"),))
    record.report(card("A", part("host_01", "0000:01:00.0", handles=(handle,))))
    found = record.handle("0000:01:00.0")
    assert found.is_owned
    assert {share.counter for share in found.shares} == {"iommu/1", "0000:01:00.0"}


def test_a_free_handle_goes_where_it_is_reported(record: Record) -> None:
    one, two = "0000:01:00.0", "0000:01:00.1"
    record.report(card("A", part("left", one), part("right", two)))
    before = record.handle(one)
    record.report(card("A", part("left", two), part("right", one)))
    assert record.handle(one).id == before.id
    assert [handle.key for handle in record.part("left").handles] == [two]
    assert [handle.key for handle in record.part("right").handles] == [one]
    assert record.last.settled


@pytest.mark.parametrize("held", [{"is_owned": True}, {"is_busy": True}])
def test_a_held_handle_stays_where_it_is(record: Record, held: dict[str, bool]) -> None:
    one, two = "0000:01:00.0", "0000:01:00.1"
    record.report(card("A", part("left", one), part("right", two)))
    record.set_handle(one, **held)
    changes = record.report(card("A", part("left", two), part("right", one)))
    assert one in [handle.key for handle in record.part("left").handles]
    assert record.part("right").report.num_accelerators == 0
    assert not changes.settled
    if "is_owned" in held:
        [absent] = changes.absent_handles
        assert absent.why == "It is reported as a part of right now."
        assert record.handle(one).condition is VANISHED
    # As soon as it is free it goes there.
    record.set_handle(one, is_owned=False, is_busy=False)
    record.report(card("A", part("left", two), part("right", one)))
    assert record.handle(one).condition is READY
    assert [handle.key for handle in record.part("right").handles] == [one]


def test_an_owned_handle_that_comes_back(record: Record) -> None:
    record.report(slot("A", "01", 2))
    record.set_handle("0000:01:00.1", is_owned=True)
    record.report(slot("A", "01", 1))
    assert record.handle("0000:01:00.1").condition is VANISHED
    record.report(slot("A", "01", 2))
    found = record.handle("0000:01:00.1")
    assert (found.condition, found.is_owned, found.absence.count) == (READY, True, 0)


@pytest.mark.parametrize("condition", [UNCLEAN, QUARANTINED])
def test_a_dirty_handle_stays_dirty_whatever_is_reported(
    record: Record, condition: HandleCondition
) -> None:
    record.report(slot("A", "01", 2))
    record.set_handle("0000:01:00.1", condition=condition)
    empty = card("A", part("host_01"))
    for seen in ([slot("A", "01")], [empty], [card("A")], [], [], [], [slot("A", "01", 2)]):
        record.report(*seen)
        assert record.handle("0000:01:00.1").condition is condition
    assert record.conditions() == {"0000:01:00.0": READY, "0000:01:00.1": condition}


# Cards in the place of others


def test_a_card_in_the_place_of_another(record: Record) -> None:
    record.report(slot("A", "01"))
    before = record.part("host_01")
    changes = record.report(slot("B", "01"))
    assert changes.moved_deployables[0].forget_content
    after = record.part("host_01")
    assert (record.device_of("host_01"), after.id) == ("B", before.id)
    # Whose it was before, nobody knows.
    assert record.conditions() == {"0000:01:00.0": UNCLEAN}
    assert record.device("A").presence is Presence.SUSPECT


def test_nothing_stays_on_what_needs_no_release(record: Record) -> None:
    record.report(slot("A", "01", needs_release=False))
    record.report(slot("B", "01", needs_release=False))
    assert record.conditions() == {"0000:01:00.0": READY}


def test_a_card_of_fewer_functions_in_the_place_of_another(record: Record) -> None:
    record.report(slot("A", "01", 3))
    record.set_handle("0000:01:00.2", condition=UNCLEAN)
    changes = record.report(slot("B", "01", 1))
    assert len(changes.left_handles) == 2
    assert set(record.conditions()) == {"0000:01:00.0"}
    # The dirt went with the card.
    assert record.device("A").memory.taint is UNCLEAN
    record.report(slot("B", "01", 1), slot("A", "02", 3))
    dirty = {f"0000:02:00.{n}": UNCLEAN for n in range(3)}
    assert {k: v for k, v in record.conditions().items() if k in dirty} == dirty


@pytest.mark.parametrize("dirt", [UNCLEAN, QUARANTINED])
def test_swapped_cards_take_their_dirt_along(record: Record, dirt: HandleCondition) -> None:
    record.report(slot("A", "01"), slot("B", "02"))
    record.set_handle("0000:01:00.0", condition=dirt)
    record.report(slot("A", "02"), slot("B", "01"))
    assert record.conditions() == {"0000:02:00.0": dirt, "0000:01:00.0": UNCLEAN}
    assert record.device_of("host_02") == "A"
    assert record.last.settled


def test_swapped_cards_of_which_one_is_in_use(record: Record) -> None:
    record.report(slot("A", "01"), slot("B", "02"), slot("C", "03"))
    record.set_handle("0000:01:00.0", is_owned=True)
    seen = [slot("A", "02"), slot("B", "01"), slot("C", "03", traits=("CUSTOM_NEW",))]
    changes = record.report(*seen)
    [absent] = changes.absent_handles
    assert (absent.owned, absent.why) == (True, "Device B is where A was.")
    assert events(record) == [Event.REPLACED]
    assert record.part("host_03").report.traits == ("CUSTOM_NEW",)
    assert not changes.settled
    assert changes.waiting == [record.device("A").id], "what is held of it is somewhere else"
    record.report(*seen)
    assert events(record) == [], "it is told once"
    record.set_handle("0000:01:00.0", is_owned=False, condition=UNCLEAN)
    record.report(*seen)
    assert (record.device_of("host_01"), record.device_of("host_02")) == ("B", "A")
    assert record.handle("0000:01:00.0").condition is UNCLEAN
    assert record.handle("0000:02:00.0").condition is UNCLEAN


@pytest.mark.parametrize("dirt", [UNCLEAN, QUARANTINED])
def test_a_card_takes_its_dirt_to_an_empty_place(record: Record, dirt: HandleCondition) -> None:
    record.report(slot("A", "01"))
    record.set_handle("0000:01:00.0", condition=dirt)
    for _ in range(3):
        record.report(slot("A", "02"))
        assert record.conditions() == {"0000:02:00.0": dirt}
    assert {part.report.name for _, part in record.parts()} == {"host_02"}


def test_what_is_only_away_keeps_its_dirt_to_itself(record: Record) -> None:
    record.report(slot("A", "01", 2))
    record.set_handle("0000:01:00.1", condition=QUARANTINED)
    for _ in range(4):
        record.report(slot("A", "01", 1))
    assert record.conditions() == {"0000:01:00.0": READY, "0000:01:00.1": QUARANTINED}
    record.report(slot("A", "01", 4))
    assert record.handle("0000:01:00.3").condition is READY


def test_what_is_held_elsewhere_makes_new_handles_unclean(record: Record) -> None:
    """The card's owner may still be at work on it, through the address that he has."""
    record.report(slot("A", "01"))
    record.set_handle("0000:01:00.0", is_owned=True)
    record.report(slot("A", "02"))
    assert record.conditions() == {"0000:01:00.0": VANISHED, "0000:02:00.0": UNCLEAN}
    assert record.last.waiting == [record.device("A").id]


@pytest.mark.parametrize("owned", [False, True])
def test_a_card_that_goes_back_takes_its_dirt_back(record: Record, owned: bool) -> None:
    """Its handles in the old place are still there, and are what it is."""
    record.report(slot("A", "01"))
    record.report(slot("A", "02"))
    condition = VANISHED if owned else UNCLEAN
    record.set_handle("0000:02:00.0", is_owned=owned, condition=READY if owned else UNCLEAN)
    record.report(slot("A", "01"))
    found = record.conditions()
    assert found.pop("0000:01:00.0") is UNCLEAN
    assert found == ({"0000:02:00.0": condition} if owned else {})


# Shapes


PF = "0000:01:00.0"
VFS = [replace(function(f"0000:01:01.{n}"), shares=(Share(PF, 1, 4),)) for n in range(4)]


def test_another_shape_waits_for_what_is_held(record: Record) -> None:
    record.report(card("A", part("pf", PF)))
    record.set_handle(PF, is_owned=True)
    record.report(card("A", part("vfs", *VFS)))
    # Ready: what is held has all of their counter, and that is counted in the claim.
    assert record.handle("0000:01:01.0").condition is READY
    assert record.sharing.capacities == {PF: 4}
    assert record.sharing.amounts[PF] == {PF: 4}
    assert record.sharing.amounts["0000:01:01.0"] == {PF: 1}
    record.set_handle(PF, is_owned=False)
    for _ in range(3):
        record.report(card("A", part("vfs", *VFS)))
    assert record.sharing == Sharing()
    assert record.last.settled


def test_a_card_that_is_unclean_is_so_in_any_shape(record: Record) -> None:
    record.report(card("A", part("pf", PF)))
    record.set_handle(PF, condition=UNCLEAN)
    record.report(card("A", part("vfs", *VFS)))
    assert record.conditions() == {f"0000:01:01.{n}": UNCLEAN for n in range(4)}


def test_what_could_not_be_cleaned_keeps_its_share_in_any_shape(record: Record) -> None:
    record.report(card("A", part("vfs", *VFS)))
    record.set_handle("0000:01:01.2", condition=QUARANTINED)
    for _ in range(4):
        record.report(card("A", part("pf", PF)))
    assert record.conditions() == {PF: READY, "0000:01:01.2": QUARANTINED}
    assert record.sharing.capacities == {PF: 4}
    assert record.sharing.amounts == {PF: {PF: 4}, "0000:01:01.2": {PF: 1}}


def test_slices_of_another_size_beside_those_that_are_left(record: Record) -> None:
    """A slice that is missing for a scan has not become one that is new."""
    record.report(card("A", part("vfs", *VFS[:3])))
    record.set_handle("0000:01:01.1", condition=UNCLEAN)
    record.report(card("A", part("vfs", VFS[0], VFS[2], VFS[3])))
    assert record.handle("0000:01:01.1").condition is UNCLEAN
    assert record.handle("0000:01:01.3").condition is UNCLEAN


def test_what_is_shared_is_written_when_it_changes(record: Record) -> None:
    both = card("A", part("pf", PF), part("vfs", *VFS))
    assert record.report(both).sharing is not None
    assert record.report(both).sharing is None
    assert nothing(record.report(both))
    # What is not there now is not taken, and so not counted.
    assert record.report(card("A", part("pf", PF), part("vfs", *VFS[:2]))).sharing is not None
    assert record.sharing.amounts.keys() == {PF, "0000:01:01.0", "0000:01:01.1"}
    assert record.report(both).sharing is not None
    assert len(record.sharing.amounts) == 5


def test_what_is_shared_is_written_when_it_is_of_other_deployables(record: Record) -> None:
    """Each deployable knows what its handles share."""
    record.report(card("A", part("pf", PF), part("vfs", *VFS)))
    before = record.sharing
    assert record.report(card("A", part("pf", PF), part("slices", *VFS))).sharing == before


# A card that is known by its address for a while


def test_a_nameless_card_may_be_any_that_is_away(record: Record) -> None:
    record.report(slot("A", "01"), slot("0000:02:00.0", "02"))
    record.set_handle("0000:01:00.0", condition=UNCLEAN)
    # Where nothing was: it may be A.
    record.report(slot("0000:03:00.0", "03"), slot("0000:02:00.0", "02"))
    assert record.handle("0000:03:00.0").condition is UNCLEAN
    # What has been there all the time is not.
    assert record.handle("0000:02:00.0").condition is READY


def test_a_nameless_card_in_the_place_of_one_with_a_name_may_be_any(record: Record) -> None:
    record.report(slot("A", "01"), slot("B", "02"))
    record.set_handle("0000:01:00.0", condition=UNCLEAN)
    record.report(slot("0000:02:00.0", "02"))
    assert record.handle("0000:02:00.0").condition is UNCLEAN
    assert record.identities() == {"A", "B"}
    assert record.device("B").memory.anonymous


def test_a_nameless_card_is_the_one_that_was_there_when_none_is_away(record: Record) -> None:
    record.report(slot("A", "01"), slot("B", "02"))
    record.set_handle("0000:01:00.0", is_owned=True)
    record.report(slot("0000:01:00.0", "01"), slot("B", "02"))
    assert record.identities() == {"A", "B"}
    assert record.handle("0000:01:00.0").condition is READY
    assert record.handle("0000:01:00.0").is_owned
    record.report(slot("A", "01"), slot("B", "02"))
    assert not record.device("A").memory.anonymous
    assert nothing(record.report(slot("A", "01"), slot("B", "02")))


# What a region holds


def test_what_a_driver_says_that_a_part_holds(record: Record) -> None:
    record.report(slot("A", "01", bitstream_id=IMAGE))
    changes = record.report(slot("A", "01", bitstream_id=OTHER_IMAGE))
    [(_, changed)] = changes.changed_deployables
    assert changed.bitstream_id == OTHER_IMAGE
    assert changes.settled


def test_who_cannot_tell_changes_nothing(record: Record) -> None:
    record.report(slot("A", "01", bitstream_id=IMAGE))
    assert nothing(record.report(slot("A", "01")))
    assert record.part("host_01").report.bitstream_id == IMAGE


def test_who_says_that_it_is_empty(record: Record) -> None:
    record.report(slot("A", "01", bitstream_id=IMAGE))
    assert record.report(slot("A", "01", is_empty=True)).changed_deployables
    assert record.part("host_01").report.bitstream_id is None
    # It says so again, and that is nothing new.
    changes = record.report(slot("A", "01", is_empty=True))
    assert not changes.new_devices
    assert record.part("host_01").report.bitstream_id is None


@pytest.mark.parametrize("unsettled", [{"programming": True}, {"content_unknown": True}])
@pytest.mark.parametrize("says", [{"bitstream_id": IMAGE}, {"is_empty": True}])
def test_while_it_is_not_known_a_report_does_not_say_it(
    record: Record, unsettled: dict[str, bool], says: dict[str, Any]
) -> None:
    record.report(slot("A", "01", bitstream_id=OTHER_IMAGE))
    record.set_part("host_01", **unsettled)
    changes = record.report(slot("A", "01", **says))
    assert not changes.changed_deployables
    assert not changes.settled, "it must be heard again"
    # Anything else counts as ever.
    changes = record.report(slot("A", "01", 2, **says))
    assert changes.new_handles


def test_a_card_that_is_moved_with_what_nobody_knows(record: Record) -> None:
    record.report(slot("A", "01", programmable=True))
    record.set_part("host_01", content_unknown=True)
    record.report(slot("A", "02", programmable=True))
    assert record.part("host_02").content_unknown
    assert not record.part("host_01").content_unknown
    for _ in range(2):
        record.report(slot("A", "02", programmable=True))
    assert {part.report.name for _, part in record.parts()} == {"host_02"}


def test_another_card_in_the_place_of_what_nobody_knows(record: Record) -> None:
    record.report(slot("A", "01", programmable=True))
    record.set_part("host_01", content_unknown=True)
    record.report(slot("B", "01", programmable=True))
    assert not record.part("host_01").content_unknown
    assert record.device("A").memory.content_unknown
    for _ in range(4):
        record.report(slot("B", "01", programmable=True))
    assert "A" in record.identities(), "it would come back known"
    record.report(slot("B", "01", programmable=True), slot("A", "02", programmable=True))
    assert record.part("host_02").content_unknown
    assert not record.device("A").memory


# What operators say


def test_words_go_with_a_card_that_goes_elsewhere(record: Record) -> None:
    record.report(card("A", part("a1", "0000:01:00.0"), part("a2", "0000:01:00.1")))
    record.set_part("a1", words=(("room", "12"),))
    record.set_part("a2", words=(("room", "13"), ("x", "y")))
    record.report(card("A", part("b1", "0000:02:00.0"), part("b2", "0000:02:00.1")))
    assert record.part("b1").words == (("room", "12"),)
    assert record.part("b2").words == (("room", "13"), ("x", "y"))
    assert record.part("a1").words == record.part("a2").words == ()
    assert not record.device("A").memory


def test_words_of_a_part_that_is_away_wait_for_it(record: Record) -> None:
    parts = [part(f"p{n}", f"0000:01:00.{n}") for n in range(3)]
    record.report(card("A", *parts))
    record.set_part("p1", words=(("room", "12"),))
    for _ in range(4):
        record.report(card("A", parts[0], parts[2]))
    assert record.device("A").memory.words == (OperatorsWord("p1", 1, "room", "12"),)
    assert record.part("p2").words == ()
    record.report(card("A", *parts))
    assert record.part("p1").words == (("room", "12"),)
    assert not record.device("A").memory


def test_words_stay_with_the_card_that_was_replaced(record: Record) -> None:
    record.report(slot("A", "01"))
    record.set_part("host_01", words=(("room", "12"),))
    record.report(slot("B", "01"))
    assert record.part("host_01").words == ()
    for _ in range(4):
        record.report(slot("B", "01"))
    assert "A" in record.identities()
    record.report(slot("A", "01"), slot("B", "02"))
    assert record.part("host_01").words == (("room", "12"),)
    assert record.part("host_02").words == ()


def test_what_is_said_since_goes_before_what_was_said(record: Record) -> None:
    parts = [part(f"p{n}", f"0000:01:00.{n}") for n in range(2)]
    record.report(card("A", *parts))
    record.set_part("p1", words=(("room", "12"), ("a", "b")))
    for _ in range(4):
        record.report(card("A", parts[0]))
    record.report(card("A", *parts))
    record.set_part("p1", words=(("room", "13"),))
    record.set_device("A", memory=Memory(words=(OperatorsWord("P1", 1, "room", "12"),)))
    record.report(card("A", *parts))
    assert record.part("p1").words == (("room", "13"),)


# Drivers


def test_a_driver_that_takes_over_what_is_free(record: Record) -> None:
    record.report(slot("A", "01"))
    record.report(replace(slot("A", "01"), driver="another"))
    assert record.device("A").report.driver == "another"
    assert record.last.settled


def test_a_driver_keeps_what_somebody_has(record: Record) -> None:
    record.report(slot("A", "01", 2))
    record.set_handle("0000:01:00.0", is_owned=True)
    changes = record.report(replace(slot("A", "01", 2, traits=("CUSTOM_X",)), driver="another"))
    assert record.device("A").report.driver == "test"
    assert record.device("A").presence is Presence.PRESENT
    assert record.part("host_01").report.traits == ()
    assert not changes.settled
    record.set_handle("0000:01:00.0", is_owned=False)
    record.report(replace(slot("A", "01", 2, traits=("CUSTOM_X",)), driver="another"))
    assert record.device("A").report.driver == "another"


def test_what_an_operator_wants_is_not_the_reports_to_say(record: Record) -> None:
    record.report(slot("A", "01"))
    record.set_device("A", status=DeviceStatus.MAINTAINING)
    record.report(replace(slot("A", "01"), model="other"))
    assert record.device("A").status is DeviceStatus.MAINTAINING


def test_unseen_devices_are_those_that_the_report_names(record: Record) -> None:
    record.report(slot("A", "01"), slot("B", "02"))
    record.report(unseen=(UnseenDevice("test", "a"),))
    assert record.device("A").presence is Presence.PRESENT
    assert record.device("B").presence is Presence.SUSPECT
