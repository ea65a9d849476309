"""What a report lacks, and what becomes of it in the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cyborg.domain.changes import Event, HandleAbsence
from cyborg.domain.comparison import Comparison, addresses
from cyborg.domain.model import HandleCondition, Presence
from cyborg.domain.recorded import RecordedDeployable, RecordedDevice, RecordedHandle

_NO_LONGER_REPORTED = "The host does not report it any more."


def depart(c: Comparison) -> None:
    """Deal with all that the report lacks. After everything has arrived."""
    absent = {device.id for device in c.matches.unseen}
    held = {device.id for device in c.matches.held}
    removed = {device.id for device in c.matches.unseen if _absent_device(c, device)}
    for device in c.recorded:
        for part in device.deployables:
            rest = [handle for handle in part.handles if handle.id not in c.assigned]
            if part.id in c.taken_over:
                # Of the card that was there: what is to be remembered of it is.
                c.out.left_handles += [handle.id for handle in rest]
            elif part.id in c.taken or device.id not in absent | held:
                _rest_of(c, device, part, rest)
            elif device.id not in removed:
                _rest_of_absent(c, rest)
    if c.matches.held:
        c.out.settled = False


def _rest_of_absent(c: Comparison, rest: Sequence[RecordedHandle]) -> None:
    """Keep what a device had that was not seen, but for places where another is now."""
    for handle in rest:
        if handle.id in c.displaced or handle.id in c.carried:
            _lacking_handle(c, handle)
        else:
            c.keep([handle])


def _rest_of(
    c: Comparison,
    device: RecordedDevice,
    part: RecordedDeployable,
    rest: Sequence[RecordedHandle],
) -> None:
    """Deal with what a device lacks that was seen."""
    patient = device.is_busy and not _is_elsewhere(c, device, part)
    kept = [handle for handle in rest if not _lacking_handle(c, handle, patient=patient)]
    if part.id in c.taken:
        return
    absence = part.absence.again(c.now, c.interval)
    if not absence.is_over or part.is_held:
        c.out.settled = False
    if patient or part.unsettled or not absence.is_over or kept:
        if absence != part.absence and not patient:
            c.out.absent_deployables.append((part.id, absence))
        return
    c.keep_words(device, part)
    c.words.pop(part.id, None)
    c.out.removed_deployables.append(part.id)


def _is_elsewhere(c: Comparison, device: RecordedDevice, part: RecordedDeployable) -> bool:
    """Return whether a device that was seen somewhere is not where one of its parts is recorded."""
    there = {address for handle in part.handles for address in addresses(handle)}
    seen = {address for address, ids in c.seen_at.items() if device.id in ids}
    return bool(there) and bool(seen) and not there & seen


def _lacking_handle(c: Comparison, handle: RecordedHandle, *, patient: bool = False) -> bool:
    """Deal with a handle that nobody reports; return whether it goes.

    :param patient: an agent is at work on the device, so that nothing follows from it yet.
    """
    if handle.id in c.carried:
        c.out.left_handles.append(handle.id)
        return True
    if patient and handle.id not in c.displaced:
        c.out.settled = False
        c.keep([handle])
        return False
    absence = handle.absence.again(c.now, c.interval)
    if not absence.is_over or handle.is_owned or handle.is_busy:
        c.out.settled = False
    if absence.is_over and not handle.is_kept:
        c.out.removed_handles.append(handle.id)
        return True
    after = handle.condition
    if after is HandleCondition.READY:
        after = HandleCondition.VANISHED
    if after is not handle.condition or absence != handle.absence:
        why = c.displaced.get(handle.id, _NO_LONGER_REPORTED)
        c.out.absent_handles.append(
            HandleAbsence(handle.id, absence, handle.is_owned, handle.condition, after, why)
        )
    if handle.is_kept:
        c.keep([handle])
    return False


def _absent_device(c: Comparison, device: RecordedDevice) -> bool:
    """Deal with a device that was not seen; return whether it goes."""
    if c.is_excused(device):
        return False
    if device.is_busy:
        c.out.settled = False
        return False
    absence = device.absence.again(c.now, c.interval)
    if not absence.is_over:
        c.out.settled = False
        if absence != device.absence:
            c.out.absent_devices.append((device.id, Presence.SUSPECT, absence))
        return False
    left = tuple(part for part in device.deployables if part.id not in c.taken)
    memory = c.memories[device.id]
    after = replace(device, deployables=left, memory=memory)
    if not after.is_kept:
        c.out.removed_devices.append(device.id)
        c.notice(Event.REMOVED, device, device.report)
        return True
    if after.is_held:
        c.out.settled = False
    if device.presence is not Presence.MISSING:
        c.out.absent_devices.append((device.id, Presence.MISSING, absence))
        c.notice(Event.MISSING, device, device.report)
    return False
