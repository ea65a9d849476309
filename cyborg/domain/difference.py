"""The difference between what is recorded of a host and what its agent reports.

Pure: values in, values out. ``cyborg.conductor.inventory`` writes the result in one
transaction.

* A device is a card (:mod:`cyborg.domain.matching`), a deployable is a place (its name is a
  provider's), a handle is a piece of hardware at a place (its key). So when cards are swapped
  or replaced, deployables and handles that nobody has go over to the card that is there now.
* What somebody has stays as it is until it is given back, and is marked as vanished if the
  report lacks it. What the report has in its stead waits, and everything else is applied.
* What comes to another card, and what comes back after it was not cleaned, is unclean: it is
  cleaned before anybody gets it.
* What the report lacks is not offered from then on, and goes when it has been lacking for long
  enough. Whole devices stay offered until then. Nothing counts as lacking that the agent could
  not look at, or that belongs to a device on which work is under way.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cyborg.domain.arrivals import arrive, leave_places
from cyborg.domain.changes import Difference, Row
from cyborg.domain.comparison import Comparison
from cyborg.domain.departures import depart
from cyborg.domain.hardware import Sharing, sharing_of
from cyborg.domain.inventory import Snapshot
from cyborg.domain.recorded import Memory, RecordedDevice


def difference(
    recorded: Sequence[RecordedDevice],
    reported: Snapshot,
    now: datetime.datetime,
    interval: float,
    sharing: Sharing | None = None,
) -> Difference:
    """Return what must change so that the record equals the report.

    :param reported: in canonical form, without doubles: see ``check_report``.
    :param now: the database's present.
    :param interval: seconds between two reports, as the agent makes them.
    :param sharing: what is recorded of counters that more is offered of than there is.
    """
    comparison = Comparison(recorded, reported, now, interval)
    leave_places(comparison)
    for each in comparison.matches.seen:
        arrive(comparison, each)
    depart(comparison)
    out = comparison.out
    before: dict[Row, Memory] = {device.id: device.memory for device in recorded}
    out.memories = [
        (row, memory)
        for row, memory in comparison.memories.items()
        if memory != before.get(row, Memory()) and row not in out.removed_devices
    ]
    out.words = list(comparison.words.items())
    wanted = sharing_of(comparison.occupants)
    # Each deployable knows what its handles share: so it matters, too, of which they are.
    moved = any(
        change.report.key in wanted.amounts
        and comparison.rows[change.report.key][0].part.id != change.deployable
        for change in out.changed_handles
    )
    if moved or wanted != (sharing or Sharing()):
        out.sharing = wanted
    return out
