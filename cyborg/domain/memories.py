"""What was remembered of a card while it was not in its place, when it is in one again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cyborg.domain.changes import Row
from cyborg.domain.comparison import Comparison
from cyborg.domain.inventory import DeployableReport
from cyborg.domain.recorded import OperatorsWord, RecordedDevice

#: Deployables that a card has been given, and what is reported of them.
Targets = Sequence[tuple[Row, DeployableReport]]


def give_back(c: Comparison, device: RecordedDevice, targets: Targets) -> None:
    """Give a device that is there back what was remembered of it."""
    is_elsewhere = _is_elsewhere(device, targets)
    if is_elsewhere:
        for part in device.deployables:
            c.keep_words(device, part)
            if part.content_unknown and part.id not in c.taken_over and not part.is_busy:
                c.forget_content(device, part)
    memory = c.memories[device.id]
    if not (memory.words or memory.content_unknown):
        return
    if memory.content_unknown:
        c.out.unknown_contents += [row for row, part in targets if part.programmable]
    recorded = {part.id: part.words for other in c.recorded for part in other.deployables}
    left = []
    for word in memory.words:
        row = _row_of(word, targets, by_position=is_elsewhere)
        if row is None:
            left.append(word)
            continue
        words = c.words.get(row, recorded.get(row, ()) if isinstance(row, int) else ())
        c.words[row] = tuple(sorted({word.key: word.value, **dict(words)}.items()))
    c.memories[device.id] = replace(memory, content_unknown=False, words=tuple(left))


def _is_elsewhere(device: RecordedDevice, targets: Targets) -> bool:
    """Return whether a card is in another place than it was.

    Names have addresses in them, so all of them are new then, and the order tells which part
    is which. A card that only lacks a part still has the others by their names.
    """
    known = {part.report.name.lower() for part in device.deployables}
    return bool(targets) and not any(part.name.lower() in known for _, part in targets)


def _row_of(word: OperatorsWord, targets: Targets, *, by_position: bool) -> Row | None:
    for row, part in targets:
        if part.name.lower() == word.deployable.lower():
            return row
    if by_position and word.position < len(targets):
        return targets[word.position][0]
    return None
