"""The difference between record and report, as values."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from cyborg.domain.difference import (
    ABSENCES_UNTIL_MISSING,
    RecordedDeployable,
    RecordedDevice,
    RecordedHandle,
    difference,
)
from cyborg.domain.inventory import DeviceReport, HandleReport, Snapshot
from cyborg.domain.model import HandleCondition, Presence
from cyborg.tests.helpers import deployable, device


def recorded(
    report: DeviceReport,
    *,
    owned: bool = False,
    condition: HandleCondition = HandleCondition.READY,
    presence: Presence = Presence.PRESENT,
    absences: int = 0,
    unsettled: bool = False,
) -> RecordedDevice:
    """Return the record of a device that was once reported like this."""
    return RecordedDevice(
        id=1,
        report=dataclasses.replace(report, deployables=()),
        presence=presence,
        absences=absences,
        deployables=tuple(
            RecordedDeployable(
                id=number,
                report=dataclasses.replace(part, handles=()),
                handles=tuple(
                    RecordedHandle(number * 100 + n, handle.key, owned, condition)
                    for n, handle in enumerate(part.handles)
                ),
                unsettled=unsettled,
            )
            for number, part in enumerate(report.deployables, start=10)
        ),
    )


CARD = device("card", deployable("part", 2))


def test_nothing_changed() -> None:
    changes = difference([recorded(CARD)], Snapshot((CARD,)))
    assert not changes
    assert changes.settled


def test_a_new_device() -> None:
    changes = difference([], Snapshot((CARD,)))
    assert changes.new_devices == [CARD]


def test_a_changed_device_and_a_changed_deployable() -> None:
    part = dataclasses.replace(CARD.deployables[0], traits=("CUSTOM_NEW",))
    seen = dataclasses.replace(CARD, model="other", deployables=(part,))
    changes = difference([recorded(CARD)], Snapshot((seen,)))
    assert changes.changed_devices == [(1, seen)]
    assert changes.changed_deployables == [(10, part)]
    assert not changes.new_handles


def test_absent_once_is_suspect_then_missing_then_gone() -> None:
    changes = difference([recorded(CARD)], Snapshot())
    assert changes.absent_devices == [(1, Presence.SUSPECT, 1)]
    assert not changes.settled
    before_last = recorded(CARD, presence=Presence.SUSPECT, absences=ABSENCES_UNTIL_MISSING - 1)
    changes = difference([before_last], Snapshot())
    assert changes.removed_devices == [1]
    assert not changes.absent_devices


def test_an_owned_device_that_is_gone_is_missing_and_never_removed() -> None:
    last = recorded(CARD, owned=True, presence=Presence.SUSPECT, absences=2)
    changes = difference([last], Snapshot())
    assert changes.absent_devices == [(1, Presence.MISSING, 3)]
    assert not changes.removed_devices
    assert not changes.settled
    missing = recorded(CARD, owned=True, presence=Presence.MISSING, absences=3)
    changes = difference([missing], Snapshot())
    assert not changes
    assert not changes.settled, "the host would not be asked again when the owner goes"


def test_a_missing_device_returns() -> None:
    missing = recorded(CARD, owned=True, presence=Presence.MISSING, absences=3)
    changes = difference([missing], Snapshot((CARD,)))
    assert changes.changed_devices == [(1, CARD)]


def test_a_failed_scan_is_not_an_empty_host() -> None:
    changes = difference([recorded(CARD)], Snapshot((), ("fake_driver",)))
    assert not changes
    other = difference([recorded(CARD)], Snapshot((), ("other_driver",)))
    assert other.absent_devices


def test_handles_that_are_no_longer_there() -> None:
    fewer = dataclasses.replace(
        CARD, deployables=(dataclasses.replace(CARD.deployables[0], handles=()),)
    )
    free = difference([recorded(CARD)], Snapshot((fewer,)))
    assert (free.removed_handles, free.vanished_handles) == ([1000, 1001], [])
    owned = difference([recorded(CARD, owned=True)], Snapshot((fewer,)))
    assert (owned.removed_handles, owned.vanished_handles) == ([], [1000, 1001])
    assert not owned.settled
    gone = recorded(CARD, owned=True, condition=HandleCondition.VANISHED)
    back = difference([gone], Snapshot((CARD,)))
    assert back.returned_handles == [1000, 1001]


def test_a_quarantined_handle_is_kept_whatever_is_reported() -> None:
    kept = recorded(CARD, condition=HandleCondition.QUARANTINED)
    without_part = dataclasses.replace(CARD, deployables=())
    for reported in ((), (CARD,), (without_part,)):
        changes = difference([kept], Snapshot(reported))
        assert not changes.removed_handles
        assert not changes.removed_deployables
        assert not changes.removed_devices
        assert not changes.returned_handles


def test_a_deployable_that_is_no_longer_there() -> None:
    without = dataclasses.replace(CARD, deployables=())
    assert difference([recorded(CARD)], Snapshot((without,))).removed_deployables == [10]
    owned = difference([recorded(CARD, owned=True)], Snapshot((without,)))
    assert not owned.removed_deployables
    assert owned.vanished_handles == [1000, 1001]


_COUNTS = st.lists(st.integers(0, 5), max_size=4)


@given(before=_COUNTS, after=_COUNTS, owned=st.booleans())
def test_no_owned_handle_is_ever_removed_and_free_ones_end_as_reported(
    before: list[int], after: list[int], owned: bool
) -> None:
    def card(counts: list[int]) -> DeviceReport:
        return device("card", *(deployable(f"part-{n}", c) for n, c in enumerate(counts)))

    record = recorded(card(before), owned=owned)
    changes = difference([record], Snapshot((card(after),)))
    if owned:
        kept = {part.id for part in record.deployables if part.handles}
        assert not changes.removed_handles
        assert not kept & set(changes.removed_deployables)
        return
    result: dict[str, set[tuple[str, str]]] = {
        part.report.name: {
            handle.key for handle in part.handles if handle.id not in changes.removed_handles
        }
        for part in record.deployables
        if part.id not in changes.removed_deployables
    }
    names = {part.id: part.report.name for part in record.deployables}
    for deployable_id, handle in changes.new_handles:
        result[names[deployable_id]].add(handle.key)
    for _, part in changes.new_deployables:
        result[part.name] = {handle.key for handle in part.handles}
    assert result == {
        part.name: {HandleReport(h.type, h.info).key for h in part.handles}
        for part in card(after).deployables
    }


IMAGE, OTHER_IMAGE = "1" * 36, "2" * 36


def holding(image: str | None) -> DeviceReport:
    return device("card", deployable("part", 2, programmable=True, bitstream_id=image))


def test_what_a_driver_says_that_a_part_holds() -> None:
    changes = difference([recorded(holding(IMAGE))], Snapshot((holding(OTHER_IMAGE),)))
    [(_, part)] = changes.changed_deployables
    assert part.bitstream_id == OTHER_IMAGE
    assert changes.settled


def test_who_cannot_tell_changes_nothing() -> None:
    changes = difference([recorded(holding(IMAGE))], Snapshot((holding(None),)))
    assert not changes
    assert changes.settled


def test_while_it_is_programmed_a_report_does_not_say_what_it_holds() -> None:
    before = recorded(holding(None), unsettled=True)
    changes = difference([before], Snapshot((holding(IMAGE),)))
    assert not changes
    assert not changes.settled, "it must be heard again"
    # Anything else counts as ever.
    card = device("card", deployable("part", 3, programmable=True, bitstream_id=IMAGE))
    changes = difference([before], Snapshot((card,)))
    assert changes.changed_deployables
    assert changes.new_handles


def test_what_is_being_programmed_is_not_removed() -> None:
    before = recorded(holding(None), unsettled=True, absences=ABSENCES_UNTIL_MISSING)
    changes = difference([before], Snapshot())
    assert changes.removed_devices == []
    assert not changes.settled
    changes = difference([before], Snapshot((device("card"),)))
    assert changes.removed_deployables == []
    assert len(changes.removed_handles) == 2
    assert not changes.settled
