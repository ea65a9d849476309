"""Rows of agents' jobs as what they are, and those that this release does not understand.

A row that cannot be read costs nobody but itself: whoever reads many gets the others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cattrs
import sqlalchemy as sa

from cyborg.domain.plain import from_plain, to_plain
from cyborg.domain.text import plain
from cyborg.domain.work import Job, Subject, Work

_NOT_UNDERSTOOD = (cattrs.BaseValidationError, TypeError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class _Payload:
    """What of a job no column holds, but the work's generation and kind: those are the row's."""

    work: Work
    subject: Subject


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that this release does not understand: broken, or written by another release."""

    uuid: str
    kind: str
    host: str
    #: One line.
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """Jobs, and the rows among them that are none."""

    jobs: Sequence[Job]
    unreadable: Sequence[Unreadable] = ()


def payload_of(job: Job) -> str:
    """Return what is stored of a job in no column of its own."""
    return json.dumps(to_plain(_Payload(job.work, job.subject)))


def found(rows: Sequence[sa.Row[Any]]) -> Found:
    """Return what rows are, those that are no jobs apart."""
    read = [_read(row) for row in rows]
    return Found(
        [each for each in read if isinstance(each, Job)],
        [each for each in read if isinstance(each, Unreadable)],
    )


def readable(row: sa.Row[Any]) -> Job | None:
    """Return the job that a row is; None if it cannot be read."""
    read = _read(row)
    return read if isinstance(read, Job) else None


def _read(row: sa.Row[Any]) -> Job | Unreadable:
    try:
        payload = from_plain(_Payload, json.loads(row.payload))
    except _NOT_UNDERSTOOD as error:
        why = plain(f"{type(error).__name__}: {error}", 300)
        return Unreadable(row.uuid, row.kind, row.host, why)
    return Job(
        host=row.host,
        key=row.subject,
        subject=payload.subject,
        work=replace(payload.work, generation=row.generation, kind=row.kind),
        failures=row.failures,
        unanswered=row.unanswered,
        last_error=row.last_error,
        request_id=row.request_id,
        global_request_id=row.global_request_id,
    )
