"""How clean a card is that was seen, and what of it must be cleaned before anybody gets it.

A handle is known by its place, and what somebody left on it is on the card. So what is dirty
where the report has it stays so until it has been cleaned, and what is dirty and no longer where
it is recorded goes with the card: to the shape in which the same hardware is offered now, or, if
it may be anywhere on the card, to the card's memory. From then on all that comes of the card is
cleaned first, until as much of it as there was is there: then each piece has a row that says how
it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from fractions import Fraction

from cyborg.domain.comparison import (
    UNCLEAN,
    Comparison,
    Place,
    dirt_of,
    handles_of,
    is_of,
    row_of,
)
from cyborg.domain.hardware import is_address
from cyborg.domain.inventory import DeployableReport, HandleReport
from cyborg.domain.matching import Match
from cyborg.domain.model import HandleCondition, Presence
from cyborg.domain.recorded import DIRTY, Memory, RecordedDevice, RecordedHandle

_QUARANTINED = HandleCondition.QUARANTINED


class Dirt:
    """What is dirty of a device that was seen."""

    def __init__(self, c: Comparison, each: Match) -> None:
        self._c = c
        self._each = each
        self._row = row_of(each)
        self._reported = [handle for part in each.seen.deployables for handle in part.handles]
        keys = {handle.key for handle in self._reported}
        #: What is dirty, or will be, where the report has nothing.
        self._loose = [] if each.recorded is None else _loose(each.recorded, keys)
        self._is_doubted = self._doubt()
        if self._is_doubted:
            c.taint(self._row, each.recorded, UNCLEAN)
        self._follow()
        #: Counters all of which the card offers in another shape than the one that is dirty.
        self._soaked = self._soak()

    def of_new(self, report: HandleReport, part: DeployableReport) -> HandleCondition:
        """Return how a handle is that the card has not had, or has had and lacked."""
        taint = self._c.memories.get(self._row, Memory()).taint
        if taint is _QUARANTINED or self._brings_quarantine(report):
            return _QUARANTINED
        if not part.needs_release:
            # Nothing of whoever had the card stays on it.
            return HandleCondition.READY
        # What shares a counter with what is held cannot be taken before that is free and clean.
        comes = any(
            handle.condition is UNCLEAN or not same_hardware(report, handle)
            for handle in self._loose
        )
        # What was on another card went with it. Whose this one was, nobody knows.
        usurps = report.key in self._c.usurping
        is_unclean = taint or comes or usurps or self._is_soaked(report)
        return UNCLEAN if is_unclean else HandleCondition.READY

    def of_row(
        self, report: HandleReport, part: DeployableReport, at: Place, row: RecordedHandle
    ) -> HandleCondition:
        """Return how a handle is that was recorded, of this card or of another."""
        if row.is_owned or row.is_busy:
            back = row.condition is HandleCondition.VANISHED
            return HandleCondition.READY if back else row.condition
        if not is_of(at.device, self._each):
            return self.of_new(report, part)
        if row.condition in DIRTY:
            return row.condition
        if row.absence.count or at.device.presence is not Presence.PRESENT:
            # It was not there: the card has been elsewhere, or given out in another shape.
            return self.of_new(report, part)
        unclean = self._is_doubted or self._is_soaked(report)
        return UNCLEAN if unclean and part.needs_release else HandleCondition.READY

    def end(self, *, complete: bool) -> None:
        """Forget what was remembered of the card once each piece of it is in a row.

        :param complete: the card has got all that the report has of it.
        """
        c, row = self._c, self._row
        if self._soaked and not complete:
            # What waits for its place is not clean when it gets it.
            c.taint(row, self._each.recorded, UNCLEAN)
        memory = c.memories.get(row, Memory())
        is_lacking = any(handle.id not in c.carried for handle in self._loose)
        if not self._reported or not complete or is_lacking or len(self._reported) < memory.pieces:
            return
        if memory.taint is not None:
            c.memories[row] = replace(memory, taint=None, taint_reason=None, pieces=0)

    def _doubt(self) -> bool:
        """Note how the card is known; return whether it may be one that is nowhere."""
        c, device, nameless = self._c, self._each.recorded, self._each.nameless
        may_be_stray = c.has_strays if nameless else c.has_nameless_strays
        if device is None:
            return may_be_stray
        memory = c.memories[device.id]
        known_better = nameless and not is_address(device.report.identity)
        c.memories[device.id] = replace(memory, anonymous=known_better)
        unsure = known_better and not memory.anonymous
        away = device.presence is not Presence.PRESENT
        return memory.taint is None and may_be_stray and (unsure or away)

    def _follow(self) -> None:
        """Remember of the card what is dirty of it where it is no longer, if it has come to
        where it was not: that may be the same hardware."""
        device = self._each.recorded
        rows = [] if device is None else handles_of(device)
        known = {handle.key for _, handle in rows if not handle.absence.count}
        new = [handle for handle in self._reported if handle.key not in known]
        for handle in self._loose:
            if any(not same_hardware(report, handle) for report in new):
                dirt = _QUARANTINED if handle.condition is _QUARANTINED else UNCLEAN
                self._c.taint(self._row, device, dirt)

    def _soak(self) -> set[str]:
        """Let what the report has take over the dirt of what it lacks.

        :returns: the counters by which it does.
        """
        c = self._c
        taint = c.memories.get(self._row, Memory()).taint
        soaked = set()
        for handle in self._loose:
            if handle.is_owned or handle.is_busy:
                continue
            taken = self._taken_of(handle)
            all_of = {counter for counter, fraction in taken.items() if fraction >= 1}
            if handle.condition is UNCLEAN and all_of:
                # The same hardware in another shape. What could not be cleaned takes its share
                # from whatever shape there is.
                soaked |= all_of
                c.carried.add(handle.id)
            elif taint in (handle.condition, _QUARANTINED) and not taken:
                # The card remembers it.
                c.carried.add(handle.id)
        return soaked

    def _taken_of(self, handle: RecordedHandle) -> Mapping[str, Fraction]:
        """Return how much the report has of a handle's hardware, by counter."""
        taken: dict[str, Fraction] = {}
        for report in self._reported:
            same = same_hardware(report, handle)
            for share in report.shares:
                if share.counter in same:
                    taken[share.counter] = taken.get(share.counter, Fraction(0)) + share.fraction
        return taken

    def _is_soaked(self, report: HandleReport) -> bool:
        return any(share.counter in self._soaked for share in report.shares)

    def _brings_quarantine(self, report: HandleReport) -> bool:
        """Return whether the card has what could not be cleaned, and this may be that."""
        return any(
            handle.condition is _QUARANTINED and not same_hardware(report, handle)
            for handle in self._loose
        )


def held_elsewhere(each: Match) -> list[RecordedHandle]:
    """Return what somebody has of a card in parts that are no longer its."""
    if each.recorded is None:
        return []
    names = {part.name.lower() for part in each.seen.deployables}
    keys = {handle.key for part in each.seen.deployables for handle in part.handles}
    return [
        handle
        for part, handle in handles_of(each.recorded)
        if part.report.name.lower() not in names
        and (handle.is_owned or handle.is_busy)
        and handle.key not in keys
    ]


def same_hardware(one: HandleReport, other: RecordedHandle) -> frozenset[str]:
    """Return the counters by which two handles are shapes, or parts, of the same hardware.

    Not one that both take all of though it is neither of them, such as an IOMMU group: it only
    keeps the two from having two owners.
    """
    own = {share.counter: share.fraction for share in other.shares}
    return frozenset(
        share.counter
        for share in one.shares
        if share.counter in own
        and (own[share.counter] < 1 or share.fraction < 1 or share.counter in (one.key, other.key))
    )


def _loose(device: RecordedDevice, reported: Collection[str]) -> list[RecordedHandle]:
    """Return what of a device is dirty, or will be when it is given back, and is not reported.

    :param reported: keys of handles.
    """
    return [
        handle
        for part, handle in handles_of(device)
        if handle.key not in reported and dirt_of(part, handle) is not None
    ]
