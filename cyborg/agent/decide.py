"""Decides what a message with work means, from what is known of its job. Touches nothing.

The conductor sends a job again, with a higher generation, whenever it has not heard of its
end in time, and messages may be lost, late, doubled or out of order. Pieces of work are the
same if their job and their steps are. A job may be turned round (a preparation becomes a
release): it has other steps from then on, at a higher generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cyborg.agent.journal import Entry, Phase
from cyborg.domain.work import Work


@dataclass(frozen=True, slots=True)
class Drop:
    """Do nothing: a newer attempt at the job is known, and nobody waits for this one."""


@dataclass(frozen=True, slots=True)
class Join:
    """Do it once: it waits or runs already, and its end is told under the new generation."""

    known: Work


@dataclass(frozen=True, slots=True)
class Answer:
    """Tell how it ended, which the journal knows."""

    error: str | None
    #: It failed because the device was not there.
    away: bool = False


@dataclass(frozen=True, slots=True)
class Begin:
    """Do it, in place of what still waits for this job, and after what runs for it."""

    superseding: tuple[Work, ...] = ()


Decision = Drop | Join | Answer | Begin


def decide(work: Work, known: Sequence[Work], entry: Entry | None, boot_id: str) -> Decision:
    """Return what to do with a message.

    :param known: what waits or runs for this job at this agent.
    :param entry: what the journal has of this job.
    :param boot_id: of this boot of the host.
    """
    others = known if entry is None else (*known, entry.work)
    if any(_outdates(other, work) for other in others):
        return Drop()
    if known:
        newest = max(known, key=lambda each: each.generation)
        return Join(newest) if newest.steps == work.steps else Begin(tuple(known))
    if entry is not None and _answers(entry, work, boot_id):
        return Answer(entry.error, entry.away)
    return Begin()


def _outdates(other: Work, work: Work) -> bool:
    """Return whether work may no longer be done because of other work of its job."""
    if other.generation == work.generation:
        # A job is turned at a higher generation only, so one of the two is not to be trusted.
        return other.steps != work.steps
    return other.generation > work.generation


def _answers(entry: Entry, work: Work, boot_id: str) -> bool:
    """Return whether what is recorded is the answer to this work.

    What was made ready before a reboot is not ready any more. A failure is the answer to its
    own attempt only: a newer one is a request to try again.
    """
    return (
        entry.phase is Phase.FINISHED
        and entry.work.steps == work.steps
        and entry.boot_id == boot_id
        and (entry.error is None or entry.work.generation == work.generation)
    )
