"""How long a thing has been missing, and what of the record must stay."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyborg.domain.inventory import DeployableReport, DeviceReport
from cyborg.domain.model import DeviceStatus, HandleCondition, Presence
from cyborg.domain.recorded import (
    ABSENCES_UNTIL_GONE,
    Absence,
    Memory,
    OperatorsWord,
    RecordedDeployable,
    RecordedDevice,
    RecordedHandle,
)

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
INTERVAL = 60.0


def after(seconds: float) -> datetime.datetime:
    return START + datetime.timedelta(seconds=seconds)


def test_absences_are_counted_until_it_is_gone() -> None:
    absence = Absence()
    seen = []
    for number in range(5):
        absence = absence.again(after(number * INTERVAL), INTERVAL)
        seen.append((absence.count, absence.is_over))
    assert seen == [(1, False), (2, False), (3, True), (3, True), (3, True)]


@pytest.mark.parametrize(
    ("seconds", "count"), [(0, 1), (1, 1), (29.9, 1), (30, 2), (60, 2), (10_000, 2)]
)
def test_two_reports_within_half_an_interval_count_once(seconds: float, count: int) -> None:
    first = Absence().again(START, INTERVAL)
    second = first.again(after(seconds), INTERVAL)
    assert second.count == count
    # Else a report every second would put the second one off for ever.
    assert second.at == (START if count == 1 else after(seconds))


def test_a_clock_that_is_put_back_counts_nothing() -> None:
    first = Absence().again(START, INTERVAL)
    assert first.again(after(-3600), INTERVAL) == first


@given(
    pauses=st.lists(st.floats(0, 200), max_size=30),
    interval=st.floats(1, 600),
)
def test_nothing_is_gone_before_its_time_however_often_it_is_looked_for(
    pauses: list[float], interval: float
) -> None:
    """SIGHUPs, and reports that are sent again, are no scans."""
    absence, time = Absence(), 0.0
    for pause in pauses:
        time += pause
        absence = absence.again(after(time), interval)
    if absence.is_over:
        least = (ABSENCES_UNTIL_GONE - 1) * interval / 2
        assert time >= least - 0.001
    elif pauses:
        assert 0 < absence.count < ABSENCES_UNTIL_GONE


def handle(
    *,
    owned: bool = False,
    condition: HandleCondition = HandleCondition.READY,
    busy: bool = False,
) -> RecordedHandle:
    return RecordedHandle(1, "0000:42:00.0", "PCI", {}, (), owned, condition, busy)


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        (handle(), False),
        (handle(condition=HandleCondition.VANISHED), False),
        (handle(owned=True), True),
        (handle(busy=True), True),
        (handle(condition=HandleCondition.UNCLEAN), True),
        (handle(condition=HandleCondition.QUARANTINED), True),
    ],
)
def test_which_handles_stay(row: RecordedHandle, kept: bool) -> None:
    assert row.is_kept is kept


PART = DeployableReport("part", "FPGA", 1, "test")
CARD = DeviceReport("test", "card", "FPGA", "v", "m")


def part(
    *rows: RecordedHandle,
    programming: bool = False,
    content_unknown: bool = False,
    words: tuple[tuple[str, str], ...] = (),
) -> RecordedDeployable:
    return RecordedDeployable(1, PART, rows, programming, content_unknown, words=words)


@pytest.mark.parametrize(
    ("row", "held", "busy", "kept"),
    [
        (part(handle()), False, False, False),
        (part(handle(owned=True)), True, False, True),
        (part(handle(busy=True)), True, True, True),
        (part(handle(condition=HandleCondition.UNCLEAN)), False, False, True),
        (part(programming=True), True, True, True),
        (part(content_unknown=True), False, False, True),
        (part(words=(("room", "12"),)), False, False, False),
    ],
)
def test_which_deployables_stay(
    row: RecordedDeployable, held: bool, busy: bool, kept: bool
) -> None:
    assert (row.is_held, row.is_busy, row.is_kept) == (held, busy, kept)
    assert row.unsettled == (row.programming or row.content_unknown)


def device(*parts: RecordedDeployable, memory: Memory | None = None) -> RecordedDevice:
    return RecordedDevice(
        1, "uuid", CARD, Presence.PRESENT, memory=memory or Memory(), deployables=parts
    )


WORD = OperatorsWord("part", 0, "room", "12")


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        (device(), False),
        (device(part(handle())), False),
        (device(part(handle(owned=True))), True),
        (device(part(handle(condition=HandleCondition.QUARANTINED))), True),
        (device(part(words=(("room", "12"),))), True),
        (device(memory=Memory(anonymous=True)), False),
        (device(memory=Memory(taint=HandleCondition.UNCLEAN)), True),
        (device(memory=Memory(content_unknown=True)), True),
        (device(memory=Memory(words=(WORD,))), True),
        (
            RecordedDevice(1, "uuid", CARD, Presence.MISSING, status=DeviceStatus.MAINTAINING),
            True,
        ),
    ],
)
def test_which_devices_stay(row: RecordedDevice, kept: bool) -> None:
    assert row.is_kept is kept
