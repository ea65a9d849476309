"""The invariants that the database alone can show, in one function."""

from __future__ import annotations

from cyborg.conductor.audit import events, requests, work
from cyborg.conductor.audit.disagreement import Disagreement
from cyborg.conductor.audit.limits import Limits
from cyborg.db.audit import read_facts
from cyborg.db.database import Connection
from cyborg.domain.facts import Facts


def database_disagreements(
    connection: Connection, limits: Limits | None = None
) -> list[Disagreement]:
    """Return all that contradicts itself. Nine statements.

    :param connection: what it reads should be of one moment; see
        :func:`cyborg.db.audit.hold_still`.
    """
    return disagreements_of(read_facts(connection), limits or Limits())


def disagreements_of(facts: Facts, limits: Limits) -> list[Disagreement]:
    """Return all that facts of one moment contradict each other in."""
    return [
        *requests.of_requests(facts),
        *requests.of_values(facts),
        *requests.of_hardware(facts),
        *work.of_jobs(facts),
        *work.of_waiting(facts),
        *work.of_unclean(facts, limits),
        *work.of_time(facts, limits),
        *events.of_events(facts, limits),
        *events.of_hosts(facts, limits),
    ]
