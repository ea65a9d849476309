"""How far agents are with their work, as they tell while it lasts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import cattrs

from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import Unit, run
from cyborg.db import job_progress
from cyborg.domain.errors import InvalidInput
from cyborg.domain.plain import from_plain
from cyborg.domain.text import plain
from cyborg.domain.work import WorkProgress

#: More than the cards of any host that are at work at once.
_MOST = 1000

#: Seconds: more than any work takes.
_LONGEST = 1e9

_STEP = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")


def tell_progress(env: Environment, host: str, works: Sequence[Mapping[str, Any]]) -> None:
    """Take what an agent is at. It changes nothing but what readers of devices see.

    :param works: each a :class:`cyborg.domain.work.WorkProgress`, as it crossed.
    :raises InvalidInput: one cannot be.
    """
    told = _read(works)

    def work(unit: Unit) -> int:
        return job_progress.record(unit.connection, host, told)

    if told:
        run(env, work)


def _read(works: Sequence[Mapping[str, Any]]) -> list[WorkProgress]:
    try:
        told = from_plain(list[WorkProgress], works)
    except (cattrs.BaseValidationError, TypeError, ValueError) as error:
        raise InvalidInput(f"That is no progress: {plain(str(error), 200)}") from error
    if len(told) > _MOST:
        raise InvalidInput(f"An agent is at no more than {_MOST} pieces of work at once.")
    for each in told:
        if not _STEP.match(each.step):
            raise InvalidInput(f"That is no name of a step: {plain(each.step, 100)}")
        if not 0 <= each.seconds <= _LONGEST or math.isnan(each.seconds):
            raise InvalidInput(f"Work cannot last for {each.seconds} seconds.")
        if each.percent is not None and not 0 <= each.percent <= 100:
            raise InvalidInput(f"Work cannot be done to {each.percent} %.")
    return told
