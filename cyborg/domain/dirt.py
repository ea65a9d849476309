"""Where the dirt of a card goes that is no longer where its handles are recorded.

A handle is known by its place, and what somebody left on it is on the card. So a card that is at
another address, or that is offered in another shape, takes its dirt along.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cyborg.domain.hardware import Share
from cyborg.domain.inventory import HandleReport
from cyborg.domain.matching import Match
from cyborg.domain.model import HandleCondition
from cyborg.domain.recorded import DIRTY, RecordedHandle


def held_elsewhere(each: Match) -> list[RecordedHandle]:
    """Return what somebody has of a card in parts that are no longer its."""
    if each.recorded is None:
        return []
    names = {part.name.lower() for part in each.seen.deployables}
    keys = {handle.key for handle in _reported(each)}
    return [
        handle
        for part in each.recorded.deployables
        if part.report.name.lower() not in names
        for handle in part.handles
        if (handle.is_owned or handle.is_busy) and handle.key not in keys
    ]


def dirty_elsewhere(each: Match) -> list[RecordedHandle]:
    """Return what is dirty of a card in places where it is no longer; none if it is in no place
    that is new: then a part of it is away, and will be as it was when it is back."""
    if not _new(each):
        return []
    keys = {handle.key for handle in _reported(each)}
    return [
        handle for handle in _recorded(each) if handle.condition in DIRTY and handle.key not in keys
    ]


def carried(each: Match, dirty: Iterable[RecordedHandle]) -> set[int]:
    """Return the ids of those of a card's dirty handles whose dirt is all in new places.

    Others stay: a part of the card may come later, in yet another place.
    """
    new = _new(each)
    new_counters = counters_of(new)
    known = {handle.key for handle in new}
    left = [handle for handle in _reported(each) if handle.key not in known]
    vanished = HandleCondition.VANISHED
    before = [handle for handle in _recorded(each) if handle.condition is not vanished]
    is_complete = not left and len(new) >= len(before)
    found = set()
    for handle in dirty:
        own = counters_of([handle])
        if own & new_counters:
            # The same hardware in another shape, all of it. What cannot be cleaned stays, and
            # takes its share from whatever shape there is.
            is_all_new = own <= new_counters - counters_of(left)
            is_carried = is_all_new and handle.condition is HandleCondition.UNCLEAN
        else:
            is_carried = is_complete
        if is_carried and not handle.is_busy:
            found.add(handle.id)
    return found


def counters_of(handles: Iterable[HandleReport | RecordedHandle]) -> set[str]:
    """Return the names of the counters that handles have shares of."""
    return {share.counter for handle in handles for share in handle.shares}


def are_apart(shares: Sequence[Share], handle: RecordedHandle) -> bool:
    """Return whether something can be taken while a handle is held: they share no counter."""
    return not {share.counter for share in shares} & counters_of([handle])


def _reported(each: Match) -> list[HandleReport]:
    return [handle for part in each.seen.deployables for handle in part.handles]


def _recorded(each: Match) -> list[RecordedHandle]:
    if each.recorded is None:
        return []
    return [handle for part in each.recorded.deployables for handle in part.handles]


def _new(each: Match) -> list[HandleReport]:
    """Return what of a card is where it was not in the report before."""
    known = {handle.key for handle in _recorded(each) if not handle.absence.count}
    return [handle for handle in _reported(each) if handle.key not in known]
