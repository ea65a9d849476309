"""The difference between record and report: what a report lacks, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cyborg.domain.changes import Event
from cyborg.domain.inventory import UnseenDevice
from cyborg.domain.model import DeviceStatus, HandleCondition, Presence
from cyborg.domain.recorded import Memory
from cyborg.tests.unit.domain.cards import card, part, slot
from cyborg.tests.unit.domain.record import INTERVAL, Record

READY, UNCLEAN, QUARANTINED, VANISHED = (
    HandleCondition.READY,
    HandleCondition.UNCLEAN,
    HandleCondition.QUARANTINED,
    HandleCondition.VANISHED,
)
A, B = slot("A", "01", 2), slot("B", "02")
ONE, TWO = "0000:01:00.0", "0000:01:00.1"


@pytest.fixture
def record() -> Record:
    """A host of two cards, the first of two functions."""
    found = Record()
    found.report(A, B)
    return found


def events(record: Record) -> list[tuple[str, Event]]:
    return [(notice.identity, notice.event) for notice in record.last.notices]


# Devices


def test_absent_is_suspect_and_then_gone(record: Record) -> None:
    for count in (1, 2):
        record.report(B)
        found = record.device("A")
        assert (found.presence, found.absence.count) == (Presence.SUSPECT, count)
        assert not record.last.settled
        # Whole devices stay offered until then.
        assert record.conditions()[ONE] is READY
    record.report(B)
    assert record.identities() == {"B"}
    assert events(record) == [("A", Event.REMOVED)]
    assert record.last.settled
    changes = record.report(B)
    assert not changes
    assert changes.settled


def test_reports_that_follow_each_other_too_soon_count_once(record: Record) -> None:
    record.report(B)
    for _ in range(10):
        changes = record.report(B, seconds=INTERVAL / 100)
        assert not changes
        assert not changes.settled
    assert record.device("A").absence.count == 1
    record.report(B, seconds=INTERVAL / 2)
    assert record.device("A").absence.count == 2


@pytest.mark.parametrize(
    "keep",
    [
        lambda record: record.set_handle(ONE, is_owned=True),
        lambda record: record.set_handle(ONE, condition=UNCLEAN),
        lambda record: record.set_handle(ONE, condition=QUARANTINED),
        lambda record: record.set_part("host_01", content_unknown=True),
        lambda record: record.set_part("host_01", words=(("room", "12"),)),
        lambda record: record.set_device("A", status=DeviceStatus.MAINTAINING),
        lambda record: record.set_device("A", memory=Memory(taint=UNCLEAN)),
    ],
    ids=["owned", "unclean", "quarantined", "half written", "attributes", "disabled", "tainted"],
)
def test_what_must_be_remembered_is_missing_and_never_removed(record: Record, keep: Any) -> None:
    keep(record)
    before = record.handle(ONE)
    for _ in range(3):
        record.report(B)
    assert events(record) == [("A", Event.MISSING)]
    assert record.device("A").presence is Presence.MISSING
    changes = record.report(B)
    assert not changes
    assert not changes.notices
    # As long as somebody has it, the host is asked again: he may go without its changing.
    assert changes.settled is not before.is_owned
    assert record.handle(ONE) == before
    record.report(A, B)
    assert events(record) == [("A", Event.BACK)]
    assert record.device("A").presence is Presence.PRESENT


def test_it_goes_when_its_owner_has_gone(record: Record) -> None:
    record.set_handle(ONE, is_owned=True)
    for _ in range(4):
        record.report(B)
    record.set_handle(ONE, is_owned=False)
    record.report(B)
    assert record.identities() == {"B"}


def test_a_driver_that_could_not_look_lacks_nothing(record: Record) -> None:
    other = replace(slot("C", "03"), driver="other")
    record.report(A, B, other)
    for _ in range(4):
        record.report(failed_drivers=("test",))
    assert record.identities() == {"A", "B"}
    assert record.device("A").absence.count == 0
    # Nor has it been there: what was counted before stays.
    record.report(B)
    record.report(failed_drivers=("test",))
    record.report(B)
    assert record.device("A").absence.count == 2


@pytest.mark.parametrize("name", ["A", " a ", "0000:01:00.1", "0000:01:0.0"])
def test_a_device_that_could_not_be_looked_at_is_not_absent(record: Record, name: str) -> None:
    for _ in range(4):
        record.report(unseen=(UnseenDevice("test", name),))
    assert record.identities() == {"A"}
    found = record.device("A")
    assert (found.presence, found.absence.count) == (Presence.PRESENT, 0)


def test_nothing_is_absent_of_a_device_on_which_work_is_under_way(record: Record) -> None:
    record.set_handle(ONE, is_busy=True)
    for _ in range(4):
        changes = record.report(B)
        assert not changes
        assert not changes.settled
    record.set_handle(ONE, is_busy=False)
    record.report(B)
    assert record.device("A").absence.count == 1


def test_nothing_is_absent_of_a_device_that_is_being_programmed(record: Record) -> None:
    record.set_part("host_01", programming=True)
    for _ in range(4):
        assert not record.report(B)


# Handles and deployables


def test_a_handle_is_not_offered_at_once_and_goes_after_its_grace(record: Record) -> None:
    fewer = slot("A", "01", 1)
    for count in (1, 2):
        record.report(fewer, B)
        found = record.handle(TWO)
        assert (found.condition, found.absence.count) == (VANISHED, count)
        assert not record.last.settled
    record.report(fewer, B)
    assert TWO not in record.conditions()
    assert record.last.settled


def test_a_handle_that_comes_back_within_its_grace_is_the_same(record: Record) -> None:
    before = record.handle(TWO)
    record.report(slot("A", "01", 1), B)
    record.report(A, B)
    assert record.handle(TWO) == before
    assert record.last.settled


def test_an_owned_handle_stays_and_its_owner_is_told(record: Record) -> None:
    record.set_handle(TWO, is_owned=True)
    fewer = slot("A", "01", 1)
    changes = record.report(fewer, B)
    [absent] = changes.absent_handles
    assert absent.owned
    assert absent.why == "The host does not report it any more."
    for _ in range(4):
        record.report(fewer, B)
        assert not record.last.settled
    assert record.handle(TWO).condition is VANISHED
    record.set_handle(TWO, is_owned=False)
    record.report(fewer, B)
    assert TWO not in record.conditions()


@pytest.mark.parametrize("dirt", [UNCLEAN, QUARANTINED])
def test_a_dirty_handle_stays_as_it_is(record: Record, dirt: HandleCondition) -> None:
    record.set_handle(TWO, condition=dirt)
    fewer = slot("A", "01", 1)
    for _ in range(4):
        record.report(fewer, B)
    assert record.handle(TWO).condition is dirt
    assert record.last.settled


def test_handles_are_not_missed_while_work_is_under_way(record: Record) -> None:
    record.set_handle(ONE, is_busy=True)
    fewer = slot("A", "01", 1)
    for _ in range(4):
        record.report(fewer, B)
        assert record.handle(TWO).absence.count == 0
        assert not record.last.settled
    record.set_handle(ONE, is_busy=False)
    record.report(fewer, B)
    assert record.handle(TWO).condition is VANISHED


def test_a_deployable_goes_after_its_grace(record: Record) -> None:
    both = card("A", part("host_01", ONE), part("second", TWO))
    first = card("A", part("host_01", ONE))
    record.report(both, B)
    for count in (1, 2):
        record.report(first, B)
        found = record.part("second")
        assert (found.absence.count, [h.condition for h in found.handles]) == (count, [VANISHED])
        assert not record.last.settled
    record.report(first, B)
    assert [name for name in ("second",) if name in names(record)] == []
    assert record.last.settled


def names(record: Record) -> set[str]:
    return {each.report.name for _, each in record.parts()}


@pytest.mark.parametrize(
    "keep",
    [
        lambda record: record.set_handle(TWO, is_owned=True),
        lambda record: record.set_handle(TWO, condition=QUARANTINED),
        lambda record: record.set_part("second", content_unknown=True),
    ],
    ids=["owned", "quarantined", "half written"],
)
def test_a_deployable_stays_that_must_be_remembered(record: Record, keep: Any) -> None:
    record.report(card("A", part("host_01", ONE), part("second", TWO)), B)
    keep(record)
    for _ in range(5):
        record.report(card("A", part("host_01", ONE)), B)
    assert "second" in names(record)
    assert record.part("second").absence.is_over


def test_a_deployable_that_comes_back(record: Record) -> None:
    both = card("A", part("host_01", ONE), part("second", TWO))
    record.report(both, B)
    before = record.part("second")
    record.report(card("A", part("host_01", ONE)), B)
    record.report(both, B)
    assert record.part("second") == before
    assert record.last.settled


# What stays behind


def test_a_card_that_is_nowhere_keeps_what_is_not_in_the_place_of_another(record: Record) -> None:
    """A's first function is where C is now; the second may come back with the rest of A."""
    record.set_handle(ONE, is_owned=True)
    record.report(card("C", part("host_c", ONE)), B)
    assert record.handle(ONE).condition is VANISHED
    assert record.handle(TWO).condition is READY
    assert record.device("A").presence is Presence.SUSPECT


def test_a_device_of_which_all_has_gone_to_others_goes(record: Record) -> None:
    taken = card("C", part("host_01", ONE, TWO), part("host_02", "0000:02:00.0"))
    for _ in range(3):
        record.report(taken)
    assert record.identities() == {"C"}
    assert names(record) == {"host_01", "host_02"}


def test_memory_of_a_device_that_goes_is_not_written(record: Record) -> None:
    record.report(A, replace(B, identity="0000:02:00.0"))
    assert record.device("B").memory.anonymous
    for _ in range(3):
        record.report(A)
    assert record.last.memories == []
    assert record.identities() == {"A"}
