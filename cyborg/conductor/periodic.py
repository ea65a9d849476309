"""What one conductor does for all, now and then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oslo_log import log

from cyborg.conductor import comparing, expiring, leftovers, silence
from cyborg.conductor.environment import Environment
from cyborg.conductor.unit import run
from cyborg.db import periodic_tasks
from cyborg.domain.errors import ServiceUnavailable
from cyborg.rpc.context import working_for

LOG = log.getLogger(__name__)

#: Seconds until a task is tried again that could not be done.
RETRY = 15


@dataclass(frozen=True, slots=True)
class Task:
    name: str
    work: Callable[[Environment], int]
    #: Name of the option of ``[conductor]`` with the seconds between two times, or the seconds.
    interval: str | float


#: Seconds between two looks for hosts that are not heard any more.
SILENCE_INTERVAL = 15.0

TASKS = (
    Task("notice silent hosts", silence.look, SILENCE_INTERVAL),
    Task("compare providers", comparing.compare, "provider_comparison_interval"),
    Task("release left-over requests", leftovers.compare, "leftover_comparison_interval"),
    Task("forget what is old", expiring.expire, "leftover_comparison_interval"),
)


def run_due(env: Environment) -> int:
    """Do what is due and nobody else does; return how many tasks were done."""
    done = 0
    for task in TASKS:
        with working_for(None, None):
            done += _run(env, task)
    return done


def _run(env: Environment, task: Task) -> bool:
    interval = task.interval
    if isinstance(interval, str):
        interval = float(env.conf.conductor[interval])
    if not run(env, lambda unit: periodic_tasks.claim(unit.connection, task.name, interval)):
        return False
    try:
        task.work(env)
    except ServiceUnavailable as error:
        LOG.warning("not done: %s: %s", task.name, error)
        retry = min(RETRY, interval)
        run(env, lambda unit: periodic_tasks.try_again(unit.connection, task.name, interval, retry))
        return False
    return True
