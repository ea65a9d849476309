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
    is_elsewhere = _is_elsewhere(each)
    found = set()
    for handle in dirty:
        own = counters_of([handle])
        sharing = [other for other in _reported(each) if counters_of([other]) & own]
        if sharing:
            # What cannot be cleaned stays, and takes its share from whatever shape there is.
            is_unclean = handle.condition is HandleCondition.UNCLEAN
            is_all_there = own <= counters_of(sharing) and _is_another_shape(each, handle, sharing)
            is_carried = is_unclean and is_all_there
        else:
            is_carried = is_elsewhere
        if is_carried and not handle.is_busy:
            found.add(handle.id)
    return found


def is_in_new_place(each: Match, report: HandleReport) -> bool:
    """Return whether a handle is of a card that is known, and not of hardware that is: it shares
    nothing with what is recorded of the card."""
    if each.recorded is None:
        return False
    return all(are_apart(report.shares, handle) for handle in _recorded(each))


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


def _is_elsewhere(each: Match) -> bool:
    """Return whether all of a card is in another place than where it was seen last."""
    parts = each.recorded.deployables if each.recorded else ()
    last = [part for part in parts if not part.absence.count] or parts
    names = {part.name.lower() for part in each.seen.deployables}
    functions = sum(len(part.handles) for part in last)
    left = not any(part.report.name.lower() in names for part in last)
    return left and len(_reported(each)) >= functions


def _is_another_shape(each: Match, handle: RecordedHandle, sharing: Sequence[HandleReport]) -> bool:
    """Return whether the hardware of a handle is only there in other shapes than that."""
    known = {row.key for row in _recorded(each)}
    shape = (handle.type, handle.info.get("asked_type"))
    if any((other.type, other.info.get("asked_type")) == shape for other in sharing):
        return not any(other.key in known for other in sharing)
    return True
